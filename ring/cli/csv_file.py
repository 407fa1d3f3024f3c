"""Tables that people keep in spreadsheets, row by row, each with the line it begins on.

UTF-8 with or without a byte order mark, comma or semicolon, lines that end in LF or CR LF, a header
with the columns' names in any order. Lines count from 1 as an editor shows them. The file is never
held whole.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from ring.cli.failure import CommandError

# A value in quotation marks may go over several lines, but one that was never closed is to spoil
# its own row and not the rest of the file.
_MOST_LINES = 200
_LONGEST_LINE = 1 << 20
_NAMED = 1000
Parsed = TypeVar("Parsed")


class Row(NamedTuple):
    """One row: its line, and the values of the columns that were asked for (stripped)."""

    line: int
    values: dict[str, str]


class BadRow(NamedTuple):
    """A row that can't be used, and why."""

    line: int
    reason: str


class CsvFile:
    """An open CSV file.

    required: columns that the header must name; optional: columns that it may name. `names` says
    what the file calls a column, where that is not its own name.
    `ignored` holds the names of the others, `bytes_read` of `size` says how far it has come.
    Raises CommandError where the file can't be read, is not UTF-8 or lacks a column.
    """

    def __init__(
        self,
        path: Path,
        required: Sequence[str],
        optional: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.bytes_read = 0
        try:
            self._file: BinaryIO = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise CommandError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
        try:
            self._read_header(required, optional, names)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read_header(
        self, required: Sequence[str], optional: Sequence[str], mapping: Mapping[str, str] | None
    ) -> None:
        names = mapping or {}
        # Lines that were read ahead, and are still to be read as rows.
        self._ahead: deque[tuple[int, str]] = deque()
        self._decoded = self._decode()
        header = next((text for _, text in self._decoded if text.strip()), "")
        if not header:
            raise CommandError(f"{self.path}: empty; its first line must name the columns")
        if "\r" in header.rstrip("\r\n"):
            raise CommandError(f"{self.path}: its lines end in CR alone; save it with LF or CR LF")
        self.delimiter = ";" if header.count(";") > header.count(",") else ","
        cells = next(csv.reader([header], delimiter=self.delimiter))
        self._names = [name.strip().lower() for name in cells]
        called = {name: names.get(name, name).strip().lower() for name in (*required, *optional)}
        for name, header_name in names.items():
            if called[name] not in self._names:
                raise CommandError(
                    f"{self.path}: no column is called {header_name!r}; "
                    f"the header names {', '.join(cell.strip() for cell in cells)}"
                )
        missing = [name for name in required if called[name] not in self._names]
        if missing:
            otherwise = "" if mapping is None else ", or --map say what the file calls it"
            raise CommandError(
                f"{self.path}: the header lacks {', '.join(missing)}; "
                f"it must name {', '.join(required)}{otherwise}"
            )
        twice = {name for name in called.values() if self._names.count(name) > 1}
        if twice:
            raise CommandError(f"{self.path}: the header names {', '.join(sorted(twice))} twice")
        self._places = {
            name: self._names.index(header_name)
            for name, header_name in called.items()
            if header_name in self._names
        }
        used = set(self._places.values())
        self.ignored = [n for place, n in enumerate(self._names) if n and place not in used]

    def _decode(self) -> Iterator[tuple[int, str]]:
        number = 0
        while raw := self._file.readline(_LONGEST_LINE):
            self.bytes_read += len(raw)
            number += 1
            if len(raw) == _LONGEST_LINE:
                raise CommandError(f"{self.path}: line {number} has no end; is this a CSV file?")
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CommandError(
                    f"{self.path}: line {number} is not UTF-8; save the file as 'CSV UTF-8'"
                ) from error
            if "\0" in text:
                raise CommandError(f"{self.path}: line {number} is not text; is this a CSV file?")
            yield number, text

    def _next_line(self) -> tuple[int, str] | None:
        return self._ahead.popleft() if self._ahead else next(self._decoded, None)

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, good or bad, in order."""
        while (read := self._next_line()) is not None:
            line, text = read
            bare = text.rstrip("\r\n")
            if '"' not in bare and "\r" not in bare:
                cells = bare.split(self.delimiter)
            else:
                try:
                    cells = self._cells(text)
                except csv.Error as error:
                    yield BadRow(line, f"not in CSV form ({error})")
                    continue
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if len(cells) > len(self._names):
                yield BadRow(
                    line, f"{len(cells)} values, but the header names {len(self._names)} columns"
                )
            else:
                # A row may leave out its last, optional values.
                cells += [""] * (len(self._names) - len(cells))
                yield Row(line, {name: cells[place] for name, place in self._places.items()})

    def _cells(self, text: str) -> list[str]:
        """The values of a row that has quotation marks, with the lines that they go on over.

        csv.Error where it is none; the lines after the first are then rows of their own.
        """
        taken: list[tuple[int, str]] = []

        def lines() -> Iterator[str]:
            yield text
            while len(taken) < _MOST_LINES and (further := self._next_line()) is not None:
                taken.append(further)
                yield further[1]

        try:
            return next(csv.reader(lines(), delimiter=self.delimiter, strict=True))
        except csv.Error:
            self._ahead.extendleft(reversed(taken))
            raise

    def number(self, text: str) -> float:
        """A number as the file writes it: a decimal comma is one where `;` parts the columns."""
        return float(text.replace(",", ".") if self.delimiter == ";" else text)


class BadRows:
    """The rows that were left out: the first of them by line, and how many there were."""

    def __init__(self) -> None:
        self.named: list[BadRow] = []
        self.total = 0

    def append(self, row: BadRow) -> None:
        """One more."""
        self.total += 1
        if len(self.named) < _NAMED:
            self.named.append(row)


def each_row(
    file: CsvFile, parse: Callable[[Row], Parsed], bad: BadRows
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
