"""A reader: a camera with a program, assigned to a checkpoint, a lane and a direction.

Always true here: assignments are ordered by the time they hold from, and the first holds for all
time before it, so every capture time has exactly one.
"""

from bisect import bisect_right
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import Direction
from proto.ring.v1.events_pb2 import ReaderAssigned, ReaderHeard, ReaderRevoked
from proto.ring.v1.registry_pb2 import Reader as ReaderRow
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.values import code_of, micros, reader_stream_id


class Assignment(NamedTuple):
    """Where a reader stands."""

    checkpoint: str
    lane: str
    direction: "Direction.ValueType"


class Reader(EventSourced):
    """Registered, assigned anew, silent and heard again, revoked."""

    class Registered(Event[ReaderAssigned]):
        """It may stream."""

        TOPIC = "ring.reader.registered"
        BODY = ReaderAssigned

    class Assigned(Event[ReaderAssigned]):
        """It stands elsewhere from a time on. Also lifts a revocation."""

        TOPIC = "ring.reader.assigned"
        BODY = ReaderAssigned

    class Revoked(Event[ReaderRevoked]):
        """It may not stream any more."""

        TOPIC = "ring.reader.revoked"
        BODY = ReaderRevoked

    class WentSilent(Event[ReaderHeard]):
        """Nothing was heard of it for too long."""

        TOPIC = "ring.reader.silent"
        BODY = ReaderHeard

    class Recovered(Event[ReaderHeard]):
        """It was heard again."""

        TOPIC = "ring.reader.recovered"
        BODY = ReaderHeard

    reader_id: str = ""
    revoked: bool = False
    silent: bool = False
    # Tuples, never grown in place: other threads read them while they change.
    _assignments: tuple[Assignment, ...] = ()
    _holds_from: tuple[int, ...] = ()

    @classmethod
    def register(cls, row: ReaderRow, at: Timestamp) -> "Reader":
        """A new reader. InvalidRequest on a row that can't be one."""
        reader = cls(reader_stream_id(code_of(row.reader_id, "reader id")))
        reader.trigger(cls.Registered, _assigned(row, at))
        return reader

    def assign(self, row: ReaderRow, at: Timestamp) -> bool:
        """Puts it elsewhere from `at` on; False where nothing changes."""
        wanted = Assignment(row.checkpoint, row.lane, row.direction)
        if not self.revoked and self.assignment == wanted:
            return False
        body = _assigned(row, at)
        body.holds_from.CopyFrom(at)
        self.trigger(self.Assigned, body)
        return True

    def revoke(self, reason: str, at: Timestamp) -> bool:
        """Refuses it from now on; False where it is refused already."""
        if self.revoked:
            return False
        body = ReaderRevoked(at=at, reader_id=self.reader_id, reason=reason)
        self.trigger(self.Revoked, body)
        return True

    def hear(self, *, silent: bool, at: Timestamp, last_heard: Timestamp) -> bool:
        """Notes that it went silent or was heard again; False where that is known."""
        if self.silent == silent:
            return False
        body = ReaderHeard(at=at, reader_id=self.reader_id, last_heard=last_heard)
        self.trigger(self.WentSilent if silent else self.Recovered, body)
        return True

    @property
    def assignment(self) -> Assignment:
        """Where it stands now."""
        return self._assignments[-1]

    @property
    def only_assignment(self) -> Assignment | None:
        """Where it has always stood; None where it stood elsewhere before."""
        return self._assignments[0] if len(self._assignments) == 1 else None

    def assignment_at(self, at: int) -> Assignment:
        """Where it stood at a time: microseconds since 1970, UTC."""
        return self._assignments[max(0, bisect_right(self._holds_from, at) - 1)]

    def when(self, event: Event[Any]) -> None:
        """Folds one event in."""
        body = event.body
        match event:
            case Reader.Registered():
                self.reader_id = body.reader_id
                self._assignments = (Assignment(body.checkpoint, body.lane, body.direction),)
                self._holds_from = (-(2**63),)
            case Reader.Assigned():
                self.revoked = False
                place = Assignment(body.checkpoint, body.lane, body.direction)
                # Never before the one before it, even where the server's clock was set back.
                since = max(micros(body.holds_from), self._holds_from[-1])
                self._holds_from = (*self._holds_from, since)
                self._assignments = (*self._assignments, place)
            case Reader.Revoked():
                self.revoked = True
            case Reader.WentSilent():
                self.silent = True
            case Reader.Recovered():
                self.silent = False


def _assigned(row: ReaderRow, at: Timestamp) -> ReaderAssigned:
    if row.direction not in Direction.values():
        raise InvalidRequest(f"{row.direction} is not a direction")
    return ReaderAssigned(
        at=at,
        reader_id=code_of(row.reader_id, "reader id"),
        checkpoint=code_of(row.checkpoint, "checkpoint code"),
        lane=row.lane,
        direction=row.direction,
    )
