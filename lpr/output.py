"""What a command prints: answers on stdout, everything else on stderr, a line at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lpr import logs

if TYPE_CHECKING:
    from rich.progress import Progress

    from lpr.reading import CapturedRead
    from lpr.spool import Appended


def say(text: str, *, error: bool = False) -> None:
    """A line beside the answer, as logs are written (LPR_LOG)."""
    logs.say(" ".join(text.split()), error=error)


def print_json(value: dict[str, Any]) -> None:
    """One object on one line, flushed."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def read_fields(read: CapturedRead) -> dict[str, Any]:
    """A read as --json shows it; the box is [x, y, width, height] in pixels.

    direction: there where the reader tells it.
    """
    direction = {"direction": read.direction} if read.direction else {}
    return direction | {
        "source": read.source,
        "plate": read.reading.plate,
        "confidence": round(read.reading.confidence, 4),
        "region": read.reading.region,
        "box": list(read.box.rounded()),
    }


def place_fields(read: CapturedRead, reader: str, where: Appended) -> dict[str, Any]:
    """What --json adds once the read has its place in the spool."""
    return {
        "reader": reader,
        "epoch": where.epoch,
        "sequence": where.last,
        "captured_at": read.captured_at.isoformat(),
    }


def print_read(read: CapturedRead) -> None:
    """A read as a person sees it."""
    reading = read.reading
    print(
        f"{reading.plate:<12} {reading.confidence:4.2f}  {reading.region or '–':<2}  {read.source}",
        flush=True,
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """A table; never cut off where stdout is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 400, highlight=False)
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def progress_bar() -> Progress:
    """A bar on stderr, shown in a terminal only; what is printed goes where stdout goes."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Lines are printed above the bar where both are in the terminal; else they are not its own.
        redirect_stdout=sys.stdout.isatty(),
    )
