"""Who is inside the ring at a time.

Always true here: a vehicle is inside where its last passage of a known direction by then is an
entry that is not older than the longest visit: a missed exit leaves no ghost behind. What is shown
is what that plate's timeline says; who is listed did not enter by a misread.

Counting every vehicle's passages would take seconds, so each plate's last entry and last exit are
looked at, and only where those leave a doubt the timeline. A passage that goes on for more than two
minutes while the vehicle is read elsewhere may count on the wrong side in `total` alone. Misreads
are told where a vehicle would be listed, and nowhere else: the others count in `total` as they were
read, and a last passage that is another vehicle's, misread as an exit or as a later entry, stands
for the vehicle whose plate was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client
from projections.last_passages import Last, LastPassages, then
from projections.misreads import note_misreads_of_many
from projections.movements import timelines_in, timelines_since, visit
from projections.requests import EARLIEST, LATEST, duration_of, instant_of, limit_of
from projections.visits import Stay, Timeline
from proto.ring.v1.investigation_pb2 import (
    ListPresentRequest,
    ListPresentResponse,
    PresentVehicle,
)
from ring.store import EventLog

# A passage's last read stands for the passage; where the two could differ (they are so far apart at
# the most), the plate is looked at by itself. Microseconds.
_SLACK = 120_000_000
# Reads of one passage are not further apart.
_GAP = 60_000_000
# So many plates are looked at one by one; where more was read since, the reads are gone through.
_MOST_UNSURE = 5_000
# With more at an end of the times asked for, those whose entry goes on across it are found first.
_MANY_AT_THE_EDGE = 50
_DAY = 86_400 * 1_000_000
_LONGEST = 100 * 366 * _DAY


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


def present_at(
    client: Client, log: EventLog, passages: LastPassages, moment: Moment
) -> ListPresentResponse:
    """Longest inside first, then in order of plate."""
    if moment.latest < moment.earliest:
        return ListPresentResponse()
    inside = _inside(client, passages, moment)
    # Some will turn out to be misreads.
    rows = some = moment.limit + moment.limit // 10 + 10
    while True:
        first = inside.first(rows)
        looked_at = [*first, *inside.unsure]
        # A day more: an entry that goes on from before then is none of the times asked for.
        since = max(moment.earliest - _DAY, EARLIEST)
        stays = _stays_at(timelines_since(client, looked_at, since), moment)
        total = inside.sure + len(stays.keys() & set(inside.unsure))
        found = sorted((stay.begins or 0, plate) for plate, stay in stays.items())
        listed: dict[str, Stay] = {}
        for begin in range(0, len(found), some):
            next_ = {plate: stays[plate] for _, plate in found[begin : begin + some]}
            left = _without_misreads(client, log, next_, moment)
            listed |= left
            total -= len(next_) - len(left)
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


@dataclass(frozen=True)
class _Inside:
    """Plates that are inside, by their last passages, and those that must be looked at."""

    last: Last
    inside: npt.NDArray[np.intp]
    unsure: list[str]

    @property
    def sure(self) -> int:
        return len(self.inside)

    def first(self, count: int) -> list[str]:
        """Those who entered first, then in order of plate."""
        entry = self.last.entry[self.inside]
        some = self.inside
        if count < len(entry):
            some = some[entry <= np.partition(entry, count)[count]]
        # In order of plate already.
        some = some[np.argsort(self.last.entry[some], kind="stable")][:count]
        return _texts(self.last, some)


def _inside(client: Client, passages: LastPassages, moment: Moment) -> _Inside:
    ((later_reads,),) = client.rows("queries/captured_after", at=moment.at, most=_MOST_UNSURE + 1)
    if later_reads <= _MOST_UNSURE:
        last = passages.since(client, moment.earliest)
        return _divided(client, last, np.maximum(last.entry, last.exit) > moment.at, moment)
    last = then(client, since=moment.earliest, at=moment.at, slack=_SLACK)
    return _divided(client, last, np.zeros(len(last.entry), bool), moment)


def _divided(client: Client, last: Last, later: npt.NDArray[np.bool_], moment: Moment) -> _Inside:
    """`later`: what was read after the time asked for tells nothing of it."""
    may_be = np.flatnonzero(
        ~later
        & (last.entry >= moment.earliest)
        & (last.entry <= moment.latest + _SLACK)
        & (last.entry + _SLACK >= last.exit)
    )
    entry, exit_ = last.entry[may_be], last.exit[may_be]
    unsure = abs(entry - exit_) <= _SLACK
    began_before = ~unsure & (entry <= moment.earliest + _SLACK)
    began_after = ~unsure & (entry > moment.latest)
    # Most entries lie on one side of an end as a whole.
    across_first = began_before & _goes_on(client, last, may_be, began_before, moment.earliest)
    across_last = began_after & _goes_on(client, last, may_be, began_after, moment.latest + 1)
    unsure |= across_first | across_last
    began_after &= ~across_last
    looked_at = np.concatenate([np.flatnonzero(later), may_be[unsure]])
    return _Inside(last, may_be[~unsure & ~began_after], _texts(last, looked_at))


def _goes_on(
    client: Client,
    last: Last,
    which: npt.NDArray[np.intp],
    near: npt.NDArray[np.bool_],
    edge: int,
) -> npt.NDArray[np.bool_]:
    """Which plates may have an entry from before a time on; of those near it, the others have none.

    Where few are near, all of them may.
    """
    if np.count_nonzero(near) <= _MANY_AT_THE_EDGE:
        return near
    rows = client.rows("queries/entered_around", edge=edge, gap=_GAP)
    plates = np.array([plate for (plate,) in rows], last.plates.dtype)
    return np.isin(last.plates[which], plates)


def _texts(last: Last, which: npt.NDArray[np.intp]) -> list[str]:
    return [str(plate, "ascii") for plate in last.plates[which].tolist()]


def _without_misreads(
    client: Client,
    log: EventLog,
    stays: Mapping[str, Stay],
    moment: Moment,
) -> dict[str, Stay]:
    """The visits, as they are without the passages that are misreads, where there is one."""
    left = dict(stays)
    away: set[int] = set()
    asked: Mapping[str, Stay] = stays
    while asked:
        ends = {plate: [p for p in (s.entry, s.exit, s.after) if p] for plate, s in asked.items()}
        misread = note_misreads_of_many(client, log, ends)
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
