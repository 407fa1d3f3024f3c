"""A ring without its write side: a real log, written directly, and a real read process on it."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid4, uuid5

import grpc
from eventsourcing.persistence import StoredEvent
from google.protobuf.message import Message

from projections import process
from proto.ring.v1.common_pb2 import Direction, LogPosition, Purpose
from proto.ring.v1.events_pb2 import (
    TIME_QUALITY_READER,
    TIME_QUALITY_SUSPECT,
    CheckpointPlaced,
    StoredRead,
)
from proto.ring.v1.ingest_pb2 import PlateRead
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceStub
from ring.store import open_log, seal
from ring.values import from_micros, read_id, read_log_id

SECOND = 1_000_000
HOUR = 3600 * SECOND
T0 = 1_710_028_800 * SECOND  # 2024-03-10T00:00:00Z
UNKNOWN, ENTRY, EXIT = 0, 1, 2
_sockets = itertools.count()
PURPOSE = Purpose(case_number="C-1", reason="test")


@dataclass(frozen=True)
class Seen:
    """One read, as a test speaks of it. `at`: microseconds since 1970."""

    plate: str
    at: int
    checkpoint: str = "GP-01"
    direction: Direction.ValueType = ENTRY
    sequence: int = 0
    reader: str = "reader-1"
    epoch: str = "0f1a3cf8-3b3f-4a0e-9a7e-5a2f6d1b7c11"
    confidence: float = 0.9375
    region: str = ""
    lane: str = "1"
    received_at: int | None = None
    suspect: bool = False
    crop: bytes = b""
    make: str = ""
    # (characters, their probabilities) a position
    posterior: Sequence[tuple[str, Sequence[float]]] = ()

    @property
    def read_id(self) -> str:
        """Its identity on the wire."""
        return str(read_id(self.reader, self.epoch, self.sequence))

    def stored(self) -> StoredEvent:
        """As the write side stores it."""
        received = self.at + SECOND if self.received_at is None else self.received_at
        read = PlateRead(
            sequence=self.sequence,
            captured_at=from_micros(self.at),
            plate=self.plate,
            confidence=self.confidence,
            region=self.region,
            crop_sha256=self.crop,
        )
        if self.make:
            read.vehicle.make = self.make
        for characters, probabilities in self.posterior:
            read.posterior.add(characters=characters, probabilities=probabilities)
        body = StoredRead(
            read=read,
            received_at=from_micros(received),
            reader_id=self.reader,
            epoch=self.epoch,
            checkpoint=self.checkpoint,
            lane=self.lane,
            direction=self.direction,
            time_quality=TIME_QUALITY_SUSPECT if self.suspect else TIME_QUALITY_READER,
        )
        return StoredEvent(
            originator_id=read_log_id(self.reader, self.epoch),
            originator_version=self.sequence,
            topic="ring.read",
            state=seal(body.SerializeToString()),
        )


@dataclass
class World:
    """A log, and the DSNs of a read process on it."""

    path: Path
    clickhouse: str
    cluster: str = ""
    _sequences: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.event_store = f"sqlite:///{self.path / 'events.sqlite'}"
        self.log = open_log(self.event_store)

    def numbered(self, reads: Iterable[Seen]) -> list[Seen]:
        """The reads with sequences of their own, in the order given."""
        return [replace(r, sequence=next(self._sequences)) for r in reads]

    def store(self, reads: Iterable[Seen]) -> int:
        """Stores numbered reads in the order given. The position of the last."""
        return self.insert([r.stored() for r in reads])

    def see(self, *reads: Seen) -> int:
        """Numbers and stores reads."""
        return self.store(self.numbered(reads))

    def happen(self, topic: str, body: Message, stream: str = "", version: int = 1) -> int:
        """Stores another event."""
        stream_id = uuid5(NAMESPACE_URL, stream) if stream else uuid4()
        state = seal(body.SerializeToString())
        return self.insert([StoredEvent(stream_id, version, topic, state)])

    def stand(self, places: Mapping[str, tuple[float, float]]) -> None:
        """Registers checkpoints, each where its latitude and longitude say."""
        for code, (latitude, longitude) in places.items():
            place = CheckpointPlaced(
                code=code, name=code, latitude=latitude, longitude=longitude, at=from_micros(T0)
            )
            self.happen("ring.checkpoint.registered", place, f"checkpoint-{code}")

    def position(self, position: int) -> LogPosition:
        """A position of this log, as at_least takes it."""
        return LogPosition(log_id=self.log.log_id, position=position)

    def insert(self, events: list[StoredEvent]) -> int:
        """Stores events as they are. The position of the last."""
        positions = self.log.insert_events(events)
        assert positions is not None
        return positions[-1]

    def close(self) -> None:
        """Closes the log."""
        self.log.close()


@dataclass
class Served:
    """Stubs of a read process."""

    world: World
    investigation: InvestigationServiceStub
    projections: ProjectionServiceStub
    channel: grpc.Channel

    def at_head(self) -> list[LogPosition]:
        """Waits for everything stored so far."""
        return [self.world.position(self.world.log.head())]


@contextmanager
def serving(world: World, *, wait: bool = True) -> Iterator[Served]:
    """The read process, in a thread of its own, until the block ends; ready, where we wait."""
    socket = world.path / f"read{next(_sockets)}.sock"
    ready = threading.Event()
    box: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failure: list[BaseException] = []

    async def main() -> None:
        stop = asyncio.Event()
        box.append((asyncio.get_running_loop(), stop))
        await process.run(
            world.event_store,
            world.clickhouse,
            str(socket),
            ready=ready.set,
            stop=stop,
            clickhouse_cluster=world.cluster,
        )

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not wait or ready.wait(30)
    try:
        if not failure:
            with grpc.insecure_channel(f"unix:{socket}") as channel:
                yield Served(
                    world,
                    InvestigationServiceStub(channel),
                    ProjectionServiceStub(channel),
                    channel,
                )
    finally:
        while not box and thread.is_alive():
            time.sleep(0.01)
        loop, stop = box[0]
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    if failure:
        raise failure[0]
