"""`--export FILE`: an answer as CSV or Parquet instead of on the screen.

Always true here: rows are written as they arrive, a few thousand in memory; a file has its name
only once it is whole and on the disk, so what was cut short is never taken for an answer, and goes
away also where the command is told to end; nothing is overwritten unless told. Files are readable
by their owner alone: they hold people's movements.
"""

from __future__ import annotations

import csv
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer

from ring.cli.failure import CommandError
from ring.cli.output import count, note, print_json, progress_bar

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from proto.ring.v1.common_pb2 import Purpose
    from ring.cli.export_columns import Column

Export = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="FILE",
        help="Write the answer to FILE.csv or FILE.parquet instead of showing it.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="With --export: replace the file where there is one.")
]

_BATCH = 10_000


@dataclass(frozen=True)
class Destination:
    """Where an answer goes."""

    path: Path
    force: bool

    def beside(self, name: str) -> Destination:
        """For a second table of the same answer: FILE-name.csv. CommandError as `destination`."""
        path = self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}")
        return _checked(Destination(path, self.force))

    def write(
        self,
        kind: Descriptor,
        messages: Iterable[Message],
        purpose: Purpose | None = None,
        *,
        noun: str,
        plural: str = "",
        as_json: bool = False,
        columns: Sequence[Column] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Writes a table of messages of one kind, with a bar in a terminal, and says how many.

        Its columns are the kind's, unless others are given. A Parquet file's metadata says for
        which case it was made, why, and when. `after`: writes another table of the same answer;
        where it fails there is no file.
        """
        from ring.cli.export_columns import columns_of

        columns = columns or columns_of(kind)
        about = {"exported_at": datetime.now(UTC).isoformat(timespec="seconds")}
        if purpose is not None:
            about |= {"case_number": purpose.case_number, "reason": purpose.reason}
        written = 0
        left = iter(messages)
        with _ending_in_order(), _whole(self) as part:
            with (
                _SINKS[self.path.suffix.lower()](part, columns, about) as sink,
                progress_bar() as bar,
            ):
                task = bar.add_task(f"exporting {plural or noun + 's'}", total=None)
                while batch := list(islice(left, _BATCH)):
                    sink.add(batch)
                    written += len(batch)
                    bar.update(task, description=f"exporting {count(written, noun, plural)}")
            if after:
                after()
        if as_json:
            print_json({"file": str(self.path), "rows": written})
        else:
            note(f"{count(written, noun, plural)} in {self.path}")


def destination(path: Path | None, force: bool) -> Destination | None:
    """Where the answer shall go, or None: on the screen. To be called before anything is asked.

    CommandError where the name ends in neither .csv nor .parquet, or the file is there.
    """
    if path is None:
        if force:
            raise CommandError(
                "--force says that --export may replace a file: add --export FILE", 2
            )
        return None
    return _checked(Destination(path, force))


def _checked(chosen: Destination) -> Destination:
    path = chosen.path
    if path.suffix.lower() not in _SINKS:
        raise CommandError(f"{path}: an answer is exported to FILE.csv or FILE.parquet", 2)
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}", 2)
    if path.is_dir():
        raise CommandError(f"{path} is a folder: name a file in it", 2)
    if path.exists() and not chosen.force:
        raise CommandError(f"{path} is there already: name another file, or add --force", 2)
    return chosen


@contextmanager
def _whole(chosen: Destination) -> Iterator[Path]:
    """A file under another name, which takes its own once the block has ended well."""
    path = chosen.path
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
        os.close(descriptor)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            # Somebody else may have made it meanwhile.
            _checked(chosen)
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        # By its number: what the writer of Parquet says of it is its own.
        why = os.strerror(error.errno) if error.errno else "cannot be written"
        raise CommandError(f"{path}: {why.lower()}") from error


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that it can put things away."""

    def end(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    # Who ignores one (nohup) goes on; a thread can set none.
    default = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if current_thread() is main_thread() and signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in default:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in default:
            signal.signal(number, signal.SIG_DFL)


class _Sink(Protocol):
    def __init__(self, path: Path, columns: Sequence[Column], about: dict[str, str]) -> None: ...
    def __enter__(self) -> _Sink: ...
    def __exit__(self, *_: object) -> None: ...
    def add(self, batch: Sequence[Message]) -> None: ...


class _Csv:
    def __init__(self, path: Path, columns: Sequence[Column], about: dict[str, str]) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(column.name for column in columns)

    def __enter__(self) -> _Csv:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, batch: Sequence[Message]) -> None:
        self._writer.writerows([column.text(row) for column in self._columns] for row in batch)


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column], about: dict[str, str]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._columns = columns
        self._schema: Any = pa.schema([(c.name, c.type) for c in columns], metadata=about)
        self._writer: Any = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, batch: Sequence[Message]) -> None:
        import pyarrow as pa

        arrays = [pa.array([c.value(row) for row in batch], c.type) for c in self._columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))


_SINKS: dict[str, type[_Sink]] = {".csv": _Csv, ".parquet": _Parquet}
