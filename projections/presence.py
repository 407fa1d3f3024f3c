"""Who is inside the ring at a time.

Always true here: a vehicle is inside where its last passage of a known direction by then is an
entry that is not older than the longest visit: a missed exit leaves no ghost behind. What is shown
is what that plate's timeline says.

Counting every vehicle's passages would take seconds, so each plate's last entry and last exit are
kept with it, and only where those leave a doubt is the timeline looked at. A passage that goes on
for more than two minutes while the vehicle is read elsewhere may count on the wrong side in `total`
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client
from projections.movements import timelines_of, visit
from projections.requests import EARLIEST, LATEST, duration_of, instant_of, limit_of
from projections.visits import Stay
from proto.ring.v1.investigation_pb2 import (
    ListPresentRequest,
    ListPresentResponse,
    PresentVehicle,
)

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


def present_at(client: Client, moment: Moment) -> ListPresentResponse:
    """Longest inside first, then in order of plate."""
    if moment.latest < moment.earliest:
        return ListPresentResponse()
    sure, first, unsure = _candidates(client, moment, past=False)
    if len(unsure) > _MOST_UNSURE:
        sure, first, unsure = _candidates(client, moment, past=True)
    found = []
    looked_at = [*(plate for _, plate in first), *unsure]
    for plate, timeline in timelines_of(client, looked_at).items():
        stay = _stay_at(timeline.stays, moment)
        if stay and stay.entry:
            found.append((stay.entry.at, plate, stay))
    found.sort(key=lambda item: item[:2])
    doubtful = set(unsure)
    total = sure + sum(plate in doubtful for _, plate, _ in found)
    return ListPresentResponse(
        total=total,
        vehicles=[
            PresentVehicle(plate=plate, visit=visit(stay))
            for _, plate, stay in found[: moment.limit]
        ],
    )


def _stay_at(stays: Sequence[Stay], moment: Moment) -> Stay | None:
    """The visit that goes on at that time, where it began within the times asked for."""
    for stay in stays:
        entry = stay.entry
        if entry and entry.at <= moment.at and (stay.ends is None or stay.ends > moment.at):
            return stay if moment.earliest <= entry.at <= moment.latest else None
    return None


def _candidates(
    client: Client, moment: Moment, *, past: bool
) -> tuple[int, list[tuple[int, str]], list[str]]:
    ((sure, first, unsure),) = client.rows(
        "queries/present",
        at=moment.at,
        earliest=moment.earliest,
        latest=moment.latest,
        slack=_SLACK,
        rows=moment.limit,
        # Past: every doubt is looked at, however many there are.
        most=2**31 if past else _MOST_UNSURE + 1,
        past=past,
    )
    return sure, first, unsure
