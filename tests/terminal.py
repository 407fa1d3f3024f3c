"""A command whose stderr is a terminal while its answer goes to a file."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Done(NamedTuple):
    """How it ended: exit code, what went to the file, and what the terminal was shown."""

    code: int
    answer: str
    shown: str


def beside_terminal(module: str, *words: str, file: Path, env: Mapping[str, str]) -> Done:
    """`python -m MODULE WORDS > FILE`, as in a terminal."""
    terminal, stderr = pty.openpty()
    with file.open("wb") as answer:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env={**env, "TERM": "xterm"},
            stdout=answer,
            stderr=stderr,
        )
    os.close(stderr)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while more := os.read(terminal, 4096):
            shown += more
    os.close(terminal)
    return Done(process.wait(60), file.read_text(encoding="utf-8"), shown.decode())
