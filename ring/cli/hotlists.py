"""`ring hotlist`: the plates that somebody has a reason to look for."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from ring.cli.connection import connect
from ring.cli.csv_file import BadRow, CsvFile, Row, each_row
from ring.cli.failure import CommandError
from ring.cli.imports import (
    File,
    finish,
    note_ignored,
    rejected_json,
)
from ring.cli.options import Json, Server
from ring.cli.output import (
    count,
    print_json,
    print_line,
    print_table,
    progress_bar,
    show_position,
    to_dict,
)
from ring.cli.settings import load
from ring.cli.times import parse_time, timestamp

if TYPE_CHECKING:
    import grpc

    from proto.ring.v1.alert_pb2 import HotlistEntry
    from proto.ring.v1.hotlist_pb2 import (
        Hotlist,
        ImportEntriesRequest,
        ImportEntriesResponse,
        ImportHeader,
    )

app = typer.Typer(no_args_is_help=True, help="The plates that somebody has a reason to look for.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The list's name.")]
Agency = Annotated[
    str,
    typer.Option(
        "--agency",
        metavar="NAME",
        help='Who owns the list. (The agency of --as without it, else "default")',
    ),
]
Grantee = Annotated[
    str, typer.Argument(metavar="AGENCY", help="Another agency than the one that owns the list.")
]
_RIGHT = "HOTLIST_RIGHT_"
_SECONDS = 120.0
# The protocol's bound on one message of an import, and one well under what gRPC takes (4 MiB).
_CHUNK = 5_000
_CHUNK_BYTES = 2 << 20


class _Import:
    """The messages of one import, made while the file is read.

    gRPC pulls them in a thread of its own and drops what they raise: it is kept in `failure`.
    """

    def __init__(self, file: CsvFile, header: ImportHeader, zone: ZoneInfo, empty: bool) -> None:
        self.bad: list[BadRow] = []
        self.lines = array("Q")  # of each row sent, in order
        self.failure: BaseException | None = None
        self._file = file
        self._header = header
        self._zone = zone
        self._empty = empty

    def messages(self) -> Iterator[ImportEntriesRequest]:
        from proto.ring.v1.hotlist_pb2 import ImportEntriesRequest

        try:
            yield ImportEntriesRequest(header=self._header)
            entries: list[HotlistEntry] = []
            size = 0
            for line, entry in each_row(self._file, self._entry, self.bad):
                if len(entries) == _CHUNK or size + entry.ByteSize() > _CHUNK_BYTES:
                    yield ImportEntriesRequest(entries=entries)
                    entries, size = [], 0
                self.lines.append(line)
                entries.append(entry)
                size += entry.ByteSize()
            if entries:
                yield ImportEntriesRequest(entries=entries)
            if not self.lines and not self._empty:
                # Half-closing now would take every entry off the list.
                raise CommandError(self._nothing())
            yield ImportEntriesRequest(last=True)
        except BaseException as error:
            self.failure = error
            raise

    def _nothing(self) -> str:
        path = self._file.path
        if self.bad:
            first = self.bad[0]
            return f"{path}: no row can be used (line {first.line}: {first.reason}); no change made"
        return f"{path}: no rows; no change made. To empty the list, add --allow-empty"

    def _entry(self, row: Row) -> HotlistEntry:
        from proto.ring.v1.alert_pb2 import HotlistEntry

        values = row.values
        if not values["plate"]:
            raise ValueError("no plate")
        entry = HotlistEntry(
            plate=values["plate"],
            reason=values.get("reason", ""),
            priority=values.get("priority", ""),
            reference=values.get("reference", ""),
            region=values.get("region", ""),
        )
        if start := values.get("valid_from"):
            entry.valid_from.CopyFrom(timestamp(parse_time(start, self._zone)))
        if end := values.get("expires_at"):
            entry.expires_at.CopyFrom(timestamp(parse_time(end, self._zone, end_of_day=True)))
        return entry


@app.command("import")
def import_entries(
    name: Name,
    file: File,
    agency: Agency = "",
    add: Annotated[
        bool, typer.Option("--add", help="Add to the list; without it the file is the whole list.")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="A file without rows empties the list.")
    ] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Make a file the list, live at once for every read from then on; creates the list.

    Columns: plate, and where there are any reason, valid_from, expires_at, priority, reference,
    region. Times without a zone are in RING_TIME_ZONE, a bare day as expires_at is the end of
    that day. Bad rows are named by line and left out (exit code 1).
    """
    from proto.ring.v1.hotlist_pb2 import ImportHeader, ImportMode

    settings = load()
    header = ImportHeader(
        hotlist=name,
        agency=agency,
        mode=ImportMode.IMPORT_MODE_ADD if add else ImportMode.IMPORT_MODE_REPLACE,
        create=True,
    )
    optional = ("reason", "valid_from", "expires_at", "priority", "reference", "region")
    with connect(server, settings) as channel, CsvFile(file, ("plate",), optional) as table:
        note_ignored(table)
        sending = _Import(table, header, settings.zone, allow_empty or add)
        answer = _send(channel, sending, table)
    _tell(file, sending, answer, as_json=as_json)


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


def _tell(path: Path, sending: _Import, answer: ImportEntriesResponse, *, as_json: bool) -> None:
    left_out = len(sending.bad) + answer.rejected_total
    bad = sorted(
        [*sending.bad, *(BadRow(sending.lines[r.row - 1], r.reason) for r in answer.rejected)],
        key=lambda row: row.line,
    )
    if as_json:
        print_json(
            {
                "hotlist": to_dict(answer.hotlist),
                "added": answer.added,
                "removed": answer.removed,
                "unchanged": answer.unchanged,
                "rejected_total": left_out,
                **rejected_json(bad),
                "position": to_dict(answer.position),
            }
        )
    else:
        print_line(
            f"{answer.added:,} added, {answer.removed:,} removed, {answer.unchanged:,} unchanged; "
            f"{_summary(answer.hotlist)}, live from {show_position(answer.position)} on"
        )
    finish(path, bad, left_out, silent=as_json)


def _summary(hotlist: Hotlist) -> str:
    return f"{hotlist.agency}/{hotlist.name} has {count(hotlist.entries, 'entry', 'entries')}"


def _grants(hotlist: Hotlist) -> str:
    from proto.ring.v1.hotlist_pb2 import HotlistRight

    return ", ".join(
        f"{grant.agency} may {HotlistRight.Name(grant.right).removeprefix(_RIGHT).lower()}"
        for grant in hotlist.grants
    )


@app.command("list")
def list_hotlists(server: Server = None, as_json: Json = False) -> None:
    """Every hotlist that you may see, in order of agency and name."""
    from proto.ring.v1.hotlist_pb2 import ListHotlistsRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        found = HotlistServiceStub(channel).ListHotlists(ListHotlistsRequest(), timeout=_SECONDS)
    if as_json:
        for hotlist in found.hotlists:
            print_json(hotlist)
        return
    print_table(
        count(len(found.hotlists), "hotlist"),
        ("agency", "name", "entries", "version", "confidence floor", "granted"),
        (
            (
                h.agency,
                h.name,
                f"{h.entries:,}",
                str(h.version),
                f"{h.confidence_floor:.2f}",
                _grants(h),
            )
            for h in found.hotlists
        ),
        right=("entries", "version", "confidence floor"),
    )


@app.command("create")
def create_hotlist(
    name: Name,
    agency: Agency = "",
    floor: Annotated[
        float | None,
        typer.Option(
            "--floor",
            min=0,
            max=1,
            help="Reads of a lower confidence raise no alert; 0.5 without it.",
        ),
    ] = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Make an empty list. `ring hotlist import` does so too, with the default floor."""
    from proto.ring.v1.hotlist_pb2 import CreateHotlistRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        hotlist = HotlistServiceStub(channel).CreateHotlist(
            CreateHotlistRequest(name=name, agency=agency, confidence_floor=floor),
            timeout=_SECONDS,
        )
    if as_json:
        print_json(hotlist)
    else:
        print_line(f"created; reads under {hotlist.confidence_floor:.2f} raise no alert")


@app.command("remove")
def remove_entries(
    name: Name,
    plate: Annotated[
        list[str] | None,
        typer.Option("--plate", metavar="PLATE", help="Every entry of it; may be repeated."),
    ] = None,
    entry: Annotated[
        list[str] | None,
        typer.Option("--entry", metavar="ID", help="One entry by its id; may be repeated."),
    ] = None,
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Take entries off a list, all at once."""
    from proto.ring.v1.hotlist_pb2 import RemoveEntriesRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    if not plate and not entry:
        raise CommandError("say what to take off: --plate PLATE or --entry ID", 2)
    with connect(server, load()) as channel:
        answer = HotlistServiceStub(channel).RemoveEntries(
            RemoveEntriesRequest(hotlist=name, agency=agency, entry_ids=entry, plates=plate),
            timeout=_SECONDS,
        )
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer.removed:,} removed; {_summary(answer.hotlist)}")


@app.command("grant")
def grant(
    name: Name,
    grantee: Grantee,
    right: Annotated[
        str,
        typer.Option(
            "--right",
            metavar="RIGHT",
            help="see: the list and its alerts. change: both as well.",
        ),
    ] = "see",
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Let another agency see a list and its alerts, or change them too."""
    from proto.ring.v1.hotlist_pb2 import GrantHotlistRequest, HotlistRight
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    if right not in ("see", "change"):
        raise CommandError(f"{right!r} is no right: --right see or --right change", 2)
    number = HotlistRight.Value(_RIGHT + right.upper())
    with connect(server, load()) as channel:
        hotlist = HotlistServiceStub(channel).GrantHotlist(
            GrantHotlistRequest(hotlist=name, agency=agency, grantee=grantee, right=number),
            timeout=_SECONDS,
        )
    _tell_grants(hotlist, as_json=as_json)


@app.command("revoke-grant")
def revoke_grant(
    name: Name,
    grantee: Grantee,
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Take a grant back: from now on the list and its alerts do not exist for that agency."""
    from proto.ring.v1.hotlist_pb2 import RevokeGrantRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        hotlist = HotlistServiceStub(channel).RevokeGrant(
            RevokeGrantRequest(hotlist=name, agency=agency, grantee=grantee), timeout=_SECONDS
        )
    _tell_grants(hotlist, as_json=as_json)


def _tell_grants(hotlist: Hotlist, *, as_json: bool) -> None:
    if as_json:
        print_json(hotlist)
    else:
        print_line(f"{hotlist.agency}/{hotlist.name}: {_grants(hotlist) or 'granted to nobody'}")
