"""What a command prints: answers on stdout, everything else on stderr.

JSON is protobuf's own mapping with the field names of the protocol. Tables are never cut off
where stdout is no terminal: a pipe gets every character. One that would break words in a terminal
is shown row by row.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from ring.cli.failure import CommandError

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.table import Table

    from proto.ring.v1.common_pb2 import LogPosition


# What a question gives at most, whatever --limit says.
_MOST = 1_000
# Columns of characters where stdout is no terminal.
_WIDEST = 400
# Seconds after which who waits is shown that something goes on.
_MOMENT = 1.0


@contextmanager
def writing() -> Iterator[None]:
    """Where stdout can't be written (a full disk), CommandError. A reader that went is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        let_go()
        why = (error.strerror or "its output failed").lower()
        raise CommandError(f"the answer can't be written: {why}") from error


def let_go() -> None:
    """Drops what waits to be written to stdout, so that the end of the process does not try it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def to_dict(message: Message, *, whole: bool = False) -> dict[str, Any]:
    """The message in protobuf's JSON form, as Python values.

    whole: also fields that are 0, false or empty, as an export has them.
    """
    from google.protobuf.json_format import MessageToDict

    fields: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=whole
    )
    return fields


def print_json(value: Message | dict[str, Any]) -> None:
    """One object on one line, flushed."""
    fields = value if isinstance(value, dict) else to_dict(value)
    print_line(json.dumps(fields, ensure_ascii=False))


def print_answer(message: Message) -> None:
    """As `print_json`, whole: a program need not ask whether a count that is 0 is there."""
    print_json(to_dict(message, whole=True))


def print_line(text: str) -> None:
    """A line on stdout, flushed, so that a reader down the pipe has it at once."""
    with writing():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def note(text: str) -> None:
    """A line on stderr, beside the answer."""
    with writing():
        sys.stdout.flush()
    sys.stderr.write(f"ring: {text}\n")
    sys.stderr.flush()


def note_truncated(shown: int, things: str) -> None:
    """That there are more than the answer has. `things`: their plural."""
    wider = "raise --limit, or " if shown < _MOST else ""
    note(f"there are more than {shown:,} {things}: {wider}ask more narrowly")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    caption: str = "",
) -> None:
    """A table for people. `right` names the columns whose cells end at the right."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    ends_right = set(right)
    for name in columns:
        table.add_column(name, justify="right" if name in ends_right else "left", overflow="fold")
    _add(table, rows)
    console = _console()
    # What it needs without a word broken, whatever room there is.
    needed = Measurement.get(console, console.options.update_width(_WIDEST), table).minimum
    if console.is_terminal and needed > console.width:
        _print(console, title, _row_by_row(table), caption)
    else:
        _print(console, title, [table], caption)


def print_fields(title: str, fields: Iterable[Sequence[str]], caption: str = "") -> None:
    """(name, value) pairs of one thing, for people."""
    table = _fields()
    _add(table, fields)
    _print(_console(), title, [table], caption)


def _fields() -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _row_by_row(table: Table) -> Iterator[RenderableType]:
    """Each row as the fields that it has, with a line between them."""
    columns = [(str(column.header).strip(), list(column.cells)) for column in table.columns]
    for number in range(table.row_count):
        row = _fields()
        for name, cells in columns:
            if cells[number]:
                row.add_row(name, cells[number])
        yield row
        yield ""


def _add(table: Table, rows: Iterable[Sequence[str]]) -> None:
    from rich.text import Text

    for row in rows:
        # Text, not markup: a hotlist's reason may well hold square brackets.
        table.add_row(*(Text(printable(cell)) for cell in row))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDEST, highlight=False)


def _print(console: Console, title: str, parts: Iterable[RenderableType], caption: str) -> None:
    from rich.text import Text

    with writing():
        console.print(Text(printable(title), style="bold"))
        for part in parts:
            console.print(part)
        if caption:
            console.print(Text(caption, style="dim"))


def printable(text: str) -> str:
    """The text without characters that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "�" for c in text)


def progress_bar() -> Progress:
    """A bar on stderr, shown in a terminal only; what is printed goes where stdout goes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Lines are printed above the bar where both are in the terminal; else they are not its own.
        redirect_stdout=sys.stdout.isatty(),
    )


@contextmanager
def waiting() -> Iterator[None]:
    """A bar in a terminal where what is waited for takes more than a moment."""
    if not sys.stderr.isatty():
        yield
        return
    bar = progress_bar()
    bar.add_task("waiting for the answer", total=None)
    late = Timer(_MOMENT, bar.start)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()
        bar.stop()


def count(number: int, noun: str, plural: str = "") -> str:
    """1 read, 2,000 reads."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def show_position(position: LogPosition) -> str:
    """LOGID:POSITION, as --at-least and --after take it."""
    return f"{position.log_id}:{position.position}"


def show_direction(direction: int) -> str:
    """entry, exit, or a dash where it is not known."""
    return {1: "entry", 2: "exit"}.get(direction, "–")
