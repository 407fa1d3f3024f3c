"""Incidents: alerts of one vehicle under one entry, as one thing with its track.

Always true here: what an incident is depends on the alerts there are, never on the order they came
in; no alert is in two incidents, and none is in none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.clickhouse import Client
from projections.paging import Turn, digest
from projections.requests import EARLIEST, LATEST, Span, limit_of, span_of
from proto.ring.v1.alert_pb2 import AlertState, HotlistEntry
from proto.ring.v1.incident_pb2 import (
    GetIncidentRequest,
    Incident,
    ListIncidentsRequest,
    ListIncidentsResponse,
    ReportScope,
    TrackPoint,
)
from ring.errors import InvalidRequest, NotFound
from ring.values import from_micros, normalise_plate

# A page is shorter where it would be longer than this: a client takes 4 MiB of a message.
_PAGE_BYTES = 2 << 20
_STATES = (
    AlertState.ALERT_STATE_RAISED,
    AlertState.ALERT_STATE_ACKNOWLEDGED,
    AlertState.ALERT_STATE_RESOLVED,
)
# What a sighting of a track has beside its time, in the named query's order.
_POINT = (
    *("alert_id", "checkpoint", "zone", "lane", "direction", "plate", "match_probability"),
    *("match_path", "state", "disposition", "delayed", "look_back_id", "reader_id", "read_id"),
)


def scope_of(scope: ReportScope) -> dict[str, Any]:
    """Which lists may be looked at, as the named queries take it."""
    return {
        "everything": scope.everything,
        "visible": list(zip(scope.agencies, scope.hotlists, strict=True)),
    }


@dataclass(frozen=True)
class Page:
    """One page of incidents, checked; `asked` as the named query takes it."""

    asked: dict[str, Any]
    size: int
    turn: Turn


def page_of(request: ListIncidentsRequest, scope: ReportScope) -> Page:
    """Reads a request. InvalidRequest where a range, a state or a token is none."""
    for state in request.states:
        if state not in _STATES:
            raise InvalidRequest("states may be raised, acknowledged and resolved")
    asked = _asked(span_of(request.range), scope) | {
        "hotlists": sorted(set(request.hotlists)),
        "agencies": sorted(set(request.agencies)),
        "priorities": sorted(set(request.priorities)),
        "checkpoints": sorted(set(request.checkpoints)),
        "zones": sorted(set(request.zones)),
        "states": sorted(set(request.states)),
        "plate": normalise_plate(request.plate),
        "entry_id": request.entry_id,
    }
    turn = Turn.of(request.page_token, digest(asked))
    if turn.after and [type(part) for part in turn.after] != [int, str]:
        raise InvalidRequest("page_token is none of this question: ask for the first page again")
    return Page(asked, limit_of(request.page_size), turn)


def incidents(client: Client, gap: int, page: Page) -> ListIncidentsResponse:
    """Answers a page. `gap`: microseconds."""
    pins = page.turn.pinned(client)
    if page.turn.after:
        page.asked["before"], page.asked["before_id"] = page.turn.after
    rows = _rows(client, gap, pins, page.asked, page.size + 1)
    found: list[Incident] = []
    size = 0
    for row in rows[: page.size]:
        one = _incident(row)
        size += one.ByteSize()
        if found and size > _PAGE_BYTES:
            break
        found.append(one)
    token = ""
    if len(rows) > len(found):
        last = rows[len(found) - 1]
        token = page.turn.token((last["last_seen"], last["incident_id"]), pins)
    return ListIncidentsResponse(incidents=found, next_page_token=token)


def incident_with(
    client: Client, gap: int, request: GetIncidentRequest, scope: ReportScope
) -> Incident:
    """The incident that an alert belongs to. NotFound where there is no such alert."""
    asked = _asked(Span(EARLIEST, LATEST), scope) | {"alert_id": request.alert_id}
    pins = Turn("").pinned(client)
    rows = _rows(client, gap, pins, asked, 1) if request.alert_id else ()
    if not rows:
        raise NotFound(f"there is no alert {request.alert_id}")
    return _incident(rows[0])


def _asked(span: Span, scope: ReportScope) -> dict[str, Any]:
    """Everything, as far as the scope goes."""
    lists: dict[str, Any] = {
        name: []
        for name in ("hotlists", "agencies", "priorities", "checkpoints", "zones", "states")
    }
    texts = dict.fromkeys(("plate", "entry_id", "alert_id", "before_id"), "")
    bounds = {"start": span.start, "end": span.end, "before": LATEST}
    return lists | texts | bounds | scope_of(scope)


def _rows(
    client: Client, gap: int, pins: Mapping[str, int], asked: dict[str, Any], rows: int
) -> list[dict[str, Any]]:
    return client.named_rows(
        "queries/incidents",
        **asked,
        gap=gap,
        rows=rows,
        logs=list(pins),
        pins=list(pins.values()),
    )


def _incident(row: Mapping[str, Any]) -> Incident:
    return Incident(
        incident_id=row["incident_id"],
        agency=row["agency"],
        hotlist=row["hotlist"],
        entry=HotlistEntry(
            plate=row["entry_plate"],
            reason=row["entry_reason"],
            priority=row["entry_priority"],
            reference=row["entry_reference"],
            entry_id=row["entry_id"],
        ),
        plate=row["vehicle"],
        first_seen=from_micros(row["first_seen"]),
        last_seen=from_micros(row["last_seen"]),
        state=row["standing"],
        alerts=row["raised"] + row["acknowledged"] + row["resolved"],
        raised=row["raised"],
        acknowledged=row["acknowledged"],
        resolved=row["resolved"],
        dispositions=row["dispositions"],
        track=[_point(point) for point in row["track"]],
    )


def _point(point: Sequence[Any]) -> TrackPoint:
    at, *rest = point
    return TrackPoint(captured_at=from_micros(at), **dict(zip(_POINT, rest, strict=True)))
