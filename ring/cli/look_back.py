"""`ring look-back`, `ring hotlist check` and `replay`: what lists raised, or would have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ring.cli.alerts import describe
from ring.cli.connection import connect
from ring.cli.csv_file import BadRows, CsvFile, each_row
from ring.cli.failure import CommandError
from ring.cli.hotlist_import import OPTIONAL, REQUIRED, Agency, Map, Name, entry_of, names_of
from ring.cli.imports import File, chunks, finish, note_ignored
from ring.cli.options import AtLeast, Case, From, Json, Reason, Server, Timeout, To
from ring.cli.output import (
    count,
    print_fields,
    print_json,
    print_line,
    print_table,
    progress_bar,
    show_position,
    to_dict,
)
from ring.cli.purpose import purpose
from ring.cli.settings import load
from ring.cli.times import parse_timestamp, positions, show_duration, show_time, time_range

if TYPE_CHECKING:
    from proto.ring.v1.look_back_pb2 import LookBackStatus, ReplayHotlistRequest, ReplayOutcome

app = typer.Typer(
    no_args_is_help=True, help="Reads that were kept before hotlist entries went live."
)
_SECONDS = 120.0
# A file of more is checked in parts.
_CHUNK = 5_000


@app.command("list")
def list_look_backs(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 100,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """How far each looking back has come, the newest first."""
    settings = load()
    found = _ask(server, limit=limit)
    if as_json:
        for one in found:
            print_json(one)
        return
    print_table(
        count(len(found), "looking back", "lookings back"),
        ("id", "hotlist", "live since", "state", "entries", "reads", "alerts"),
        (
            (
                one.look_back_id,
                f"{one.agency}/{one.hotlist}",
                show_time(one.activated_at, settings.zone),
                _state(one),
                f"{one.entries:,}",
                f"{one.reads:,}",
                f"{one.alerts:,}",
            )
            for one in found
        ),
        right=("entries", "reads", "alerts"),
        caption=f"times in {settings.zone.key}",
    )


@app.command("show")
def show_look_back(
    look_back_id: Annotated[str, typer.Argument(metavar="ID", help="As the import shows it.")],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """One of them: why, how far back, how far it has come."""
    settings = load()
    found = _ask(server, look_back_id=look_back_id)
    if not found:
        raise CommandError(f"there is no looking back {look_back_id}: see ring look-back list")
    (one,) = found
    if as_json:
        print_json(one)
    else:
        print_fields(
            f"looking back {one.look_back_id}",
            _fields(one, settings.zone),
            f"times in {settings.zone.key}",
        )


def _ask(server: str | None, **request: Any) -> list[LookBackStatus]:
    from proto.ring.v1.look_back_pb2 import ListLookBacksRequest
    from proto.ring.v1.look_back_pb2_grpc import LookBackServiceStub

    with connect(server, load()) as channel:
        answer = LookBackServiceStub(channel).ListLookBacks(
            ListLookBacksRequest(**request), timeout=_SECONDS
        )
    return list(answer.look_backs)


def _state(one: LookBackStatus) -> str:
    from proto.ring.v1.look_back_pb2 import LookBackState

    return LookBackState.Name(one.state).removeprefix("LOOK_BACK_STATE_").lower()


def _fields(one: LookBackStatus, zone: ZoneInfo) -> list[tuple[str, str]]:
    why = one.look_back.purpose
    fields = [
        ("hotlist", f"{one.agency}/{one.hotlist}, version {one.hotlist_version}"),
        ("made live", f"{show_time(one.activated_at, zone)} by {one.by}"),
        ("reads before", show_position(one.position)),
        ("received within", show_duration(one.look_back.period.ToSeconds())),
        ("case", why.case_number),
        ("reason", why.reason),
        ("state", _state(one)),
    ]
    if one.HasField("started_at"):
        fields.append(("started", show_time(one.started_at, zone)))
    if one.HasField("ended_at"):
        fields.append(("ended", show_time(one.ended_at, zone)))
    fields += [
        ("entries", f"{one.entries:,}"),
        ("reads matched", f"{one.reads:,}"),
        ("alerts raised", f"{one.alerts:,}"),
    ]
    return fields


def check(
    file: File,
    start: From = None,
    end: To = None,
    hotlist: Annotated[
        str, typer.Option("--hotlist", metavar="NAME", help="With this list's thresholds.")
    ] = "",
    agency: Agency = "",
    mapping: Map = None,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 600.0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """What would a file's entries have raised? A dry run of looking back: nothing is raised.

    The file is as for 'ring hotlist import'; --from and --to are times of capture.
    """
    from proto.ring.v1.hotlist_pb2 import CheckHistoryRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    settings, bad, found = load(), BadRows(), 0
    why = purpose(case, reason, settings)
    with (
        connect(server, settings) as channel,
        CsvFile(file, REQUIRED, OPTIONAL, names_of(mapping)) as table,
        progress_bar() as bar,
    ):
        note_ignored(table)
        task = bar.add_task(f"checking {file.name}", total=table.size)
        for chunk in chunks(each_row(table, lambda row: entry_of(row, settings.zone), bad), _CHUNK):
            request = CheckHistoryRequest(
                purpose=why,
                entries=[entry for _, entry in chunk],
                rows=[line for line, _ in chunk],
                range=time_range(start, end, settings.zone),
                hotlist=hotlist,
                agency=agency,
                at_least=positions(at_least),
            )
            for alert in HotlistServiceStub(channel).CheckHistory(request, timeout=timeout):
                found += 1
                if as_json:
                    print_json({"alert": to_dict(alert)})
                else:
                    print_line(describe(alert, settings.zone).replace("  HIT  ", "  WOULD HIT  "))
            bar.update(task, completed=table.bytes_read)
    if not as_json:
        print_line(f"{count(found, 'alert')} would have been raised")
    finish(file, bad, silent=as_json)


def replay(
    name: Name,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="The list as it was then; now without it."),
    ] = None,
    start: From = None,
    end: To = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0, max=1, help="In place of the list's own."),
    ] = None,
    floor: Annotated[
        float | None, typer.Option("--floor", min=0, max=1, help="In place of the list's own.")
    ] = None,
    agency: Agency = "",
    case: Case = None,
    reason: Reason = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """What would a list have raised, and what did it? Every read of the log is matched anew.

    Exit code 1 where the two differ.
    """
    from proto.ring.v1.look_back_pb2 import ReplayHotlistRequest

    settings = load()
    request = ReplayHotlistRequest(
        purpose=purpose(case, reason, settings),
        hotlist=name,
        agency=agency,
        as_of=parse_timestamp(as_of, settings.zone, end_of_day=True) if as_of else None,
        range=time_range(start, end, settings.zone),
        confidence_floor=floor,
        threshold=threshold,
    )
    outcome = _follow(request, server, as_json=as_json)
    if as_json:
        print_json({"outcome": to_dict(outcome)})
    else:
        same = f"{count(outcome.equal, 'alert')} on {count(outcome.reads, 'read')}"
        if outcome.only_raised or outcome.only_replayed:
            print_line(
                f"different: {same} are equal, {outcome.only_raised:,} were raised only, "
                f"{outcome.only_replayed:,} would have been"
            )
        else:
            print_line(f"equal: {same}, version {outcome.hotlist_version} of the list")
    if outcome.only_raised or outcome.only_replayed:
        raise typer.Exit(1)


def _follow(request: ReplayHotlistRequest, server: str | None, *, as_json: bool) -> ReplayOutcome:
    from proto.ring.v1.look_back_pb2_grpc import LookBackServiceStub

    settings = load()
    with connect(server, settings) as channel, progress_bar() as bar:
        task = bar.add_task(f"replaying {request.hotlist}", total=None)
        for response in LookBackServiceStub(channel).ReplayHotlist(request):
            match response.WhichOneof("message"):
                case "progress":
                    done = response.progress
                    bar.update(task, completed=done.position, total=done.head)
                case "difference" if as_json:
                    print_json({"difference": to_dict(response.difference)})
                case "difference":
                    one = response.difference
                    side = "only raised" if one.raised else "only replayed"
                    print_line(f"{side}: {describe(one.alert, settings.zone)}: {one.reason}")
                case "outcome":
                    return response.outcome
    raise CommandError("the server ended the replay before its outcome: try again")
