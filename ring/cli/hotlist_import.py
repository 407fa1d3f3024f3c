"""`ring hotlist import`: a file becomes a list, as a stream and as one change.

Always true here: of a file of any length, only what one message holds is in memory, and the first
rows that were left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from ring.cli.connection import connect
from ring.cli.csv_file import BadRow, BadRows, CsvFile, Row, each_row
from ring.cli.export_columns import plain_text
from ring.cli.failure import CommandError
from ring.cli.imports import File, finish, note_ignored, rejected_json
from ring.cli.options import Case, Json, Reason, Server
from ring.cli.output import count, print_json, print_line, progress_bar, show_position, to_dict
from ring.cli.purpose import purpose
from ring.cli.settings import Settings, load
from ring.cli.times import parse_seconds, parse_time, timestamp
from ring.cli.watch_hours import parse_hours

if TYPE_CHECKING:
    import grpc
    from google.protobuf.timestamp_pb2 import Timestamp

    from proto.ring.v1.alert_pb2 import HotlistEntry
    from proto.ring.v1.hotlist_pb2 import (
        Hotlist,
        ImportEntriesRequest,
        ImportEntriesResponse,
        ImportHeader,
        UnconfirmedEntry,
    )
    from proto.ring.v1.look_back_pb2 import LookBack

Name = Annotated[str, typer.Argument(metavar="NAME", help="The list's name.")]
Agency = Annotated[
    str,
    typer.Option(
        "--agency",
        metavar="NAME",
        help='Who owns the list. (The agency of --as without it, else "default")',
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=HEADER,...",
        help="What the file calls our columns, e.g. plate=PATENTE,reason=MOTIVO; may be repeated.",
    ),
]
_TEXTS = ("reason", "priority", "reference", "region")
REQUIRED = ("plate",)
OPTIONAL = (*_TEXTS, "valid_from", "expires_at", "checkpoints", "hours")
# The protocol's bound on one message of an import, and one well under what gRPC takes (4 MiB).
_CHUNK = 5_000
_CHUNK_BYTES = 2 << 20


class _Import:
    """The messages of one import, made while the file is read.

    gRPC pulls them in a thread of its own and drops what they raise: it is kept in `failure`.
    """

    def __init__(self, file: CsvFile, header: ImportHeader, zone: ZoneInfo, empty: bool) -> None:
        self.bad = BadRows()
        self.failure: BaseException | None = None
        self._file = file
        self._header = header
        self._zone = zone
        self._empty = empty

    def messages(self) -> Iterator[ImportEntriesRequest]:
        from proto.ring.v1.hotlist_pb2 import ImportEntriesRequest

        try:
            yield ImportEntriesRequest(header=self._header)
            chunk = ImportEntriesRequest()
            size, sent = 0, False
            for line, entry in each_row(
                self._file, lambda row: entry_of(row, self._zone), self.bad
            ):
                length = entry.ByteSize()
                if len(chunk.rows) == _CHUNK or size + length > _CHUNK_BYTES:
                    yield chunk
                    chunk, size = ImportEntriesRequest(), 0
                chunk.entries.append(entry)
                chunk.rows.append(line)
                size += length
                sent = True
            if not sent and not self._empty:
                # Half-closing now would take every entry off the list.
                raise CommandError(self._nothing())
            chunk.last = True
            yield chunk
        except BaseException as error:
            self.failure = error
            raise

    def _nothing(self) -> str:
        path = self._file.path
        if self.bad.named:
            first = self.bad.named[0]
            return f"{path}: no row can be used (line {first.line}: {first.reason}); no change made"
        return f"{path}: no rows; no change made. To empty the list, add --allow-empty"


def entry_of(row: Row, zone: ZoneInfo) -> HotlistEntry:
    """One row. ValueError, with a line for people, where it can't be an entry."""
    from proto.ring.v1.alert_pb2 import HotlistEntry

    values = row.values
    if not values["plate"]:
        raise ValueError("no plate")
    entry = HotlistEntry(plate=values["plate"])
    for name in _TEXTS:
        if text := values.get(name):
            setattr(entry, name, plain_text(text))
    if start := values.get("valid_from"):
        entry.valid_from.CopyFrom(_time(start, zone, end_of_day=False))
    if end := values.get("expires_at"):
        entry.expires_at.CopyFrom(_time(end, zone, end_of_day=True))
    if codes := values.get("checkpoints"):
        entry.checkpoints.extend(codes.replace(",", " ").split())
    if hours := values.get("hours"):
        entry.hours.extend(parse_hours(hours))
    return entry


# Most entries of a list end with the same few days.
@lru_cache(maxsize=4096)
def _time(text: str, zone: ZoneInfo, *, end_of_day: bool) -> Timestamp:
    return timestamp(parse_time(text, zone, end_of_day=end_of_day))


def import_entries(
    name: Name,
    file: File,
    agency: Agency = "",
    mapping: Map = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add to the list; without it the file is the whole list.")
    ] = False,
    allow_empty: Annotated[
        bool,
        typer.Option("--allow-empty", help="A file without a usable row empties the list."),
    ] = False,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm-frequent",
            help="Entries that would hit more than 100 times a day are meant, and go live too.",
        ),
    ] = False,
    look_back: Annotated[
        str | None,
        typer.Option(
            "--look-back",
            metavar="TIME",
            help="Also look at reads received so long before, e.g. 7d; 0: none. (RING_LOOK_BACK of "
            "the server without it)",
        ),
    ] = None,
    case: Case = None,
    reason: Reason = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Make a file the list, live at once for every read from then on; creates the list.

    Columns: plate (or a pattern: ? is one character, * any run), and where there are any reason,
    valid_from, expires_at, priority, reference, region, and for a watch order checkpoints ("GP-01
    GP-02") and hours ("Mon-Fri 22:00-06:00 | Sat 00:00-24:00"); --map for a file that calls them
    otherwise. Times without a zone are in RING_TIME_ZONE, a bare day as expires_at is the end of
    that day. Bad rows, and entries that would hit more than 100 times a day and are not confirmed,
    are named by line and left out (exit code 1).
    """
    from proto.ring.v1.hotlist_pb2 import ImportHeader, ImportMode

    settings, names = load(), names_of(mapping)
    header = ImportHeader(
        hotlist=name,
        agency=agency,
        mode=ImportMode.IMPORT_MODE_ADD if add else ImportMode.IMPORT_MODE_REPLACE,
        create=True,
        confirm_frequent=confirm,
        allow_empty=allow_empty,
        look_back=_look_back(look_back, case, reason, settings),
    )
    with (
        connect(server, settings) as channel,
        CsvFile(file, REQUIRED, OPTIONAL, names) as table,
    ):
        note_ignored(table)
        sending = _Import(table, header, settings.zone, allow_empty or add)
        answer = _send(channel, sending, table)
    _tell(file, sending, answer, as_json=as_json)


def _look_back(
    period: str | None, case: str | None, reason: str | None, settings: Settings
) -> LookBack | None:
    """How the import looks back; None where nothing is said of it."""
    from proto.ring.v1.look_back_pb2 import LookBack

    if period is None and not case and not reason:
        return None
    result = LookBack()
    if period is not None:
        microseconds = round(parse_seconds(period) * 1_000_000)
        result.period.FromMicroseconds(microseconds)
        result.period.SetInParent()  # 0 is said, too
    if case or reason:
        result.purpose.CopyFrom(purpose(case, reason, settings))
    return result


def _send(channel: grpc.Channel, sending: _Import, file: CsvFile) -> ImportEntriesResponse:
    import grpc

    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with progress_bar() as bar:
        task = bar.add_task(f"importing {file.path.name}", total=file.size)
        call = HotlistServiceStub(channel).ImportEntries.future(sending.messages())
        try:
            while True:
                try:
                    return call.result(timeout=0.1)
                except grpc.FutureTimeoutError:
                    bar.update(task, completed=file.bytes_read)
        except grpc.RpcError:
            if isinstance(sending.failure, Exception):
                raise sending.failure from None
            raise
        finally:
            call.cancel()


def names_of(mapping: list[str] | None) -> Mapping[str, str]:
    """What the file calls our columns. Raises CommandError."""
    names: dict[str, str] = {}
    for text in mapping or ():
        # A header may well have a comma in it.
        for part in re.split(r",(?=\s*\w+=)", text):
            column, equals, header = (word.strip() for word in part.partition("="))
            if not (equals and header):
                raise CommandError(f"--map {part!r}: write COLUMN=HEADER, e.g. plate=PATENTE", 2)
            if column not in (*REQUIRED, *OPTIONAL):
                known = ", ".join((*REQUIRED, *OPTIONAL))
                raise CommandError(f"--map: there is no column {column!r}, only {known}", 2)
            if column in names:
                raise CommandError(f"--map names {column} twice", 2)
            names[column] = header
    return names


def _tell(path: Path, sending: _Import, answer: ImportEntriesResponse, *, as_json: bool) -> None:
    bad = sending.bad
    for rejected in answer.rejected:
        bad.append(BadRow(rejected.row, rejected.reason))
    for doubtful in answer.unconfirmed:
        bad.append(BadRow(doubtful.row, _doubt(doubtful)))
    bad.total += answer.rejected_total - len(answer.rejected)
    bad.total += answer.unconfirmed_total - len(answer.unconfirmed)
    if as_json:
        print_json(
            {
                "hotlist": to_dict(answer.hotlist),
                "added": answer.added,
                "removed": answer.removed,
                "unchanged": answer.unchanged,
                "unconfirmed_total": answer.unconfirmed_total,
                **rejected_json(bad),
                "position": to_dict(answer.position),
                "look_back_id": answer.look_back_id,
                "look_back_denied": answer.look_back_denied,
            }
        )
    else:
        print_line(
            f"{answer.added:,} added, {answer.removed:,} removed, {answer.unchanged:,} unchanged, "
            f"{bad.total:,} rejected; {summary_of(answer.hotlist)}, "
            f"live from {show_position(answer.position)} on"
        )
        if answer.look_back_id:
            print_line(f"looking back: see ring look-back show {answer.look_back_id}")
        if answer.look_back_denied:
            owner = answer.hotlist.agency
            print_line(f"not looked back: {owner} lets you change the list, not look back for it")
    finish(path, bad, silent=as_json)


def _doubt(entry: UnconfirmedEntry) -> str:
    if entry.HasField("reads_a_day"):
        often = f"was read {entry.reads_a_day:,} times on one of the last days"
    else:
        often = "may hit often (the read side does not answer, so how often is not known)"
    return f"{entry.plate} {often}: to have it live all the same, add --confirm-frequent"


def summary_of(hotlist: Hotlist) -> str:
    """AGENCY/NAME has N entries."""
    return f"{hotlist.agency}/{hotlist.name} has {count(hotlist.entries, 'entry', 'entries')}"
