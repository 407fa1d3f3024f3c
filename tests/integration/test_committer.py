"""The committer beside a store that fails, or is slow; and the watch of silent readers."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from proto.ring.v1.events_pb2 import StoredRead
from proto.ring.v1.ingest_pb2 import ReadBatch, ReaderHello, StreamReadsRequest
from proto.ring.v1.registry_pb2 import Checkpoint, Reader
from ring.application import Ring
from ring.directory import Directory
from ring.errors import TakenOver
from ring.ingest import Committer
from ring.pictures import Pictures
from ring.rpc.clock import now
from ring.rpc.ingest import IngestService
from ring.rpc.readers import Readers
from ring.rpc.silence import SilenceWatch
from ring.store import EventLog, unseal
from ring.store.log import NoRoomError
from ring.stream import Answer, Stream
from ring.values import micros, read_log_id
from tests.conftest import NewStore
from tests.vendor import read

EPOCH = "7a0b1c2d-0000-4000-8000-000000000001"


@pytest.fixture
def ring(new_store: NewStore) -> Any:
    ring = Ring(new_store())
    ring.import_checkpoints([Checkpoint(code="GP-01")], now())
    ring.import_readers([Reader(reader_id="r1", checkpoint="GP-01", direction=1)], now())
    yield ring
    ring.close()


async def say(committer: Committer, stream: Stream, *sequences: int) -> Answer:
    """A batch, or hello where there are none."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()
    if sequences:
        reads = [read(sequence, f"AB{sequence:03}CD") for sequence in sequences]
        committer.submit(stream, reads, time.time(), future.set_result)
    else:
        committer.hello(stream, future.set_result)
    return await asyncio.wait_for(future, 10)


@contextmanager
def running(ring: Ring) -> Iterator[Committer]:
    committer = Committer(ring, Directory(ring), lambda _: None, asyncio.get_running_loop())
    committer.start()
    try:
        yield committer
    finally:
        committer.stop()


@contextmanager
def busy(log: EventLog) -> Iterator[threading.Event]:
    """The store does not answer inside, until the event is set."""
    insert_events, answers = log.insert_events, threading.Event()

    def slow(events: Sequence[StoredEvent], **kwargs: Any) -> Any:
        answers.wait()
        return insert_events(events, **kwargs)

    log.insert_events = slow  # type: ignore[method-assign]
    try:
        yield answers
    finally:
        answers.set()
        log.insert_events = insert_events  # type: ignore[method-assign]


class Wire:
    """What a stream's context is asked for: it takes what is written."""

    def __init__(self) -> None:
        self.committed = 0

    async def write(self, response: Any) -> None:
        self.committed = response.committed_sequence


def test_what_was_stored_though_its_answer_was_lost_lies_before_the_position(ring: Ring) -> None:
    """As on PostgreSQL, where a connection may break between a commit and its answer."""
    log = ring.event_log
    insert_events = log.insert_events

    def committed_and_tried_again(events: Sequence[StoredEvent], **kwargs: Any) -> Any:
        insert_events(events, **kwargs)
        return insert_events(events, **kwargs)

    async def story() -> None:
        with running(ring) as committer:
            first = Stream("r1", EPOCH, lambda _: None)
            await say(committer, first)
            log.insert_events = committed_and_tried_again  # type: ignore[method-assign]
            answer = await say(committer, first, 1, 2, 3)
            assert answer.error is not None
            assert answer.committed == 0
            log.insert_events = insert_events  # type: ignore[method-assign]
            again = Stream("r1", EPOCH, lambda _: None)
            for sequences in ((), (1, 2, 3)):
                answer = await say(committer, again, *sequences)
                assert (answer.committed, answer.error) == (3, None)
                assert answer.position >= log.head()
            assert not committer.trouble, "the log can be written"

    asyncio.run(story())


class Between(dict[UUID, Stream]):
    """Whose streams they are: when one is looked up, `meanwhile` runs in another thread."""

    meanwhile: Callable[[], None] | None = None

    def get(self, key: UUID, default: Any = None) -> Any:
        found = super().get(key, default)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            other = threading.Thread(target=meanwhile)
            other.start()
            other.join(0.2)  # it may have to wait for us
        return found


def test_a_stream_that_closes_just_then_stops_nothing_and_takes_no_other_s_place(
    ring: Ring,
) -> None:
    log = ring.event_log
    insert_events = log.insert_events

    def without_room(*_: object, **__: object) -> Any:
        raise NoRoomError("no room for the event log")

    async def story() -> None:
        loop = asyncio.get_running_loop()
        committer = Committer(ring, Directory(ring), lambda _: None, loop)
        committer._owners = owners = Between()
        committer.start()
        try:
            # Its group fails, and it is closed when the committer is about to forget it.
            first = Stream("r1", EPOCH, lambda _: None)
            await say(committer, first)
            log.insert_events = without_room  # type: ignore[method-assign]
            owners.meanwhile = lambda: committer.closed(first)
            assert (await say(committer, first, 1)).error is not None
            log.insert_events = insert_events  # type: ignore[method-assign]
            second = Stream("r1", EPOCH, lambda _: None)
            assert (await say(committer, second)).error is None

            # A newer one opens while it closes; the newest still ends the newer.
            third = Stream("r1", EPOCH, lambda _: None)
            opened = threading.Event()

            def open_third() -> None:
                committer.hello(third, lambda _: opened.set())
                opened.wait(10)

            owners.meanwhile = open_third
            await asyncio.to_thread(committer.closed, second)
            assert await asyncio.to_thread(opened.wait, 10)
            await say(committer, Stream("r1", EPOCH, lambda _: None))
            assert isinstance(third.ended, TakenOver)
        finally:
            committer.stop()

    asyncio.run(story())


def test_a_read_was_received_when_it_came_however_long_the_store_takes(
    ring: Ring, tmp_path: Path
) -> None:
    count = 30  # more than one stream may have in hand

    async def sent() -> AsyncIterator[StreamReadsRequest]:
        yield StreamReadsRequest(hello=ReaderHello(reader_id="r1", epoch=EPOCH))
        for sequence in range(1, count + 1):
            batch = ReadBatch(reads=[read(sequence, f"AB{sequence:03}CD")])
            yield StreamReadsRequest(batch=batch)
            if sequence == 1:
                await asyncio.sleep(0.2)  # the store has it, and the others wait

    async def story() -> float:
        with running(ring) as committer, busy(ring.event_log) as answers:
            service = IngestService(ring, committer, Pictures(tmp_path / "pictures"), Readers())
            wire = Wire()
            stream = asyncio.create_task(service.StreamReads(sent(), wire))
            await asyncio.sleep(0.5)
            answered = time.time()
            answers.set()
            await stream
            assert wire.committed == count
            return answered

    answered = asyncio.run(story())
    stored = [
        StoredRead.FromString(unseal(event.state))
        for event in ring.event_log.select_events(read_log_id("r1", EPOCH))
    ]
    before = [one for one in stored if micros(one.received_at) / 1e6 < answered - 0.2]
    # Those in hand, and the one that waits for its turn to be.
    assert [one.read.sequence for one in before] == list(range(1, len(before) + 1))
    assert 15 <= len(before) < count


def test_a_stream_that_went_before_its_hello_was_dealt_with_leaves_nothing(ring: Ring) -> None:
    async def story() -> None:
        with running(ring) as committer, busy(ring.event_log) as answers:
            first = Stream("r1", EPOCH, lambda _: None)
            await say(committer, first)
            loop = asyncio.get_running_loop()
            stored, opened = loop.create_future(), loop.create_future()
            reads = [read(1, "AB001CD")]
            committer.submit(first, reads, time.time(), stored.set_result)
            # It says hello while the committer is at work, and is gone before it was heard.
            other = Stream("r1", EPOCH.replace("7", "8"), lambda _: None)
            committer.hello(other, opened.set_result)
            committer.closed(other)
            answers.set()
            await asyncio.wait_for(stored, 10)
            assert (await asyncio.wait_for(opened, 10)).error is None
            assert committer.streams == 1
            committer.closed(first)
            assert committer.streams == 0

    asyncio.run(story())


def test_silent_readers_are_noted_once_there_is_room_again(ring: Ring) -> None:
    hear_reader, failures = ring.hear_reader, []

    def without_room(*_: object) -> None:
        failures.append(1)
        raise NoRoomError("no room for the event log")

    async def story() -> None:
        directory, readers = Directory(ring), Readers()
        directory.catch_up()
        readers.opened("r1", "1")
        readers.closed("r1")
        ring.hear_reader = without_room  # type: ignore[method-assign]
        watch = SilenceWatch(ring, directory, readers, timedelta(seconds=0.02))
        watching = asyncio.create_task(watch.run())
        while not failures:
            await asyncio.sleep(0.01)
        ring.hear_reader = hear_reader  # type: ignore[method-assign]
        until = asyncio.get_running_loop().time() + 10
        while not directory.readers["r1"].silent:
            assert not watching.done()
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(story())
