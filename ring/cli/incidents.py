"""`ring incidents` and `ring alerts precision`: alerts looked at together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.options import (
    Agencies,
    AtLeast,
    Checkpoints,
    From,
    Hotlists,
    Json,
    Limit,
    Priorities,
    Server,
    Timeout,
    To,
    Zones,
)
from ring.cli.output import count, note, print_json, print_table, show_direction
from ring.cli.settings import load
from ring.cli.times import positions, show_time, time_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proto.ring.v1.incident_pb2 import Incident, ListIncidentsRequest, Precision
    from proto.ring.v1.incident_pb2_grpc import IncidentServiceStub

app = typer.Typer(
    no_args_is_help=True, help="Repeated hits on one vehicle under one entry, as one thing."
)

_LARGEST_PAGE = 1000
_STATES = {"raised": 1, "acknowledged": 2, "resolved": 3}
_PERIODS = {"": 0, "day": 1, "week": 2, "month": 3}


@app.command("list")
def list_incidents(
    start: From = None,
    end: To = None,
    hotlist: Hotlists = None,
    of_agency: Agencies = None,
    priority: Priorities = None,
    checkpoint: Checkpoints = None,
    zone: Zones = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="raised (while any of its hits is), acknowledged or resolved; may be repeated.",
        ),
    ] = None,
    plate: Annotated[
        str, typer.Option("--plate", metavar="PLATE", help="Only of this vehicle, or so read.")
    ] = "",
    limit: Limit = 100,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Incidents, the one seen last first."""
    from proto.ring.v1.incident_pb2 import ListIncidentsRequest
    from proto.ring.v1.incident_pb2_grpc import IncidentServiceStub

    settings = load()
    request = ListIncidentsRequest(
        range=time_range(start, end, settings.zone),
        hotlists=hotlist,
        agencies=of_agency,
        priorities=priority,
        checkpoints=checkpoint,
        zones=zone,
        states=[_state_of(text) for text in state or ()],  # type: ignore[misc]
        plate=plate,
        at_least=positions(at_least),
    )
    found: list[Incident] = []
    with connect(server, settings) as channel:
        for incident in _pages(IncidentServiceStub(channel), request, limit or 100, timeout):
            if as_json:
                print_json(incident)
            else:
                found.append(incident)
    if as_json:
        return
    print_table(
        count(len(found), "incident"),
        ("plate", "list", "hits", "state", "first seen", "last seen", "last at", "incident"),
        (
            (
                i.plate,
                i.hotlist if i.agency == "default" else f"{i.agency}/{i.hotlist}",
                f"{i.alerts:,}",
                _state(i),
                show_time(i.first_seen, settings.zone),
                show_time(i.last_seen, settings.zone),
                i.track[-1].checkpoint,
                i.incident_id,
            )
            for i in found
        ),
        right=("hits",),
        caption=f"times in {settings.time_zone}",
    )


def _state_of(text: str) -> int:
    try:
        return _STATES[text.strip().lower()]
    except KeyError:
        raise CommandError(f"{text!r} is no state: say {', '.join(_STATES)}", 2) from None


def _state(incident: Incident) -> str:
    name = next(name for name, number in _STATES.items() if number == incident.state)
    ended = f" ({', '.join(incident.dispositions)})" if incident.dispositions else ""
    return name + ended


def _pages(
    stub: IncidentServiceStub, request: ListIncidentsRequest, limit: int, timeout: float
) -> Iterator[Incident]:
    left = limit
    while True:
        request.page_size = min(left, _LARGEST_PAGE)
        page = stub.ListIncidents(request, timeout=timeout)
        yield from page.incidents
        left -= len(page.incidents)
        if not page.next_page_token:
            return
        if left <= 0:
            note(f"there are more than {limit:,} incidents: raise --limit, or ask more narrowly")
            return
        request.page_token = page.next_page_token


@app.command("show")
def show_incident(
    incident_id: Annotated[
        str,
        typer.Argument(metavar="INCIDENT_ID", help="Or the id of any of its alerts."),
    ],
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """One incident with its track: every sighting, in order."""
    from proto.ring.v1.incident_pb2 import GetIncidentRequest
    from proto.ring.v1.incident_pb2_grpc import IncidentServiceStub

    settings = load()
    with connect(server, settings) as channel:
        incident = IncidentServiceStub(channel).GetIncident(
            GetIncidentRequest(alert_id=incident_id, at_least=positions(at_least)), timeout=timeout
        )
    if as_json:
        print_json(incident)
        return
    entry, states = incident.entry, {number: name for name, number in _STATES.items()}
    what = f"{incident.plate}  {incident.agency}/{incident.hotlist}  {entry.reason}".rstrip()
    print_table(
        f"{what}  {count(incident.alerts, 'hit')}  {_state(incident)}",
        ("seen", "checkpoint", "zone", "direction", "read as", "sure", "state", "remarks", "alert"),
        (
            (
                show_time(point.captured_at, settings.zone),
                point.checkpoint,
                point.zone,
                show_direction(point.direction),
                point.plate,
                f"{point.match_probability:.2f}",
                point.disposition or states[point.state],
                ", ".join(
                    [
                        *point.match_path,
                        *(["delayed"] if point.delayed else ()),
                        *(["looked back"] if point.look_back_id else ()),
                    ]
                ),
                point.alert_id,
            )
            for point in incident.track
        ),
        caption=f"times in {settings.time_zone}",
    )


def precision(
    start: From = None,
    end: To = None,
    hotlist: Hotlists = None,
    of_agency: Agencies = None,
    by_reader: Annotated[bool, typer.Option("--by-reader", help="A row for each reader.")] = False,
    period: Annotated[
        str, typer.Option("--by", metavar="PERIOD", help="A row for each day, week or month.")
    ] = "",
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """How many hits were right, as they were resolved: confirmed of those confirmed or misread.

    With the range that the share lies in, at 95 %: few dispositions say little.
    """
    from proto.ring.v1.incident_pb2 import GetPrecisionRequest
    from proto.ring.v1.incident_pb2_grpc import IncidentServiceStub

    if period.strip().lower() not in _PERIODS:
        raise CommandError(f"{period!r} is no period: say day, week or month", 2)
    settings = load()
    request = GetPrecisionRequest(
        range=time_range(start, end, settings.zone),
        hotlists=hotlist,
        agencies=of_agency,
        by_reader=by_reader,
        period=_PERIODS[period.strip().lower()],  # type: ignore[arg-type]
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel:
        rows = IncidentServiceStub(channel).GetPrecision(request, timeout=timeout).rows
    if as_json:
        for row in rows:
            print_json(row)
        return

    def cells(row: Precision) -> list[str]:
        share = "–"
        if row.HasField("share"):
            share = f"{row.share:.1%}  ({row.low:.1%} to {row.high:.1%})"
        dated = row.HasField("period_start")
        return [
            row.agency,
            row.hotlist,
            row.reader_id or "all",
            show_time(row.period_start, settings.zone)[:10] if dated else "whole range",
            *(f"{number:,}" for number in (row.raised, row.resolved, row.confirmed, row.misread)),
            f"{row.not_of_interest + row.no_action:,}",
            share,
        ]

    numbers = ("raised", "resolved", "confirmed", "misread", "other", "right")
    print_table(
        count(sum(row.raised for row in rows), "hit"),
        ("agency", "list", "reader", "period", *numbers),
        map(cells, rows),
        right=numbers,
    )
