"""Readers whose clock went wrong, told from the reads that they captured before and after.

Always true here: a reader captures in order of its sequence, so a read that lies long before most
of its neighbours in sequence was captured by a clock that was behind; a spool that is drained late
is late as a whole, and nothing is wrong with it. Where a read is in order, the reader may just have
seen few plates: then those after it must lie nearer to each other than to it. A neighbour whose own
time can't be right says nothing of anybody else's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eventsourcing.persistence import StoredEvent

from proto.ring.v1.events_pb2 import TIME_QUALITY_SUSPECT, StoredRead
from ring.store import EventLog, unseal
from ring.values import micros, read_log_id

_READ = "ring.read"
# Only reads that came so late can lie so long before their neighbours.
_LONG = 3_600_000_000
_NEIGHBOURS = 8
# Neighbours are looked up one read at a time: in the late reads of one plate, so many at most.
_MOST = 200


@dataclass(frozen=True)
class Capture:
    """When a read was captured and received, microseconds, and where it lies."""

    log: str
    position: int
    at: int
    received: int


def went_back(log: EventLog, captures: Sequence[Capture]) -> set[Capture]:
    """Those captured more than an hour before most of their neighbours."""
    late = {c.position: c for c in captures if c.received - c.at > _LONG}
    some = sorted(late)[-_MOST:]
    found = set()
    for event in log.select_positions(some) if some else ():
        stored = StoredRead.FromString(unseal(event.state))
        if _is_behind(late[event.id].at, *_around(log, stored)):
            found.add(late[event.id])
    return found


def _is_behind(at: int, before: Sequence[int], after: Sequence[int]) -> bool:
    later = [other for other in (*before, *after) if other - at > _LONG]
    around = len(before) + len(after)
    if around < 2 or 2 * len(later) <= around:
        return False
    in_order = not any(other - at > _LONG for other in before)
    return not in_order or min(later) - at > max(later) - min(later)


def _around(log: EventLog, stored: StoredRead) -> tuple[list[int], list[int]]:
    """When the reads before one and after it were captured."""
    stream, sequence = read_log_id(stored.reader_id, stored.epoch), stored.read.sequence
    before = log.select_events(stream, lte=sequence - 1, desc=True, limit=_NEIGHBOURS)
    after = log.select_events(stream, gt=sequence, limit=_NEIGHBOURS)
    return _captures(before), _captures(after)


def _captures(events: Iterable[StoredEvent]) -> list[int]:
    reads = (StoredRead.FromString(unseal(e.state)) for e in events if e.topic == _READ)
    return [micros(r.read.captured_at) for r in reads if r.time_quality != TIME_QUALITY_SUSPECT]
