"""Flows: how many passages a checkpoint, direction and hour of the city's zone had.

Always true here: no plate is in the answer; what is counted once is kept a quarter of an hour and
checkpoint, and counted anew where a read came since. A read can change its own quarter's count and
the next's. A count is kept only if every read that it was marked for lies in the tables.

Quarters, because every zone's hours begin at one. They are numbered from 1970.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import exp
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client
from projections.requests import Filter, Span, filter_of, instant_of, span_of
from proto.ring.v1.investigation_pb2 import Flow, ListFlowsRequest, ListFlowsResponse

_SECOND = 1_000_000
# Microseconds.
QUARTER = 900 * _SECOND
_HOUR = 3600
# Quarters a statement, and fewer than which counting is cheaper than keeping.
_AT_ONCE, _WORTH_KEEPING = 5_000, 500
# The quarters that a 32-bit time holds.
_LAST_QUARTER = (1 << 32) // 900
# Stretches of quarters that are counted each by itself.
_FEW = 4
_WEEKS = 4
_CHANCE = 1e-5
# No checkpoint's quarter; an empty list has no type.
_NONE = [("", -1)]

# (hour in seconds since 1970, checkpoint, direction, lane)
_Key = tuple[int, str, int, str]
_Live = tuple[str, int]
# (lane, direction, passages)
_Counts = Sequence[tuple[str, int, int]]
_COUNTS = pa.list_(
    pa.struct([("lane", pa.string()), ("direction", pa.int8()), ("passages", pa.uint32())])
)


@dataclass(frozen=True)
class Traffic:
    """A question for flows, checked. now: microseconds."""

    span: Span
    now: int
    asked: Filter
    by_lane: bool
    compare: bool
    zone: ZoneInfo


def traffic_of(request: ListFlowsRequest, zone: ZoneInfo, now: Timestamp) -> Traffic:
    """Reads a request. InvalidRequest where the range is none."""
    asked = filter_of(checkpoints=request.checkpoints, direction=request.direction)
    return Traffic(
        span_of(request.range),
        instant_of(now, "now"),
        asked,
        request.by_lane,
        request.compare,
        zone,
    )


def flows_in(client: Client, traffic: Traffic) -> ListFlowsResponse:
    """In order of hour, checkpoint, direction and lane; hours without any left out."""
    first, last, checkpoints = client.rows("queries/flow_extent")[0]
    if not checkpoints:
        return ListFlowsResponse(time_zone=str(traffic.zone))
    codes = [c for c in traffic.asked.checkpoints if c in checkpoints] or list(checkpoints)
    if traffic.asked.checkpoints and not set(traffic.asked.checkpoints) & set(checkpoints):
        return ListFlowsResponse(time_zone=str(traffic.zone))
    kept = Span(
        max(traffic.span.start, first * QUARTER), min(traffic.span.end, (last + 1) * QUARTER)
    )
    usual: dict[_Key, float] = {}
    if traffic.compare and kept.start < kept.end:
        since = max(kept.start - (_WEEKS * 7 * 24 + 2) * _HOUR * _SECOND, first * QUARTER)
        counts = _counts(client, replace(traffic, span=Span(since, kept.end)), codes)
        # A clock that is ahead leaves reads in hours that have not begun.
        begun = Span(kept.start, min(kept.end, traffic.now))
        usual = _usual(counts, traffic.zone, begun, first * 900)
        counts = {k: n for k, n in counts.items() if k[0] * _SECOND >= kept.start - _HOUR * _SECOND}
        if kept.start % (_HOUR * _SECOND) or since != kept.start:
            counts = _counts(client, replace(traffic, span=kept), codes)
    else:
        counts = _counts(client, replace(traffic, span=kept), codes)
    whole = Span(kept.start, min(kept.end, last * QUARTER, traffic.now))
    answer = ListFlowsResponse(time_zone=str(traffic.zone))
    for key in sorted(counts | usual if usual else counts):
        _set(answer.flows.add(), key, counts.get(key, 0), usual.get(key), whole)
    return answer


def kept_quarters(client: Client) -> range:
    """The quarters of an hour that reads are kept of, first to last."""
    first, last, checkpoints = client.rows("queries/flow_extent")[0]
    return range(first, last + 1) if checkpoints else range(0)


def count_ahead(client: Client, quarters: range) -> None:
    """Counts and keeps the flows of some quarters of an hour, as far as they are not."""
    bounds = {"first": quarters.start, "end": quarters.stop, "checkpoints": []}
    _refresh(client, bounds, 1)


def _set(flow: Flow, key: _Key, passages: int, usual: float | None, whole: Span) -> None:
    # Field by field in its place: a week has 20,000, and copies take four times as long.
    hour, flow.checkpoint, way, flow.lane = key
    flow.direction = way  # type: ignore[assignment]
    flow.hour.seconds = hour
    flow.passages = passages
    if usual is not None:
        flow.usual = usual
        inside = whole.start <= hour * _SECOND and (hour + _HOUR) * _SECOND <= whole.end
        flow.unusual_drop = inside and passages < usual / 2 and poisson(passages, usual) < _CHANCE


def poisson(most: int, mean: float) -> float:
    """The chance of so many events or fewer, where the mean is expected."""
    term = total = exp(-mean)
    for n in range(1, most + 1):
        term *= mean / n
        total += term
    return total


def _usual(counts: dict[_Key, int], zone: ZoneInfo, kept: Span, first: int) -> dict[_Key, float]:
    """The median of the weeks before that reads are kept of, for each hour of the range."""
    hours: dict[int, list[int]] = {}
    at = _hour_of(kept.start // _SECOND, zone)
    while at * _SECOND < kept.end:
        before = []
        for week in range(1, _WEEKS + 1):
            local = datetime.fromtimestamp(at, zone).replace(tzinfo=None) - timedelta(weeks=week)
            then = int(local.replace(tzinfo=zone).timestamp())
            # An hour that a change of the clocks left out.
            skipped = datetime.fromtimestamp(then, zone).replace(tzinfo=None) != local
            if then >= first and not skipped:
                before.append(then)
        if before:
            hours[at] = before
        at = _hour_of(at + _HOUR, zone)
    places = {key[1:] for key in counts}
    found = {}
    for at, before in hours.items():
        for place in places:
            value = median(counts.get((then, *place), 0) for then in before)
            if value or (at, *place) in counts:
                found[(at, *place)] = float(value)
    return found


def _counts(client: Client, traffic: Traffic, codes: Sequence[str]) -> dict[_Key, int]:
    """Passages in the span, which lies within what is kept."""
    span, asked = traffic.span, traffic.asked
    if span.start >= span.end:
        return {}
    # Quarters that the span has whole; the others are counted by themselves.
    begin, end = -(-span.start // QUARTER), span.end // QUARTER
    edges = {span.start // QUARTER, (span.end - 1) // QUARTER}
    edges = {q for q in edges if not begin <= q < end}
    live: set[_Live] = {(c, q) for c in codes for q in edges}
    found: dict[_Key, int] = {}
    bounds: dict[str, Any] = {
        "first": min(max(begin, 0), _LAST_QUARTER),
        "end": min(max(end, 0), _LAST_QUARTER),
        "checkpoints": list(asked.checkpoints),
    }
    if begin < end:
        name = "queries/flows" if traffic.by_lane else "queries/flows_by_direction"
        asking: dict[str, Any] = {"direction": asked.direction, "zone": str(traffic.zone), **bounds}
        # First what is counted, then what that comes to: what is counted meanwhile is right, too.
        live |= _refresh(client, bounds, _WORTH_KEEPING)
        rows = client.rows(name, live=sorted(live) or _NONE, **asking)
        found = {(hour, c, way, lane): n for c, way, lane, hour, n in rows}
    for checkpoint, quarter, counted in _count_keys(client, live, span):
        hour = _hour_of(quarter * 900, traffic.zone)
        for lane, way, passages in counted:
            if asked.direction in (0, way):
                key = (hour, checkpoint, way, lane if traffic.by_lane else "")
                found[key] = found.get(key, 0) + passages
    return found


def _refresh(client: Client, bounds: Mapping[str, object], worth_keeping: int) -> set[_Live]:
    """Counts and keeps what is worth it. Gives the quarters that are not kept."""
    here = {str(log): int(position) for log, position in client.rows("queries/positions")}
    marks = client.rows("queries/flow_marks", logs=list(here), pins=list(here.values()), **bounds)
    settled = {(c, q): seen for c, q, seen, known in marks if known}
    if len(settled) < worth_keeping:
        settled = {}
    keys = sorted(settled, key=lambda k: (k[1], k[0]))
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        whole = Span(some[0][1] * QUARTER, (some[-1][1] + 1) * QUARTER)
        rows = _count_keys(client, some, whole)
        counted = {(c, q): counts for c, q, counts in rows}
        _keep(client, [(q, c, settled[c, q], counted.get((c, q), [])) for c, q in some])
    return {(c, q) for c, q, *_ in marks if (c, q) not in settled}


def _keep(client: Client, rows: Sequence[tuple[int, str, int, _Counts]]) -> None:
    quarters, checkpoints, seen, counts = zip(*rows, strict=True)
    names = ("lane", "direction", "passages")
    table = pa.table(
        {
            "quarter": pa.array([q * 900 for q in quarters], pa.uint32()),
            "checkpoint": pa.array(checkpoints),
            "seen": pa.array(seen, pa.uint64()),
            "counts": pa.array(
                [[dict(zip(names, c, strict=True)) for c in own] for own in counts], _COUNTS
            ),
        }
    )
    client.insert("flow_counts", table)


def _count_keys(
    client: Client, keys: Collection[_Live], span: Span
) -> list[tuple[str, int, _Counts]]:
    """Passages of some checkpoints' quarters, as far as they lie in the span."""
    found: list[tuple[str, int, _Counts]] = []
    if not keys:
        return found
    quarters = sorted({q for _, q in keys})
    gaps = [i for i, (a, b) in enumerate(pairwise(quarters), 1) if b > a + 1]
    if len(gaps) > _FEW:
        gaps = []
    for first, end in pairwise([0, *gaps, len(quarters)]):
        begin, last = quarters[first], quarters[end - 1]
        some = sorted(k for k in keys if begin <= k[1] <= last)
        codes = sorted({c for c, _ in some})
        part = Span(max(span.start, begin * QUARTER), min(span.end, (last + 1) * QUARTER))
        # Where most of what lies between is asked for, all of it costs less than picking out.
        dense = 4 * len(some) >= len(codes) * (last + 1 - begin)
        rows = count(client, [] if dense else some, part, codes)
        wanted = set(some)
        found += [row for row in rows if (row[0], row[1]) in wanted]
    return found


def count(
    client: Client, keys: Sequence[_Live], span: Span, checkpoints: Sequence[str] = ()
) -> list[tuple[str, int, _Counts]]:
    """Passages of some checkpoints' quarters; without keys: of all in the span."""
    rows = client.rows(
        "queries/count_flows",
        whole=not keys,
        keys=list(keys) or _NONE,
        checkpoints=list(checkpoints),
        start=span.start,
        end=span.end,
    )
    return [(c, q, counts) for c, q, counts in rows]


def _hour_of(at: int, zone: ZoneInfo) -> int:
    """When the hour of the zone began, in seconds since 1970."""
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    east = int(offset.total_seconds())
    return (at + east) // _HOUR * _HOUR - east
