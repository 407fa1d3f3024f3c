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

from ring.cli.csv_file import BadRow, BadRows, CsvFile, each_row
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
    optional: Sequence[str] = (),
) -> None:
    """Sends a CSV file's rows in chunks and tells the outcome.

    parse: from the file, what makes a message of a row (ValueError: why it can't).
    send: one chunk; returns the server's ImportResponse.
    """
    bad = BadRows()
    added = changed = unchanged = 0
    with CsvFile(path, required, optional) as file, progress_bar() as bar:
        note_ignored(file)
        task = bar.add_task(f"importing {path.name}", total=file.size)
        for chunk in chunks(each_row(file, parse(file), bad)):
            answer = send([message for _, message in chunk])
            added += answer.added
            changed += answer.changed
            unchanged += answer.unchanged
            for rejected in answer.rejected:
                bad.append(BadRow(chunk[rejected.row - 1][0], rejected.reason))
            bar.update(task, completed=file.bytes_read)
    if as_json:
        print_json(
            {"added": added, "changed": changed, "unchanged": unchanged, **rejected_json(bad)}
        )
    else:
        print_line(f"{added:,} added, {changed:,} changed, {unchanged:,} unchanged")
    finish(path, bad, silent=as_json)


def note_ignored(file: CsvFile) -> None:
    """Says which columns of the file play no part."""
    if file.ignored:
        note(f"{file.path}: columns not used: {', '.join(map(printable, file.ignored))}")


def rejected_json(bad: BadRows) -> dict[str, Any]:
    """The rows left out, as --json tells them: how many, and the first of them by line."""
    rows = sorted(bad.named, key=lambda row: row.line)
    return {
        "rejected_total": bad.total,
        "rejected": [{"line": row.line, "reason": row.reason} for row in rows],
    }


def finish(path: Path, bad: BadRows, *, silent: bool) -> None:
    """Names the bad rows on stderr and ends with exit code 1 where there are any."""
    if not bad.total:
        return
    told = sorted(bad.named, key=lambda row: row.line)[:_NAMED]
    if not silent:
        for row in told:
            note(f"{path}: line {row.line}: {printable(row.reason)}")
    more = bad.total - len(told)
    rest = f", {more:,} of them not named here (--json names more)" if more and not silent else ""
    were = "row was" if bad.total == 1 else "rows were"
    note(f"{bad.total:,} {were} left out{rest}; the others count")
    raise typer.Exit(1)
