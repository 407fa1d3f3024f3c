"""The whole way under fire: 20 readers, 20,000 reads, kills of server and readers, nothing lost."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from proto.ring.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    investigation_pb2,
    investigation_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition, Purpose
from proto.ring.v1.ingest_pb2 import ReaderHello
from ring.store import EventLog, open_log
from ring.values import read_log_id
from tests.acceptance.city import EACH, READERS, WANTED, alerts_of, is_good, reads_of
from tests.acceptance.readers import HURRY
from tests.conftest import ROOT, NewStore, Server, ServerFactory
from tests.integration.test_alerts import import_entries
from tests.vendor import Client

pytestmark = pytest.mark.timeout(180)

_GROUPS = [list(range(start, start + 4)) for start in range(0, READERS, 4)]


class Subscriber(threading.Thread):
    """Subscribes for ever: after each break it resumes from the last position it was told."""

    def __init__(self, server: Server, *, leaves_after: int | None = None) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._leaves_after = leaves_after
        self._position: LogPosition | None = None
        self._ended = threading.Event()
        self._call: grpc.Call | None = None
        self.alerts: list[alert_pb2.Alert] = []
        self.resumed = 0
        self.start()

    def run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(grpc.RpcError), self._server.channel() as channel:
                self._follow(alert_pb2_grpc.AlertServiceStub(channel))
            self._ended.wait(0.1)

    def _follow(self, stub: alert_pb2_grpc.AlertServiceStub) -> None:
        request = alert_pb2.SubscribeRequest(from_beginning=self._position is None)
        if self._position is not None:
            request.after.append(self._position)
            self.resumed += 1
        self._call = stub.Subscribe(request)
        for count, message in enumerate(self._call, 1):
            if message.HasField("alert"):
                self.alerts.append(message.alert)
                self._position = message.alert.position
            else:
                self._position = message.progress
            if count == self._leaves_after:
                self._call.cancel()

    def reached(self, position: int) -> bool:
        return self._position is not None and self._position.position >= position

    def end(self) -> None:
        self._ended.set()
        if self._call is not None:
            self._call.cancel()
        self.join()


class City:
    """The readers' processes."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder = folder
        self._server = server
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        for group in range(len(_GROUPS)):
            self.start(group)

    def start(self, group: int) -> None:
        numbers = map(str, _GROUPS[group])
        command = [sys.executable, "-m", "tests.acceptance.readers"]
        self._running[group] = subprocess.Popen(
            [*command, str(self._folder), self._server.address, *numbers], cwd=ROOT
        )

    def freeze(self, log: EventLog) -> tuple[int, int]:
        """Stops some readers when reads of theirs are stored and they don't know it yet.

        The group that stands still, and how many such reads there are. The server stands still
        first, so that readers send what is not answered; then they do, so that its answers reach
        nobody.
        """
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for group, process in self._running.items():
                if process.poll() is not None:
                    continue
                self._server.process.send_signal(signal.SIGSTOP)
                time.sleep(0.4)
                process.send_signal(signal.SIGSTOP)
                self._server.process.send_signal(signal.SIGCONT)
                for _ in range(20):
                    time.sleep(0.05)
                    if flying := self._flying(log, group):
                        return group, flying
                # It was between two connections, or had nothing more to say: ask another.
                self.thaw(group)
        raise AssertionError("no unacknowledged read was in flight")

    def _flying(self, log: EventLog, group: int) -> int:
        return sum(
            len(self.unacknowledged(number) & stored_sequences(log, number, epoch))
            for number in _GROUPS[group]
            if (epoch := self.epoch(number))
        )

    def thaw(self, group: int) -> None:
        self._running[group].send_signal(signal.SIGCONT)

    def kill(self, group: int) -> None:
        self._running[group].kill()
        self._running[group].wait()

    def hurry(self) -> None:
        """Nobody is killed any more."""
        (self._folder / HURRY).touch()

    def wait(self) -> None:
        for process in self._running.values():
            assert process.wait(120) == 0

    def end(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def unacknowledged(self, number: int) -> set[int]:
        """What a reader still has in its spool."""
        return {row[0] for row in self._spool(number, "SELECT sequence FROM reads")}

    def epoch(self, number: int) -> str:
        """The only epoch there is: none of this needs a new one. Empty before the start."""
        epochs = self._spool(number, "SELECT uuid FROM epochs")
        assert len(epochs) <= 1
        return str(epochs[0][0]) if epochs else ""

    def _spool(self, number: int, statement: str) -> list[tuple[Any, ...]]:
        path = self._folder / f"reader-{number}" / "spool.sqlite"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as spool:
            try:
                return spool.execute(statement).fetchall()
            except sqlite3.OperationalError:
                return []  # being made


def stored_sequences(log: EventLog, number: int, epoch: str) -> set[int]:
    events = log.select_events(read_log_id(f"reader-{number}", epoch))
    return {event.originator_version for event in events}


@pytest.fixture
def log(server: Server) -> Iterator[EventLog]:
    log = open_log(server.event_store)
    yield log
    log.close()


@pytest.fixture
def server(start_server: ServerFactory, new_store: NewStore) -> Iterator[Server]:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(
                checkpoints=[registry_pb2.Checkpoint(code=f"C{n}") for n in range(READERS)]
            )
        )
        registry.ImportReaders(
            registry_pb2.ImportReadersRequest(
                readers=[
                    registry_pb2.Reader(
                        reader_id=f"reader-{n}", checkpoint=f"C{n}", direction=n % 2 + 1
                    )
                    for n in range(READERS)
                ]
            )
        )
    import_entries(server, "wanted", *(HotlistEntry(plate=p, reason="test") for p in WANTED))
    yield server
    # Not two at a time: each has a ClickHouse.
    server.stop()


def wait_for_head(log: EventLog, position: int) -> None:
    deadline = time.monotonic() + 60
    while log.head() < position:
        assert time.monotonic() < deadline, f"the log stands at {log.head()}, not {position}"
        time.sleep(0.002)


def test_nothing_is_lost_and_nothing_comes_twice(
    server: Server, log: EventLog, tmp_path: Path
) -> None:
    base = log.head()
    steady = Subscriber(server)
    restless = Subscriber(server, leaves_after=25)
    city = City(tmp_path, server)
    try:
        for number, share in enumerate((0.05, 0.14, 0.23, 0.32, 0.41, 0.5)):
            wait_for_head(log, base + int(share * READERS * EACH))
            group, flying = city.freeze(log)
            assert flying
            if number % 3 != 0:
                server.kill()
            if number % 3 != 1:
                city.kill(group)
            else:
                city.thaw(group)
            if number % 3 != 0:
                server.start()
            if number % 3 != 1:
                city.start(group)
        city.hurry()
        city.wait()
    finally:
        city.end()

    unknown = Client(server, "stranger", "", hello=False)
    unknown.send(hello=ReaderHello(reader_id="stranger", epoch=city.epoch(0)))
    assert unknown.failure()[0] is grpc.StatusCode.NOT_FOUND

    # Resent once more, everything is acknowledged and nothing stored.
    before = len(log.select_events(read_log_id("reader-3", city.epoch(3))))
    again = Client(server, "reader-3", city.epoch(3))
    reads = list(reads_of(3))
    for sequence, read in enumerate(reads, 1):
        read.sequence = sequence
    for start in range(0, EACH, 100):
        again.batch(*reads[start : start + 100])
    assert again.close() is grpc.StatusCode.OK
    assert again.rest[-1].committed_sequence == EACH
    assert len(log.select_events(read_log_id("reader-3", city.epoch(3)))) == before == EACH

    # Events: each good read once, each bad one whole with its reason.
    stored: Counter[int] = Counter()
    for number in range(READERS):
        sent = dict(enumerate(reads_of(number), 1))
        events = log.select_events(read_log_id(f"reader-{number}", city.epoch(number)))
        assert {e.originator_version for e in events} == set(sent)
        topics = {e.originator_version: e.topic for e in events}
        for sequence, read in sent.items():
            expected = "ring.read" if is_good(read) else "ring.read.rejected"
            assert topics[sequence] == expected
        stored[number] = sum(map(is_good, sent.values()))
    good = sum(stored.values())
    with server.channel() as channel:
        operations = operations_pb2_grpc.OperationsServiceStub(channel)
        request = operations_pb2.ListRejectsRequest(limit=100_000)
        rejects = {(r.reader_id, r.read.sequence): r for r in operations.ListRejects(request)}
        for number in range(READERS):
            for sequence, read in enumerate(reads_of(number), 1):
                if not is_good(read):
                    reject = rejects.pop((f"reader-{number}", sequence))
                    read.sequence = sequence
                    assert reject.read == read
                    assert reject.reason
        assert not rejects

        # Rows: every stored read, once.
        head = LogPosition(log_id=log.log_id, position=log.head())
        investigation = investigation_pb2_grpc.InvestigationServiceStub(channel)
        rows, token = 0, ""
        while True:
            page = investigation.SearchPlates(
                investigation_pb2.SearchPlatesRequest(
                    purpose=Purpose(case_number="1", reason="test"),
                    pattern="*",
                    page_size=1000,
                    page_token=token,
                    at_least=[head],
                ),
                timeout=60,
            )
            rows += sum(plate.reads for plate in page.plates)
            token = page.next_page_token
            if not token:
                break
        assert rows == good

    # Alerts: every expected one, exactly once per subscriber.
    expected = Counter((f"reader-{n}", plate) for n in range(READERS) for plate in alerts_of(n))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if all(s.reached(log.head()) for s in (steady, restless)):
            break
        time.sleep(0.05)
    for subscriber in (steady, restless):
        subscriber.end()
        got = Counter((a.sighting.reader_id, a.sighting.plate) for a in subscriber.alerts)
        assert got == expected
        assert len({a.alert_id for a in subscriber.alerts}) == sum(expected.values())
        assert subscriber.resumed >= 3
