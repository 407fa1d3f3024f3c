"""Who is inside the ring at a time.

Always true here: a vehicle is inside where its last passage of a known direction by then is an
entry that is not older than the longest visit: a missed exit leaves no ghost behind. What is shown
is what that plate's timeline says; who is listed did not enter by a misread.

Counting every vehicle's passages would take seconds, so each plate's last entry and last exit are
kept with it, and only where those leave a doubt is the timeline looked at. A passage that goes on
for more than two minutes while the vehicle is read elsewhere may count on the wrong side in `total`
alone. Misreads are told where a vehicle would be listed, and nowhere else: the others count in
`total` as they were read, and a last passage that is another vehicle's, misread as an exit or as a
later entry, stands for the vehicle whose plate was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client
from projections.misreads import note_misreads
from projections.movements import timelines_in, timelines_of, visit
from projections.requests import EARLIEST, LATEST, duration_of, instant_of, limit_of
from projections.visits import Stay, Timeline
from proto.ring.v1.investigation_pb2 import (
    ListPresentRequest,
    ListPresentResponse,
    PresentVehicle,
)
from ring.store import EventLog

_SLACK = 120_000_000
# So many plates are looked at one by one; where more were seen since, the reads are gone through.
_MOST_UNSURE = 5_000
_LONGEST = 100 * 366 * 86_400 * 1_000_000


@dataclass(frozen=True)
class Moment:
    """A question for who is inside, checked: entered within [earliest, latest], microseconds."""

    at: int
    earliest: int
    latest: int
    limit: int


def moment_of(request: ListPresentRequest, now: Timestamp, max_visit: int) -> Moment:
    """Reads a request. `max_visit`: microseconds."""
    at = instant_of(request.at if request.HasField("at") else now, "at")
    longer = duration_of(request.longer_than, "longer_than", 0, _LONGEST)
    earliest = min(max(at - max_visit, EARLIEST), LATEST)
    return Moment(at, earliest, max(at - longer, EARLIEST), limit_of(request.limit))


def present_at(client: Client, log: EventLog, moment: Moment) -> ListPresentResponse:
    """Longest inside first, then in order of plate."""
    if moment.latest < moment.earliest:
        return ListPresentResponse()
    # Some will turn out to be misreads.
    rows = 2 * moment.limit
    while True:
        sure, first, unsure = _candidates(client, moment, rows, past=False)
        if len(unsure) > _MOST_UNSURE:
            sure, first, unsure = _candidates(client, moment, rows, past=True)
        looked_at = [*(plate for _, plate in first), *unsure]
        stays = _stays_at(timelines_of(client, looked_at), moment)
        total = sure + len(stays.keys() & set(unsure))
        found = sorted((stay.begins or 0, plate) for plate, stay in stays.items())
        listed: dict[str, Stay] = {}
        for begin in range(0, len(found), moment.limit):
            some = {plate: stays[plate] for _, plate in found[begin : begin + moment.limit]}
            left = _without_misreads(client, log, some, moment)
            listed |= left
            total -= len(some) - len(left)
            if len(listed) >= moment.limit:
                break
        if len(listed) >= moment.limit or len(first) < rows:
            break
        rows *= 4
    vehicles = sorted(listed.items(), key=lambda item: (item[1].begins or 0, item[0]))
    return ListPresentResponse(
        total=total,
        vehicles=[
            PresentVehicle(plate=plate, visit=visit(stay))
            for plate, stay in vehicles[: moment.limit]
        ],
    )


def _without_misreads(
    client: Client, log: EventLog, stays: Mapping[str, Stay], moment: Moment
) -> dict[str, Stay]:
    """The visits, as they are without the passages that are misreads, where there is one."""
    left = dict(stays)
    away: set[int] = set()
    asked: Mapping[str, Stay] = stays
    while asked:
        ends = {plate: [p for p in (s.entry, s.exit) if p] for plate, s in asked.items()}
        misread = note_misreads(client, log, ends)
        if not misread:
            break
        away |= {p.key for plate in misread for p in ends[plate] if not p.counts}
        rows = client.rows("queries/visits_without", plates=sorted(misread), away=sorted(away))
        # The passage before may be a misread too.
        asked = _stays_at(timelines_in(rows), moment)
        left = {plate: stay for plate, stay in left.items() if plate not in misread} | asked
    return left


def _stays_at(timelines: Mapping[str, Timeline], moment: Moment) -> dict[str, Stay]:
    found = {plate: _stay_at(own.stays, moment) for plate, own in timelines.items()}
    return {plate: stay for plate, stay in found.items() if stay}


def _stay_at(stays: Sequence[Stay], moment: Moment) -> Stay | None:
    """The visit that goes on at that time, where it began within the times asked for."""
    for stay in stays:
        entry = stay.entry
        if entry and entry.at <= moment.at and (stay.ends is None or stay.ends > moment.at):
            return stay if moment.earliest <= entry.at <= moment.latest else None
    return None


def _candidates(
    client: Client, moment: Moment, rows: int, *, past: bool
) -> tuple[int, list[tuple[int, str]], list[str]]:
    ((sure, first, unsure),) = client.rows(
        "queries/present",
        at=moment.at,
        earliest=moment.earliest,
        latest=moment.latest,
        slack=_SLACK,
        rows=rows,
        # Past: every doubt is looked at, however many there are.
        most=2**31 if past else _MOST_UNSURE + 1,
        past=past,
    )
    return sure, first, unsure
