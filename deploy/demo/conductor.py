"""The conductor: starts the demo's processes, asks the `ring` command, keeps what was missing.

Leaving it as a context manager ends every process that it started, whatever happened.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from processes import ROOT, DemoError, Process
from rich.console import Console
from rich.text import Text


def _nobody(_: str) -> None:
    """Listens to nothing."""


ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end the demo."""


@contextmanager
def _endings_after() -> Iterator[None]:
    """What is done here is done whole: a signal that ends the demo is answered after it.

    Handlers stand in rather than a mask, which the children would inherit.
    """
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    usual = {number: signal.signal(number, note) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


class Conductor:
    """folder: everything that is written goes here. settings: the children's, beside ours."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.missing: list[str] = []
        self._console = Console(highlight=False, soft_wrap=True)
        self._processes: list[Process] = []
        # Nothing of the caller's ring: this one is the embedded default, in its own folder.
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("RING_")} | settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        # The server last: it goes when nobody talks to it any more.
        for process in reversed(self._processes):
            process.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line for the person who watches."""
        self._console.print(Text(text, style=style))

    def start(self, name: str, *command: str, hear: Callable[[str], None] = _nobody) -> Process:
        """Starts one of ours; its standard error is kept in the folder."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        # A child that started just when Ctrl-C came would otherwise be nobody's to stop.
        with _endings_after():
            process = Process(name, [sys.executable, *command], self.env, log, hear)
            self._processes.append(process)
        return process

    def ring(self, *arguments: str, show: bool = True) -> list[dict[str, object]]:
        """Asks the `ring` command: shown as a person would see it, or its JSON as objects."""
        if show:
            quoted = " ".join(f"'{a}'" if re.search(r"[*? ]", a) else a for a in arguments)
            self._console.print(Text(f"\n$ ring {quoted}", style="bold cyan"))
            sys.stdout.flush()
        command = [sys.executable, "-m", "ring.cli", *arguments, *([] if show else ["--json"])]
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=self.env,
            stdout=None if show else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        if result.returncode:
            said = result.stderr.strip().splitlines()
            raise DemoError(
                f"'ring {arguments[0]}' failed: {said[-1] if said else 'without a word'}"
            )
        return [] if show else [json.loads(line) for line in result.stdout.splitlines()]

    def check(self, what: str, expected: object, found: object) -> None:
        """Keeps what is not as it must be, and shows both."""
        good = expected == found
        self.say(f"  {'✓' if good else '✗'} {what}: {found}", "green" if good else "bold red")
        if not good:
            self.missing.append(f"{what}: {found} instead of {expected}")

    def all_running(self, *names: str) -> bool:
        """Whether none of these has ended."""
        return all(process.running for process in self._processes if process.name in names)
