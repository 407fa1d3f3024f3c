"""What every test may use: real servers as child processes, and where the real data lies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures and movements; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is absent: real pictures and movements are not tested")
    return SHARED_DATA


class Server:
    """`server.py` as a child process in a process group of its own."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self._options = options
        self._env = env or {}
        self.address = "127.0.0.1:0"
        self.log: list[str] = []
        self.start()

    def start(self) -> None:
        """Starts it, at its former address where it had one."""
        self.process = subprocess.Popen(
            [
                sys.executable,
                "server.py",
                "--data",
                str(self.data),
                "--listen",
                self.address,
                "--insecure",
                *self._options,
            ],
            cwd=ROOT,
            env={**os.environ, **self._env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        assert self.process.stderr
        # Kept drained, or the server would block on a full pipe.
        self._drain = threading.Thread(target=self.log.extend, args=(self.process.stderr,))
        self._drain.start()
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.kill()
            raise AssertionError("the server did not start:\n" + "".join(self.log))
        self.address = line.removeprefix("listening on ").strip()

    def kill(self) -> None:
        """kill -9 of the write process; what it started must end by itself."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """A graceful end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(30)
        assert self.process.stdout
        self.process.stdout.close()
        self._drain.join(30)
        assert self.process.stderr
        self.process.stderr.close()
        return code

    def channel(self) -> grpc.Channel:
        """A new channel to it."""
        return grpc.insecure_channel(self.address)


ServerFactory = Callable[..., Server]


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Starts servers that are stopped after the module."""
    started: list[Server] = []

    def start(*options: str, data: Path | None = None, env: dict[str, str] | None = None) -> Server:
        server = Server(data or tmp_path_factory.mktemp("ring"), *options, env=env)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
