"""The processes of the demo: started, listened to, and stopped whatever happens.

Each one leads a process group of its own, so that Ctrl-C reaches the conductor alone, and so that
stopping one by its id takes its children with it: SIGTERM first, SIGKILL when that does not help.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


class DemoError(Exception):
    """The demo can't go on. Its text says what was missing, for the person who watches."""


class Process:
    """One child. Its standard output goes line by line to `hear`, its standard error to `log`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: dict[str, str],
        log: Path,
        hear: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._log = log
        self._hear = hear
        self.lines: list[str] = []
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, name=name, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._hear(self.lines[-1])

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, done: Callable[[], bool], what: str, seconds: float) -> None:
        """Until `done` says so. Raises DemoError when the process ends first, or the time is up."""
        end = monotonic() + seconds
        while not done():
            if not self.running:
                self._listener.join(PATIENCE)
                if done():
                    return
                raise DemoError(f"the {self.name} ended before {what}{self._last_words()}")
            if monotonic() > end:
                raise DemoError(f"the {self.name} took more than {seconds:.0f} s to {what}")
            threading.Event().wait(0.05)

    def wait(self, seconds: float | None) -> None:
        """Until it ends by itself with exit code 0. Raises DemoError otherwise.

        seconds: how long at most; None: as long as it takes.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DemoError(f"the {self.name} was not done after {seconds:.0f} s") from None
        self._listener.join(PATIENCE)
        if code:
            raise DemoError(f"the {self.name} ended with exit code {code}{self._last_words()}")

    def stop(self) -> None:
        """Ends it and its children. Does nothing where it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            # Its group has its id, and is ours to end as long as it runs.
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
        self._listener.join(PATIENCE)
        if self._process.stdout is not None and not self._listener.is_alive():
            self._process.stdout.close()

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return ": " + said[-1] if said else ""
