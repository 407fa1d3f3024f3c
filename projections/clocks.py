"""Readers whose clock went wrong, told from the reads that they captured before and after.

Always true here: a reader captures in order of its sequence, so a read that lies long before most
of its neighbours in sequence was captured by a clock that was behind; a spool that is drained late
is late as a whole, and nothing is wrong with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from proto.ring.v1.events_pb2 import StoredRead
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
        around = _around(log, stored)
        later = sum(at - late[event.id].at > _LONG for at in around)
        if len(around) > 1 and 2 * later > len(around):
            found.add(late[event.id])
    return found


def _around(log: EventLog, stored: StoredRead) -> list[int]:
    stream, sequence = read_log_id(stored.reader_id, stored.epoch), stored.read.sequence
    before = log.select_events(stream, lte=sequence - 1, desc=True, limit=_NEIGHBOURS)
    after = log.select_events(stream, gt=sequence, limit=_NEIGHBOURS)
    reads = (StoredRead.FromString(unseal(e.state)) for e in (*before, *after) if e.topic == _READ)
    return [micros(r.read.captured_at) for r in reads]
