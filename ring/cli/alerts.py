"""`ring alerts`: hits as they happen, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from ring.cli.bookmark import Bookmark
from ring.cli.connection import address, connect
from ring.cli.failure import CommandError
from ring.cli.options import (
    Agencies,
    Checkpoints,
    Hotlists,
    Json,
    LiveOnly,
    Priorities,
    Server,
    Zones,
)
from ring.cli.output import print_json, print_line, printable, show_direction, to_dict
from ring.cli.settings import Settings, load
from ring.cli.times import positions, show_time, zone_name

if TYPE_CHECKING:
    from proto.ring.v1.alert_pb2 import Alert, SubscribeResponse

app = typer.Typer()

AlertId = Annotated[str, typer.Argument(metavar="ALERT_ID", help="As the alert shows it.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept with the alert.")]
_SECONDS = 60.0
_DISPOSITIONS = ("confirmed", "misread", "not of interest", "no action")


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Everything kept, then as they happen.")
    ] = False,
    after: Annotated[
        list[str] | None,
        typer.Option(
            "--after", metavar="LOGID:POSITION", help="Go on after here; one for each log."
        ),
    ] = None,
    hotlist: Hotlists = None,
    checkpoint: Checkpoints = None,
    priority: Priorities = None,
    zone: Zones = None,
    of_agency: Agencies = None,
    live_only: LiveOnly = False,
    updates: Annotated[
        bool, typer.Option("--updates", help="Acknowledgements and resolutions too.")
    ] = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="Say how far it is, every few seconds.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", min=0, help="End after so many; 0: go on until Ctrl-C.")
    ] = 0,
    state_file: Annotated[
        Path | None,
        typer.Option(
            "--state-file",
            metavar="FILE",
            help="Keep the last position here and go on from it. Where it holds one, "
            "--after and --from-beginning do not count.",
        ),
    ] = None,
    reconnect: Annotated[
        bool, typer.Option(help="Come back when the server goes away, without a gap or a repeat.")
    ] = True,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Hits as they happen, one line each, until Ctrl-C. Without options: from now on.

    With --json each line is {"alert": {...}}, or {"progress": {...}} with --progress.
    """
    from proto.ring.v1.alert_pb2 import SubscribeRequest
    from ring.cli.subscription import Subscription

    if context.invoked_subcommand is not None:
        return
    if from_beginning and after:
        raise CommandError("either --from-beginning or --after, not both", 2)
    settings = load()
    bookmark = Bookmark(state_file)
    request = SubscribeRequest(
        after=positions(after),
        from_beginning=from_beginning,
        hotlists=hotlist,
        checkpoints=checkpoint,
        priorities=priority,
        zones=zone,
        agencies=of_agency,
        live_only=live_only,
        include_updates=updates,
    )
    printer = _Printer(settings.zone, as_json=as_json, progress=progress, count=count)
    with connect(server, settings, keepalive=True) as channel:
        target = address(server, settings)
        Subscription(channel, target, request, bookmark, printer.take, reconnect=reconnect).follow()


class _Printer:
    """Prints messages until there were `count` alerts (0: for ever)."""

    def __init__(self, zone: ZoneInfo, *, as_json: bool, progress: bool, count: int) -> None:
        self._zone = zone
        self._as_json = as_json
        self._progress = progress
        self._left = count or -1

    def take(self, message: SubscribeResponse) -> bool:
        if message.WhichOneof("message") == "alert":
            if self._as_json:
                print_json({"alert": to_dict(message.alert)})
            else:
                print_line(describe(message.alert, self._zone))
            self._left -= 1
        elif self._progress and message.HasField("progress"):
            if self._as_json:
                print_json({"progress": to_dict(message.progress)})
            else:
                print_line(f"nothing more up to position {message.progress.position:,}")
        return self._left != 0


def describe(alert: Alert, zone: ZoneInfo) -> str:
    """An alert on one line, its time in the zone, which is named as people there do."""
    from proto.ring.v1.alert_pb2 import AlertState

    what = {
        AlertState.ALERT_STATE_ACKNOWLEDGED: "SEEN",
        AlertState.ALERT_STATE_RESOLVED: f"CLOSED ({alert.disposition})",
    }.get(alert.state, "HIT")
    seen, entry = alert.sighting, alert.entry
    parts = [
        f"{show_time(seen.captured_at, zone)} {zone_name(seen.captured_at, zone)}",
        what,
        seen.plate if seen.plate == entry.plate else f"{seen.plate} for {entry.plate}",
        f"at {seen.checkpoint} {show_direction(seen.direction)}"
        + (f" lane {seen.lane}" if seen.lane else ""),
        # A dry run's alert may be of no list.
        f"{alert.agency}/{alert.hotlist}"
        if alert.hotlist and alert.agency not in ("", "default")
        else alert.hotlist,
        entry.reason,
        f"priority {entry.priority}" if entry.priority else "",
        f"confidence {seen.confidence:.2f}",
        f"probability {alert.match_probability:.2f}"
        + (f" ({', '.join(alert.match_path)})" if alert.match_path else ""),
        f"zone {alert.zone}" if alert.zone else "",
        "delayed" if alert.delayed else "",
        "looked back" if alert.look_back_id else "",
        f"alert {alert.alert_id}" if alert.alert_id else "",
    ]
    return printable("  ".join(part for part in parts if part))


@app.command("acknowledge")
def acknowledge(
    alert_id: AlertId, note: Note = "", server: Server = None, as_json: Json = False
) -> None:
    """Say that somebody has seen it."""
    from proto.ring.v1.alert_pb2 import AcknowledgeRequest
    from proto.ring.v1.alert_pb2_grpc import AlertServiceStub

    settings = load()
    with connect(server, settings) as channel:
        alert = AlertServiceStub(channel).Acknowledge(
            AcknowledgeRequest(alert_id=alert_id, note=note), timeout=_SECONDS
        )
    _tell(alert, settings, as_json=as_json)


@app.command("resolve")
def resolve(
    alert_id: AlertId,
    disposition: Annotated[
        str,
        typer.Argument(metavar="DISPOSITION", help=", ".join(_DISPOSITIONS) + " (or with hyphens)"),
    ],
    note: Note = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Say how it ended: confirmed, misread, not-of-interest or no-action."""
    from proto.ring.v1.alert_pb2 import ResolveRequest
    from proto.ring.v1.alert_pb2_grpc import AlertServiceStub

    chosen = " ".join(disposition.lower().replace("-", " ").split())
    if chosen not in _DISPOSITIONS:
        raise CommandError(f"{disposition!r}: say {', '.join(_DISPOSITIONS)}", 2)
    settings = load()
    with connect(server, settings) as channel:
        alert = AlertServiceStub(channel).Resolve(
            ResolveRequest(alert_id=alert_id, disposition=chosen, note=note), timeout=_SECONDS
        )
    _tell(alert, settings, as_json=as_json)


def _tell(alert: Alert, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        print_json(alert)
    else:
        print_line(describe(alert, settings.zone))
