"""What is told after the store failed: the committer, and the watch of silent readers."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from proto.ring.v1.registry_pb2 import Checkpoint, Reader
from ring.application import Ring
from ring.directory import Directory
from ring.errors import TakenOver
from ring.ingest import Committer
from ring.rpc.clock import now
from ring.rpc.readers import Readers
from ring.rpc.silence import SilenceWatch
from ring.store.log import NoRoomError
from ring.stream import Answer, Stream
from tests.vendor import read

EPOCH = "7a0b1c2d-0000-4000-8000-000000000001"


@pytest.fixture
def ring(tmp_path: Path) -> Any:
    ring = Ring(f"sqlite:///{tmp_path}/events.sqlite")
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
        committer.submit(stream, reads, future.set_result)
    else:
        committer.hello(stream, future.set_result)
    return await asyncio.wait_for(future, 10)


def test_what_was_stored_though_its_answer_was_lost_lies_before_the_position(ring: Ring) -> None:
    """As on PostgreSQL, where a connection may break between a commit and its answer."""
    log = ring.event_log
    insert_events = log.insert_events

    def committed_and_tried_again(events: Sequence[StoredEvent], **kwargs: Any) -> Any:
        insert_events(events, **kwargs)
        return insert_events(events, **kwargs)

    async def story() -> None:
        directory = Directory(ring)
        committer = Committer(ring, directory, lambda _: None, asyncio.get_running_loop())
        committer.start()
        try:
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
        finally:
            committer.stop()

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
