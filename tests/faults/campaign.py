"""A ring under load that loses a part at a random moment, again and again; then all is counted.

Always true here: the seed of a round decides when the part is killed; every round sends reads of
its own and ends with an account of all that there must be: each read once, each alert once, rows
that are what the log says, and nothing missing.
"""

import random
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from lpr.spool_file import inspect
from proto.ring.v1.alert_pb2 import HotlistEntry
from ring.store import open_log
from tests.acceptance.test_spine import Subscriber
from tests.conftest import Postgres, Server
from tests.faults.accounts import reconcile, status
from tests.faults.conftest import FeedingReader, plates, register, stored_in, until
from tests.faults.feeding_reader import plate
from tests.integration.test_alerts import import_entries

PARTS = ("write process", "read process", "reader", "PostgreSQL")
READERS = ("ra", "rb", "rc")
EACH = 600
"""Reads of one reader in one round; they take more than a second to come."""
_WANTED_EVERY = 40
_CHUNK, _PAUSE = 20, 0.04


class Campaign:
    """Rounds on one ring. `postgres`: where its log is kept; None: in SQLite."""

    def __init__(self, folder: Path, rounds: int, postgres: Postgres | None = None) -> None:
        self._folder = folder
        self._postgres = postgres
        self._rounds = 0
        store = {"RING_EVENT_STORE": postgres.new_database()} if postgres else {}
        self.server = Server(folder / "ring", env=store)
        register(self.server, *READERS)
        self._wanted = [
            plate(reader[1].upper(), number)
            for reader in READERS
            for number in range(_WANTED_EVERY, rounds * EACH + 1, _WANTED_EVERY)
        ]
        entries = (HotlistEntry(plate=one, reason="test") for one in self._wanted)
        import_entries(self.server, "wanted", *entries)
        self._log = open_log(self.server.event_store)
        self._subscriber = Subscriber(self.server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with closing(self._log):
            self._subscriber.end()
            self.server.stop()

    def round(self, part: str, seed: int) -> float:
        """Kills a part under load and checks what is left; when it was killed, in seconds."""
        moments = random.Random(seed)
        self._rounds += 1
        before = self._log.head()
        feeding = {reader: self._feed(reader) for reader in READERS}
        try:
            until(lambda: self._log.head() > before)
            moment = moments.uniform(0, 0.8)
            time.sleep(moment)
            assert any(reader.process.poll() is None for reader in feeding.values())
            self._kill(part, feeding, moments)
            for reader in feeding.values():
                reader.ended_well(90)
        finally:
            for reader in feeding.values():
                if reader.process.poll() is None:
                    reader.kill()
        self._check()
        return moment

    def _feed(self, reader: str) -> FeedingReader:
        words = ("--plates", reader[1].upper(), "--count", str(self._rounds * EACH))
        pace = ("--chunk", str(_CHUNK), "--pause", str(_PAUSE))
        return FeedingReader(self._folder / reader, self.server.address, reader, *words, *pace)

    def _kill(self, part: str, feeding: dict[str, FeedingReader], moments: random.Random) -> None:
        match part:
            case "write process":
                self.server.kill()
                self.server.start()
            case "read process":
                (child,) = psutil.Process(self.server.process.pid).children()
                child.kill()
            case "reader":
                victim = moments.choice(READERS)
                feeding[victim].kill()
                feeding[victim] = self._feed(victim)
            case "PostgreSQL":
                assert self._postgres
                self._postgres.kill()
                time.sleep(moments.uniform(0, 1))
                self._postgres.start()
            case _:
                raise ValueError(part)

    def _check(self) -> None:
        """Everything that was ever sent is there, once, wherever it must be."""
        first, last = (self._rounds - 1) * EACH + 1, self._rounds * EACH
        truth = {}
        for reader in READERS:
            (epoch,) = inspect(self._folder / reader).epochs
            truth[reader, epoch.uuid] = range(1, last + 1)
            kept = plates(stored_in(self._log, reader, epoch.uuid, first - 1))
            assert kept == [plate(reader[1].upper(), n) for n in range(first, last + 1)], reader
        # What the last reads raise comes behind them.
        sent = self._log.head()
        until(lambda: status(self.server).matched.position >= sent, 60)
        head = self._log.head()
        until(lambda: self._subscriber.reached(head), 60)
        expected = Counter(one for one in self._wanted if int(one[1:]) <= last)
        seen = Counter(alert.sighting.plate for alert in self._subscriber.alerts)
        assert (expected - seen, seen - expected) == (Counter(), Counter()), "lost, twice"
        reconcile(self.server, truth)
