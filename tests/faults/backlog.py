"""A reader comes back after a day without a server, while others go on: what they feel of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from proto.ring.v1 import alert_pb2, alert_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.conftest import Server
from tests.faults.accounts import reconcile
from tests.faults.conftest import FeedingReader, register, until
from tests.faults.feeding_reader import plate
from tests.faults.live import Lived, live
from tests.integration.test_alerts import Subscriber, import_entries

READERS = [f"live-{number}" for number in range(10)]
_RATE = 10.0
_DAY = 86_400
_WANTED = "LIVE001"
_HIT_EVERY = 5


class Live(NamedTuple):
    """What the live readers felt: their streams, and seconds from a capture until its alert is told
    to a subscriber."""

    lived: list[Lived]
    alert_waits: list[float]

    @property
    def waits(self) -> list[float]:
        """Seconds until each read was acknowledged."""
        return [wait for one in self.lived for wait in one.waits]


class Returned(NamedTuple):
    """`before`, `meanwhile`: the live readers before the backlog and while it came in."""

    seconds: float
    before: Live
    meanwhile: Live


def returns(server: Server, folder: Path, count: int, calm: float) -> Returned:
    """Fills a spool with a day's reads, then brings it to the server beside live readers.

    Checks every read and alert. `calm`: seconds that the live readers have to themselves at first.
    """
    register(server, "away", *READERS)
    listed = [plate("D", number) for number in (1, count // 2, count)]
    entries = (HotlistEntry(plate=one, reason="test") for one in (*listed, _WANTED))
    import_entries(server, "day", *entries)
    every = str(_DAY / count)
    words = ("--plates", "D", "--count", str(count), "--chunk", "1000", "--every", every)
    filling = FeedingReader(folder, "127.0.0.1:1", "away", *words, "--no-uplink")
    until(lambda: "spooled" in filling.said, 300)
    filling.ended_well()

    before = _live(server, calm)
    returning = FeedingReader(folder, server.address, "away", *words)
    began = time.monotonic()
    try:
        meanwhile = _live(server, returning)
        seconds = time.monotonic() - began
        returning.ended_well()
    finally:
        if returning.process.poll() is None:
            returning.kill()

    lived = [*before.lived, *meanwhile.lived]
    truth = {("away", returning.said.split()[1]): range(1, count + 1)}
    truth |= {(one.reader, one.epoch): range(1, len(one.waits) + 1) for one in lived}
    reconcile(server, truth)
    hits = _hits(lived)
    subscriber = Subscriber(server, from_beginning=True)
    told = Counter((a.sighting.plate, a.delayed) for a in subscriber.wait(hits + len(listed)))
    subscriber.stop()
    assert told == Counter({(_WANTED, False): hits, **{(one, True): 1 for one in listed}})
    return Returned(seconds, before, meanwhile)


def _hits(lived: list[Lived]) -> int:
    return sum(len(one.waits) // _HIT_EVERY for one in lived)


def _live(server: Server, upto: float | FeedingReader) -> Live:
    """For so many seconds, or as long as the other reader is there."""

    def going(sequence: int) -> bool:
        if isinstance(upto, FeedingReader):
            return upto.process.poll() is None
        return sequence <= upto * _RATE

    def plate_of(reader: int, sequence: int) -> str:
        return _WANTED if sequence % _HIT_EVERY == 0 else plate("L", reader)

    async def both() -> Live:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = alert_pb2_grpc.AlertServiceStub(channel)
            messages = aiter(stub.Subscribe(alert_pb2.SubscribeRequest()))
            await anext(messages)  # where it starts
            waits: list[float] = []
            subscriber = asyncio.create_task(_told(messages, waits))
            lived = await live(server.address, READERS, _RATE, going, plate_of)
            async with asyncio.timeout(60):
                while len(waits) < _hits(lived):
                    assert not subscriber.done()
                    await asyncio.sleep(0.01)
            subscriber.cancel()
            return Live(lived, waits)

    return asyncio.run(both())


async def _told(messages: AsyncIterator[alert_pb2.SubscribeResponse], waits: list[float]) -> None:
    """Notes how long after its capture each alert of a live read is here; the clock is one."""
    async for message in messages:
        if message.HasField("alert") and message.alert.entry.plate == _WANTED:
            captured = message.alert.sighting.captured_at
            waits.append(time.time() - captured.seconds - captured.nanos / 1e9)
