"""Tables that people keep in spreadsheets, row by row, each with the line it stands on.

UTF-8 with or without a byte order mark, comma or semicolon, a header with the columns' names in
any order. A row is one line; lines count from 1 as an editor shows them. The file is never held
whole.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from ring.cli.failure import CommandError

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Row:
    """One row: its line, and the values of the columns that were asked for (stripped)."""

    line: int
    values: dict[str, str]


@dataclass(frozen=True)
class BadRow:
    """A row that can't be used, and why."""

    line: int
    reason: str


class CsvFile:
    """An open CSV file.

    required: columns that the header must name; optional: columns that it may name.
    `ignored` holds the names of the others, `bytes_read` of `size` says how far it has come.
    Raises CommandError where the file can't be read, is not UTF-8 or lacks a column.
    """

    def __init__(self, path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        self.path = path
        self.bytes_read = 0
        try:
            self._file: BinaryIO = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise CommandError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
        try:
            self._read_header(required, optional)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read_header(self, required: Sequence[str], optional: Sequence[str]) -> None:
        self._line = 0
        self._lines = self._decoded()
        header = next((line for line in self._lines if line.strip()), "")
        if not header:
            raise CommandError(f"{self.path}: empty; its first line must name the columns")
        self.delimiter = ";" if header.count(";") > header.count(",") else ","
        self._names = [
            name.strip().lower() for name in next(csv.reader([header], delimiter=self.delimiter))
        ]
        wanted = [*required, *optional]
        missing = [name for name in required if name not in self._names]
        if missing:
            raise CommandError(
                f"{self.path}: the header lacks {', '.join(missing)}; "
                f"it must name {', '.join(required)}"
            )
        twice = {name for name in self._names if name in wanted and self._names.count(name) > 1}
        if twice:
            raise CommandError(f"{self.path}: the header names {', '.join(sorted(twice))} twice")
        self._places = {name: self._names.index(name) for name in wanted if name in self._names}
        self.ignored = [name for name in self._names if name and name not in wanted]

    def _decoded(self) -> Iterator[str]:
        for number, raw in enumerate(self._file, start=1):
            self.bytes_read += len(raw)
            self._line = number
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CommandError(
                    f"{self.path}: line {number} is not UTF-8; save the file as 'CSV UTF-8'"
                ) from error
            if "\0" in text:
                raise CommandError(f"{self.path}: line {number} is not text; is this a CSV file?")
            yield text

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, good or bad, in order."""
        for text in self._lines:
            line = self._line
            try:
                # Each line by itself: a quotation mark that is never closed spoils its own row
                # and not the rest of the file.
                cells = next(csv.reader([text], delimiter=self.delimiter, strict=True), [])
            except csv.Error as error:
                yield BadRow(line, f"not in CSV form ({error})")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(self._names):
                yield BadRow(
                    line, f"{len(cells)} values, but the header names {len(self._names)} columns"
                )
            else:
                # A row may leave out its last, optional values.
                yield Row(
                    line,
                    {
                        name: cells[place].strip() if place < len(cells) else ""
                        for name, place in self._places.items()
                    },
                )

    def number(self, text: str) -> float:
        """A number as the file writes it: a decimal comma is one where `;` parts the columns."""
        return float(text.replace(",", ".") if self.delimiter == ";" else text)


def each_row(
    file: CsvFile, parse: Callable[[Row], Parsed], bad: list[BadRow]
) -> Iterator[tuple[int, Parsed]]:
    """(line, parsed row) of the good rows; what `parse` refuses with ValueError goes to `bad`."""
    for row in file.rows():
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        try:
            yield row.line, parse(row)
        except ValueError as error:
            bad.append(BadRow(row.line, str(error)))
