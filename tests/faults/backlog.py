"""A reader comes back after a day without a server, while others go on: what they feel of it."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

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
_HIT_EVERY = 20


class Returned(NamedTuple):
    """`before`, `meanwhile`: the live readers' streams before the backlog and while it came in."""

    seconds: float
    before: list[Lived]
    meanwhile: list[Lived]


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

    lived = [*before, *meanwhile]
    truth = {("away", returning.said.split()[1]): range(1, count + 1)}
    truth |= {(one.reader, one.epoch): range(1, len(one.waits) + 1) for one in lived}
    reconcile(server, truth)
    hits = sum(len(one.waits) // _HIT_EVERY for one in lived)
    subscriber = Subscriber(server, from_beginning=True)
    told = Counter((a.sighting.plate, a.delayed) for a in subscriber.wait(hits + len(listed)))
    subscriber.stop()
    assert told == Counter({(_WANTED, False): hits, **{(one, True): 1 for one in listed}})
    return Returned(seconds, before, meanwhile)


def _live(server: Server, upto: float | FeedingReader) -> list[Lived]:
    """For so many seconds, or as long as the other reader is there."""

    def going(sequence: int) -> bool:
        if isinstance(upto, FeedingReader):
            return upto.process.poll() is None
        return sequence <= upto * _RATE

    def plate_of(reader: int, sequence: int) -> str:
        return _WANTED if sequence % _HIT_EVERY == 0 else plate("L", reader)

    return asyncio.run(live(server.address, READERS, _RATE, going, plate_of))
