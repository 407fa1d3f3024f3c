"""A checkpoint: a place on the ring where plates are read."""

import math

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import CheckpointPlaced
from proto.ring.v1.registry_pb2 import Checkpoint as CheckpointRow
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.values import checkpoint_id, code_of


class Checkpoint(EventSourced):
    """Registered once, moved or renamed since."""

    class Registered(Event[CheckpointPlaced]):
        """It is on the ring."""

        TOPIC = "ring.checkpoint.registered"
        BODY = CheckpointPlaced

    class Moved(Event[CheckpointPlaced]):
        """Its name or place changed."""

        TOPIC = "ring.checkpoint.moved"
        BODY = CheckpointPlaced

    place: CheckpointPlaced

    @classmethod
    def register(cls, row: CheckpointRow, at: Timestamp) -> "Checkpoint":
        """A new checkpoint. InvalidRequest on a row that can't be one."""
        checkpoint = cls(checkpoint_id(code_of(row.code, "checkpoint code")))
        checkpoint.trigger(cls.Registered, _placed(row, at))
        return checkpoint

    def move(self, row: CheckpointRow, at: Timestamp) -> bool:
        """Takes the row's name and place; False where nothing changes."""
        placed = _placed(row, at)
        now = self.place
        if (now.name, now.latitude, now.longitude) == (row.name, row.latitude, row.longitude):
            return False
        self.trigger(self.Moved, placed)
        return True

    def when(self, event: Event[CheckpointPlaced]) -> None:
        """Both events carry the whole state."""
        self.place = event.body


def _placed(row: CheckpointRow, at: Timestamp) -> CheckpointPlaced:
    for value, limit, what in ((row.latitude, 90, "latitude"), (row.longitude, 180, "longitude")):
        if not math.isfinite(value) or abs(value) > limit:
            raise InvalidRequest(f"the {what} {value} is outside -{limit}..{limit}")
    return CheckpointPlaced(
        at=at,
        code=code_of(row.code, "checkpoint code"),
        name=row.name,
        latitude=row.latitude,
        longitude=row.longitude,
    )
