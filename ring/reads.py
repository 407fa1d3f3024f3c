"""Reads as the ring keeps them: how one is judged, and the events it becomes.

Always true here: a read log belongs to one reader and epoch, and an event's version in it is the
reader's own sequence number; so the event store itself keeps a read from being stored twice. A
rejected read is kept whole.
"""

from collections.abc import Sequence
from functools import cache

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import (
    DIRECTION_ENTRY,
    DIRECTION_EXIT,
    Direction,
    PlateSighting,
)
from proto.ring.v1.events_pb2 import (
    TIME_QUALITY_READER,
    TIME_QUALITY_SUSPECT,
    StoredRead,
    StoredReject,
    TimeQuality,
)
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.events import Event
from ring.values import is_plate, micros, normalise_plate, read_id

MAX_AHEAD = 10_000_000
MAX_BATCH = 1000
MAX_BATCH_BYTES = 3 * 1024 * 1024

_YEAR_2000 = 946_684_800
_DAY = 86_400
_MAX_POSITIONS = 16
_MAX_CANDIDATES = 36
_WHOLE = 1.01
_DELAYED_MICROS = 60_000_000
_ACROSS = frozenset((DIRECTION_ENTRY, DIRECTION_EXIT))
_CANDIDATES = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class ReadLog:
    """What happens to the reads of one reader and epoch."""

    class PlateRead(Event[StoredRead]):
        """A read was stored."""

        TOPIC = "ring.read"
        BODY = StoredRead

    class ReadRejected(Event[StoredReject]):
        """A read was not accepted, and recorded whole with the reason."""

        TOPIC = "ring.read.rejected"
        BODY = StoredReject


class Conflict:
    """A sequence that came again with other content."""

    class Recorded(Event[StoredReject]):
        """The other content, whole."""

        TOPIC = "ring.read.conflict"
        BODY = StoredReject


def judge(read: PlateRead) -> str | None:
    """Why a read is rejected, or None. Normalises its plate where that makes it good."""
    plate = read.plate
    if not is_plate(plate):
        if not plate:
            return "no plate"
        plate = normalise_plate(plate)
        if not is_plate(plate):
            return "the plate is not 2 to 12 of A-Z and 0-9 after normalisation"
    if not 0.0 <= read.confidence <= 1.0:
        return "the confidence is outside 0..1"
    if read.posterior:
        reason = _judge_posterior(read)
        if reason:
            return reason
    if plate != read.plate:
        read.plate = plate
    return None


class _Named(dict[str, int]):
    """How many characters a place names, -1 where it may not name these; remembers good ones."""

    MOST = 50_000

    def __missing__(self, characters: str) -> int:
        count = len(characters)
        if (
            not 1 <= count <= _MAX_CANDIDATES
            or not _CANDIDATES.issuperset(characters)
            or len(set(characters)) != count
        ):
            return -1
        if len(self) == self.MOST:
            self.clear()
        self[characters] = count
        return count


_named = _Named()


def _judge_posterior(read: PlateRead) -> str | None:
    """`_judge_places`, at half the cost where nothing is wrong."""
    places = read.posterior
    said: list[float] = []
    for candidates in places:
        probabilities = candidates.probabilities[:]
        # A sum that is no number is not below anything.
        if _named[candidates.characters] != len(probabilities) or not sum(probabilities) <= _WHOLE:
            return _judge_places(places)
        said += probabilities
    if len(places) > _MAX_POSITIONS or min(said) < 0.0 or max(said) > 1.0:
        return _judge_places(places)
    return None


def _judge_places(places: Sequence[CharacterCandidates]) -> str | None:
    """What is wrong with a posterior, rule by rule; None where nothing is."""
    if len(places) > _MAX_POSITIONS:
        return f"malformed posterior: more than {_MAX_POSITIONS} positions"
    for place, candidates in enumerate(places, 1):
        characters, probabilities = candidates.characters, candidates.probabilities
        if not characters or len(characters) > _MAX_CANDIDATES:
            return f"malformed posterior: position {place} needs 1 to {_MAX_CANDIDATES} characters"
        if len(characters) != len(probabilities):
            return f"malformed posterior: position {place} lacks a probability for each character"
        if not _CANDIDATES.issuperset(characters):
            return f"malformed posterior: position {place} has characters outside A-Z, 0-9 and _"
        if len(set(characters)) != len(characters):
            return f"malformed posterior: position {place} has a character twice"
        if not all(0.0 <= p <= 1.0 for p in probabilities) or sum(probabilities) > _WHOLE:
            return f"malformed posterior: position {place} has no probabilities"
    return None


def time_quality(read: PlateRead, now: float) -> "TimeQuality.ValueType":
    """Whether a capture time can be right. `now`: the server's clock, seconds since 1970, UTC."""
    at = read.captured_at
    good = (
        _YEAR_2000 <= at.seconds <= now + _DAY and 0 <= at.nanos < 1_000_000_000
        # a missing captured_at has seconds == 0
    )
    return TIME_QUALITY_READER if good else TIME_QUALITY_SUSPECT


def content(read: PlateRead) -> bytes:
    """The bytes that two sendings of the same read share."""
    return read.SerializeToString(deterministic=True)


def stored_body(read: bytes, rest: bytes) -> bytes:
    """A StoredRead from its serialised read and its serialised other fields.

    The concatenation of two protobuf messages is their union, so what is the same for a whole
    batch is serialised once.
    """
    return b"".join((_head(len(read)), read, rest))


@cache
def _head(length: int) -> bytes:
    """The tag of StoredRead.read and the length of what follows."""
    head = bytearray(b"\x0a")
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)


def seen_at(stored: StoredRead) -> Timestamp:
    """When it was captured, as far as that can be known."""
    if stored.time_quality == TIME_QUALITY_SUSPECT:
        return stored.received_at
    return stored.read.captured_at


def is_delayed(stored: StoredRead) -> bool:
    """Received more than 60 s after capture."""
    return micros(stored.received_at) - micros(seen_at(stored)) > _DELAYED_MICROS


def sighting(stored: StoredRead) -> PlateSighting:
    """A stored read as the world sees it."""
    read = stored.read
    result = PlateSighting(
        read_id=str(read_id(stored.reader_id, stored.epoch, read.sequence)),
        plate=read.plate,
        checkpoint=stored.checkpoint,
        reader_id=stored.reader_id,
        lane=stored.lane,
        direction=stored.direction,
        captured_at=seen_at(stored),
        confidence=read.confidence,
        crop_sha256=read.crop_sha256,
        received_at=stored.received_at,
        region=read.region,
        time_suspect=stored.time_quality == TIME_QUALITY_SUSPECT,
    )
    if read.HasField("vehicle"):
        result.vehicle.CopyFrom(read.vehicle)
    return result


def direction_of(read: PlateRead, registered: "Direction.ValueType") -> "Direction.ValueType":
    """The read's own direction, else the one the reader is registered for.

    A direction that is none of ours says nothing.
    """
    return read.direction if read.direction in _ACROSS else registered
