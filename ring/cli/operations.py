"""`ring status`, `rejects` and `rebuild`: running the ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.options import Json, Server
from ring.cli.output import (
    count,
    note,
    print_fields,
    print_json,
    print_line,
    print_table,
    progress_bar,
    show_direction,
    show_position,
    to_dict,
)
from ring.cli.settings import load
from ring.cli.times import positions, show_time

if TYPE_CHECKING:
    from proto.ring.v1.operations_pb2 import RebuildProgress, Reject

rejects = typer.Typer(help="Reads that were rejected, whole, as they were sent.")
_SECONDS = 60.0

ReaderId = Annotated[
    str, typer.Option("--reader", metavar="ID", help="Only of this reader.", show_default=False)
]
After = Annotated[
    str | None,
    typer.Option("--after", metavar="LOGID:POSITION", help="Only those after this position."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]


def status(server: Server = None, as_json: Json = False) -> None:
    """How far the log, the matching and the read side have come."""
    from proto.ring.v1.operations_pb2 import GetStatusRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    settings = load()
    with connect(server, settings) as channel:
        found = OperationsServiceStub(channel).GetStatus(GetStatusRequest(), timeout=_SECONDS)
    if as_json:
        print_json(found)
        return
    behind = found.head.position - found.projected.position
    projected = f"{found.projected.position:,}"
    if found.HasField("head"):
        projected += f" ({behind:,} behind)" if behind >= 0 else f" ({-behind:,} beyond the log)"
    print_fields(
        f"digital ring {found.version}",
        (
            ("log", found.head.log_id if found.HasField("head") else "can't be read"),
            ("head", f"{found.head.position:,}" if found.HasField("head") else "not known"),
            ("matched", f"{found.matched.position:,}"),
            ("read side", projected if found.HasField("projected") else "does not answer"),
            *((f"{part.part} is ill", part.message) for part in found.parts if not part.well),
            ("reader streams", f"{found.streams:,}"),
            ("subscribers", f"{found.subscribers:,}"),
            ("up since", f"{show_time(found.started_at, settings.zone)} {settings.time_zone}"),
        ),
    )


@rejects.callback(invoke_without_command=True)
def default_rejects(
    context: typer.Context,
    reader: ReaderId = "",
    after: After = None,
    limit: Limit = 1000,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Reads that were rejected, whole, as they were sent. Without a subcommand: list."""
    if context.invoked_subcommand is None:
        list_rejects(reader, after, limit, server, as_json)


@rejects.command("list")
def list_rejects(
    reader: ReaderId = "",
    after: After = None,
    limit: Limit = 1000,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Rejected reads and conflicts, in order of position."""
    from proto.ring.v1.operations_pb2 import ListRejectsRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    settings = load()
    # One more than is shown, to know whether there are more.
    request = ListRejectsRequest(reader_id=reader, limit=limit + 1)
    if after:
        request.after.CopyFrom(positions([after])[0])
    rows: list[tuple[str, ...]] = []
    shown = 0
    with connect(server, settings) as channel:
        call = OperationsServiceStub(channel).ListRejects(request, timeout=_SECONDS)
        for reject in call:
            if shown == limit:
                note(f"more than {limit:,}: raise --limit, or go on with --after")
                call.cancel()
                break
            shown += 1
            if as_json:
                print_json(_as_sent(reject))
                continue
            rows.append(
                (
                    str(reject.position.position),
                    show_time(reject.received_at, settings.zone),
                    reject.reader_id,
                    str(reject.read.sequence),
                    reject.read.plate,
                    "conflict: " + reject.reason if reject.conflict else reject.reason,
                )
            )
    if not as_json:
        print_table(
            count(len(rows), "rejected read"),
            ("position", "received", "reader", "sequence", "plate", "reason"),
            rows,
            right=("position", "sequence"),
            caption=f"times in {settings.time_zone}; ring rejects show POSITION shows one whole",
        )


@rejects.command("show")
def show_reject(
    position: Annotated[str, typer.Argument(metavar="POSITION", help="As the list shows it.")],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """One rejected read, whole."""
    from proto.ring.v1.common_pb2 import LogPosition
    from proto.ring.v1.operations_pb2 import GetStatusRequest, ListRejectsRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    settings = load()
    log_id, _, number = position.rpartition(":")
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 1 << 64):
        raise CommandError(f"{position!r} is no position: give the number that the list shows", 2)
    with connect(server, settings) as channel:
        stub = OperationsServiceStub(channel)
        head = stub.GetStatus(GetStatusRequest(), timeout=_SECONDS).head
        before = LogPosition(log_id=log_id or head.log_id, position=int(number) - 1)
        found = None
        if int(number) <= head.position or before.log_id != head.log_id:
            request = ListRejectsRequest(after=before, limit=1)
            found = next(iter(stub.ListRejects(request, timeout=_SECONDS)), None)
    if found is None or found.position.position != int(number):
        raise CommandError(f"no rejected read at {number}: 'ring rejects' lists them")
    if as_json:
        print_json(_as_sent(found))
    else:
        _print_reject(found)


def _as_sent(reject: Reject) -> dict[str, Any]:
    """A reject's JSON. A capture time that no calendar has is its seconds and nanoseconds."""
    from proto.ring.v1.operations_pb2 import Reject

    captured = reject.read.captured_at
    try:
        captured.ToJsonString()
    except ValueError:
        rest = Reject()
        rest.CopyFrom(reject)
        rest.read.ClearField("captured_at")
        fields = to_dict(rest)
        odd = {"seconds": str(captured.seconds), "nanos": captured.nanos}
        fields["read"] = {**fields.get("read", {}), "captured_at": odd}
        return fields
    return to_dict(reject)


def _print_reject(reject: Reject) -> None:
    settings = load()
    read = reject.read
    captured = "not given"
    if read.HasField("captured_at"):
        try:
            captured = show_time(read.captured_at, settings.zone)
        except (ValueError, OverflowError):  # rejected reads are kept as sent, however odd
            captured = f"{read.captured_at.seconds} s since 1970"
    likeliest = " ".join(position.characters or "?" for position in read.posterior)
    print_fields(
        f"rejected: {reject.reason}",
        (
            ("position", show_position(reject.position)),
            ("conflict", "yes: stored before with other content" if reject.conflict else "no"),
            ("reader", reject.reader_id),
            ("epoch", reject.epoch),
            ("sequence", str(read.sequence)),
            ("received", show_time(reject.received_at, settings.zone)),
            ("captured", captured),
            ("plate", read.plate),
            ("confidence", f"{read.confidence:g}"),
            ("characters", likeliest),
            ("region", read.region),
            ("lane", read.lane),
            ("direction", show_direction(read.direction)),
            ("picture", read.crop_sha256.hex()),
        ),
        caption=f"times in {settings.time_zone}; --json has every field",
    )


def rebuild(
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Build beside the live tables, compare, change nothing."),
    ] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Build the read side anew from the event log, beside the live one, and swap.

    Exit code 1 where the comparison finds a difference.
    """
    from proto.ring.v1.operations_pb2 import RebuildProgress, RebuildRequest
    from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub

    last = RebuildProgress()
    with connect(server, load()) as channel, progress_bar() as bar:
        task = bar.add_task("comparing" if verify else "rebuilding", total=None)
        stub = OperationsServiceStub(channel)
        for last in stub.Rebuild(RebuildRequest(verify_only=verify)):
            bar.update(task, completed=last.position, total=last.head or None)
            if as_json:
                print_json(last)
    if not last.outcome:
        raise CommandError("the server ended without an outcome: look at its log, and try again")
    if not as_json:
        _print_outcome(last)
    if last.outcome == "different":
        raise CommandError(f"different: {_differences(last)}; 'ring rebuild' builds them anew")


def _print_outcome(last: RebuildProgress) -> None:
    if last.tables:
        print_table(
            last.outcome,
            ("table", "rows", "rows rebuilt", "columns that differ"),
            (
                (
                    t.table,
                    f"{t.rows_live:,}",
                    f"{t.rows_rebuilt:,}",
                    ", ".join(t.different_columns),
                )
                for t in last.tables
            ),
            right=("rows", "rows rebuilt"),
        )
    else:
        print_line(last.outcome)


def _differences(last: RebuildProgress) -> str:
    named = []
    for table in last.tables:
        if table.different_columns:
            named.append(f"{table.table} ({', '.join(table.different_columns)})")
        elif table.rows_live != table.rows_rebuilt:
            named.append(f"{table.table} ({table.rows_live:,} rows, not {table.rows_rebuilt:,})")
    return "; ".join(named) or "the server names no table"
