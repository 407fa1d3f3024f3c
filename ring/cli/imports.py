"""What the three imports share: how far they are, and how they tell of rows that were left out.

An import does what it can: the good rows take effect, the bad ones are named by their line, and
the exit code is 1 where there was any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ring.cli.csv_file import BadRow, CsvFile, each_row
from ring.cli.output import note, print_json, print_line, printable, progress_bar

Parsed = TypeVar("Parsed")

# Under the 4 MiB that a message may have, with room.
CHUNK = 1_000
_NAMED = 20

File = Annotated[
    Path, typer.Argument(metavar="FILE.csv", help="UTF-8, comma or semicolon, with a header.")
]


def chunks(
    rows: Iterable[tuple[int, Parsed]], size: int = CHUNK
) -> Iterator[list[tuple[int, Parsed]]]:
    """The rows in lists of at most `size`."""
    left = iter(rows)
    while chunk := list(islice(left, size)):
        yield chunk


def import_rows(
    path: Path,
    required: Sequence[str],
    parse: Callable[[CsvFile], Callable[[Any], Parsed]],
    send: Callable[[list[Parsed]], Any],
    *,
    as_json: bool,
) -> None:
    """Sends a CSV file's rows in chunks and tells the outcome.

    parse: from the file, what makes a message of a row (ValueError: why it can't).
    send: one chunk; returns the server's ImportResponse.
    """
    bad: list[BadRow] = []
    added = changed = unchanged = 0
    with CsvFile(path, required) as file, progress_bar() as bar:
        note_ignored(file)
        task = bar.add_task(f"importing {path.name}", total=file.size)
        for chunk in chunks(each_row(file, parse(file), bad)):
            answer = send([message for _, message in chunk])
            added += answer.added
            changed += answer.changed
            unchanged += answer.unchanged
            bad.extend(BadRow(chunk[r.row - 1][0], r.reason) for r in answer.rejected)
            bar.update(task, completed=file.bytes_read)
    bad.sort(key=lambda row: row.line)
    if as_json:
        print_json(
            {"added": added, "changed": changed, "unchanged": unchanged, **rejected_json(bad)}
        )
    else:
        print_line(f"{added:,} added, {changed:,} changed, {unchanged:,} unchanged")
    finish(path, bad, len(bad), silent=as_json)


def note_ignored(file: CsvFile) -> None:
    """Says which columns of the file play no part."""
    if file.ignored:
        note(f"{file.path}: columns not used: {', '.join(map(printable, file.ignored))}")


def rejected_json(bad: Sequence[BadRow]) -> dict[str, Any]:
    """The rows left out, as --json tells them."""
    return {"rejected": [{"line": row.line, "reason": row.reason} for row in bad]}


def finish(path: Path, bad: Sequence[BadRow], total: int, *, silent: bool) -> None:
    """Names the bad rows on stderr and ends with exit code 1 where there are any.

    total: how many there were, which may be more than are known by line.
    """
    if not total:
        return
    if not silent:
        for row in bad[:_NAMED]:
            note(f"{path}: line {row.line}: {printable(row.reason)}")
    more = total - min(len(bad), _NAMED)
    rest = f", {more:,} of them not named here (--json names more)" if more and not silent else ""
    note(f"{total:,} {'row was' if total == 1 else 'rows were'} left out{rest}; the others count")
    raise typer.Exit(1)
