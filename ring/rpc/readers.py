"""The health of the readers, as heard since the server started.

Always true here: it is used in the event loop alone, and a batch costs it a look at the clock.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.ingest_pb2 import ReaderStatus
from proto.ring.v1.registry_pb2 import ReaderHealth

# Epochs of one reader of which it is known what was lost; the oldest go.
_MOST_LOST = 16


@dataclass
class _Heard:
    """What is known of one reader since the server started."""

    health: ReaderHealth = field(default_factory=ReaderHealth)
    streams: int = 0
    # Nanoseconds since 1970, UTC: a batch has no time for more than a look at the clock.
    at: int = 0
    read_at: int = 0


class Readers:
    """The health of the readers, for RegistryService.ListReaders."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        # By reader and epoch: what was acknowledged once and is not in the log.
        self._lost: dict[tuple[str, str], tuple[int, int]] = {}

    def of(self, reader_id: str) -> ReaderHealth:
        """What is known of a reader."""
        heard = self._heard.get(reader_id)
        if heard is None:
            return ReaderHealth()
        health = ReaderHealth()
        health.CopyFrom(heard.health)
        health.last_heard.FromNanoseconds(heard.at)
        if heard.read_at:
            health.last_read_received.FromNanoseconds(heard.read_at)
        health.streams = heard.streams
        health.connected = heard.streams > 0
        return health

    def opened(self, reader_id: str, version: str) -> None:
        """A stream said hello."""
        heard = self._heard.setdefault(reader_id, _Heard())
        heard.streams += 1
        heard.health.software_version = version
        heard.at = time.time_ns()

    def resumed(self, reader_id: str, epoch: str, committed: int, acknowledged: int) -> None:
        """A stream was told where the log is; its reader had said what was acknowledged to it."""
        self._lost.pop((reader_id, epoch), None)
        if acknowledged > committed:
            self._lost[reader_id, epoch] = committed, acknowledged
            own = [key for key in self._lost if key[0] == reader_id]
            if len(own) > _MOST_LOST:
                del self._lost[own[0]]

    def lost(self) -> dict[tuple[str, str], tuple[int, int]]:
        """The log's last sequence and the last acknowledged, by reader and epoch."""
        return dict(self._lost)

    def closed(self, reader_id: str) -> None:
        """A stream ended."""
        self._heard[reader_id].streams -= 1

    def sent_reads(self, reader_id: str) -> None:
        """A batch came."""
        heard = self._heard[reader_id]
        heard.at = heard.read_at = time.time_ns()

    def sent_status(self, reader_id: str, status: ReaderStatus) -> None:
        """A status came."""
        heard = self._heard[reader_id]
        heard.at = time.time_ns()
        health = heard.health
        health.spool_depth = status.spool_depth
        health.frames_per_second = status.frames_per_second
        health.dropped_frames = status.dropped_frames
        if status.HasField("clock"):
            clock = status.clock.seconds + status.clock.nanos / 1e9
            health.clock_offset_seconds = clock - time.time()

    def each(self) -> Iterator[tuple[str, ReaderHealth]]:
        """Every reader that was heard."""
        return ((reader_id, heard.health) for reader_id, heard in list(self._heard.items()))

    def last_heard(self) -> dict[str, Timestamp]:
        """When each reader that was ever heard was heard last; now, while it has a stream."""
        now = time.time_ns()
        result = {reader_id: Timestamp() for reader_id in self._heard}
        for reader_id, heard in self._heard.items():
            result[reader_id].FromNanoseconds(now if heard.streams else heard.at)
        return result
