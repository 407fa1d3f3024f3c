"""What every test may use: real servers as child processes, event stores, the real data's place."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures and movements; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is absent: real pictures and movements are not tested")
    return SHARED_DATA


class Postgres:
    """A PostgreSQL server of the tests' own, on a socket that nobody else knows."""

    def __init__(self) -> None:
        # Not under pytest's folder: that is closed to the user that PostgreSQL has where we are
        # root.
        self._folder = tempfile.mkdtemp(prefix="ring-pg-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.postgres_server", self._folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._uri = self._line()
        self._names = (f"ring{number}" for number in itertools.count())

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "PostgreSQL did not start: see above"
        return line

    def _tell(self, command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        assert self._line() == "done"

    def new_database(self) -> str:
        """The DSN of a new, empty database."""
        name = next(self._names)
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._uri.replace("/postgres?", f"/{name}?")

    def stop(self) -> None:
        """Stops the server; its data stays."""
        self._tell("stop")

    def kill(self) -> None:
        """kill -9 of all its processes; its data stays."""
        self._tell("kill")

    def start(self) -> None:
        """Starts it, where it does not run."""
        self._tell("start")

    def end(self) -> None:
        """Stops it and removes its data."""
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server a session; every test that wants one has a database of its own."""
    postgres = Postgres()
    yield postgres
    postgres.end()


NewStore = Callable[[], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewStore:
    """Makes the DSNs of new, empty event stores of one kind: tests run on each kind."""
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        return postgres.new_database
    return lambda: f"sqlite:///{tmp_path_factory.mktemp('store') / 'events.sqlite'}"


class Server:
    """`server.py` as a child process in a process group of its own."""

    def __init__(
        self,
        data: Path,
        *options: str,
        env: dict[str, str] | None = None,
        before: tuple[str, ...] = (),
    ) -> None:
        self.data = data
        self._options = options
        self._before = before
        self.env = dict(env or {})
        self.event_store = self.env.get("RING_EVENT_STORE", f"sqlite:///{data / 'events.sqlite'}")
        self.address = "127.0.0.1:0"
        self.log: list[str] = []
        self.start()

    def start(self) -> None:
        """Starts it, at its former address where it had one."""
        self.process = subprocess.Popen(
            [
                *self._before,
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
            env={**os.environ, **self.env},
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
