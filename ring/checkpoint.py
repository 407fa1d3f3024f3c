"""A checkpoint: a place on the ring where plates are read."""

import math

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import CheckpointPlaced
from proto.ring.v1.registry_pb2 import Checkpoint as CheckpointRow
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.values import checkpoint_id, code_of

_LONGEST_ZONE = 64


class Checkpoint(EventSourced):
    """Registered once, moved or renamed since."""

    class Registered(Event[CheckpointPlaced]):
        """It is on the ring."""

        TOPIC = "ring.checkpoint.registered"
        BODY = CheckpointPlaced

    class Moved(Event[CheckpointPlaced]):
        """Its name, place or zone changed."""

        TOPIC = "ring.checkpoint.moved"
        BODY = CheckpointPlaced

    place: CheckpointPlaced

    @classmethod
    def register(cls, row: CheckpointRow, at: Timestamp) -> "Checkpoint":
        """A new checkpoint. InvalidRequest on a row that can't be one."""
        checkpoint = cls(checkpoint_id(code_of(row.code, "checkpoint code")))
        checkpoint.trigger(cls.Registered, _placed(row, row.zone, at))
        return checkpoint

    def move(self, row: CheckpointRow, at: Timestamp) -> bool:
        """Takes the row's name, place and zone (where it has one); False where nothing changes."""
        now = self.place
        placed = _placed(row, row.zone if row.HasField("zone") else now.zone, at)
        if _what(placed) == _what(now):
            return False
        self.trigger(self.Moved, placed)
        return True

    def when(self, event: Event[CheckpointPlaced]) -> None:
        """Both events carry the whole state."""
        self.place = event.body


def _what(place: CheckpointPlaced) -> tuple[str, float, float, str]:
    return place.name, place.latitude, place.longitude, place.zone


def _placed(row: CheckpointRow, zone: str, at: Timestamp) -> CheckpointPlaced:
    for value, limit, what in ((row.latitude, 90, "latitude"), (row.longitude, 180, "longitude")):
        if not math.isfinite(value) or abs(value) > limit:
            raise InvalidRequest(f"the {what} {value} is outside -{limit}..{limit}")
    if len(zone) > _LONGEST_ZONE or zone != zone.strip() or not zone.isprintable():
        raise InvalidRequest(
            f"{zone!r} is not a zone: at most {_LONGEST_ZONE} characters, no space at its ends"
        )
    return CheckpointPlaced(
        at=at,
        code=code_of(row.code, "checkpoint code"),
        name=row.name,
        latitude=row.latitude,
        longitude=row.longitude,
        zone=zone,
    )
