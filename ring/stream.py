"""One open stream of one reader and epoch, as the committer sees it.

Always true here: once it has ended, nothing more of it is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import StoredRead
from ring.errors import RingError
from ring.reader import Assignment
from ring.values import read_log_id


@dataclass
class Answer:
    """What a stream is told after its message was dealt with."""

    committed: int
    position: int
    rejected: list[tuple[int, str]] = field(default_factory=list)
    error: RingError | None = None


class Stream:
    """One open stream of one reader and epoch, as the committer sees it."""

    def __init__(self, reader_id: str, epoch: str, on_end: Callable[[RingError], None]) -> None:
        self.reader_id = reader_id
        self.epoch = epoch
        self.id = read_log_id(reader_id, epoch)
        # Called from the committer's thread when the stream must end from outside.
        self.on_end = on_end
        self.ended: RingError | None = None
        # Its connection is no more: whoever opens it now has to forget it.
        self.gone = False
        self.committed = 0
        self._moment: Timestamp | None = None
        self._rest_of: dict[tuple[int, Assignment, str, int], bytes] = {}

    def end(self, error: RingError) -> None:
        """Nothing more of it is taken."""
        if self.ended is None:
            self.ended = error
            self.on_end(error)

    def rest(
        self, received: Timestamp, quality: int, place: Assignment, lane: str, way: int
    ) -> bytes:
        """The serialised fields of a StoredRead that a batch's reads share."""
        if received is not self._moment:
            # Only the current moment is worth keeping.
            self._moment = received
            self._rest_of.clear()
        key = (quality, place, lane, way)
        rest = self._rest_of.get(key)
        if rest is None:
            rest = self._rest_of[key] = StoredRead(
                received_at=received,
                reader_id=self.reader_id,
                epoch=self.epoch,
                checkpoint=place.checkpoint,
                lane=lane,
                direction=way,  # type: ignore[arg-type]
                time_quality=quality,  # type: ignore[arg-type]
            ).SerializeToString()
        return rest
