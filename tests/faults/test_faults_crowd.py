"""Many idle readers, many subscribers that take nothing, and a reader faster than the store."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import grpc
import grpc.aio
import psutil
import psycopg
import pytest

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition
from ring.store import open_log
from tests.conftest import ROOT, NewStore, Server, ServerFactory
from tests.faults.accounts import reconcile, status
from tests.faults.conftest import register, until
from tests.faults.crowd import SMALL
from tests.integration.test_alerts import Subscriber, import_entries
from tests.vendor import Client, read

pytestmark = pytest.mark.timeout(240)
READERS, SUBSCRIBERS = 500, 50
PATIENCE = 3
HITS = 2000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    env = {"RING_EVENT_STORE": new_store(), "RING_SUBSCRIBER_PATIENCE": f"PT{PATIENCE}S"}
    server = start_server(env=env)
    register(server, "busy", "hasty", *(f"idle-{n}" for n in range(READERS)))
    # A long reason: what is not taken must not fit into buffers on the way.
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1", reason="x" * 1000))
    return server


def hits(server: Server, epoch: str) -> float:
    """Sends HITS reads that alert; seconds until all are acknowledged."""
    client = Client(server, "busy", epoch)
    began = time.monotonic()
    for first in range(1, HITS, 100):
        client.batch(*(read(n, "WANTED1") for n in range(first, first + 100)))
        client.until(first + 99)
    seconds = time.monotonic() - began
    client.close()
    return seconds


def memory(server: Server) -> int:
    """Of its write process."""
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_who_takes_nothing_slows_nobody_costs_little_and_can_resume(server: Server) -> None:
    subscriber = Subscriber(server)
    epochs = [str(uuid4()) for _ in range(2)]
    alone = hits(server, epochs[0])
    assert len(subscriber.wait(HITS)) == HITS
    crowd = subprocess.Popen(
        [
            sys.executable, "-m", "tests.faults.crowd", server.address,
            "--readers", str(READERS), "--subscribers", str(SUBSCRIBERS),
        ],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert crowd.stdout
    assert crowd.stdout.readline() == "there\n"
    before = memory(server)
    crowded = hits(server, epochs[1])
    assert len(subscriber.wait(2 * HITS)) == 2 * HITS
    # Nothing of what 50 subscribers leave waits in the server: 200 MiB in all.
    assert memory(server) - before < 64 * MIB
    assert crowded < 4 * alone + 3

    # The server has lost its patience with each of them.
    until(lambda: status(server).subscribers == 1, 60)
    said = json.loads(crowd.communicate(timeout=60)[0])
    assert said["readers"] == READERS
    assert said["ended"] == {"RESOURCE_EXHAUSTED": SUBSCRIBERS}
    everything = [alert.position.position for alert in subscriber.alerts]
    subscriber.stop()
    with closing(open_log(server.event_store)) as log:
        log_id = log.log_id
    taken = said["taken"]
    # What each was sent is the beginning of all there is, and it resumes right behind it.
    assert all(positions == everything[: len(positions)] for positions in taken)
    assert all(len(positions) < len(everything) for positions in taken)
    last = LogPosition(log_id=log_id, position=taken[0][-1])
    left = len(everything) - len(taken[0])
    again = Subscriber(server, after=[last])
    assert [a.position.position for a in again.wait(left)] == everything[len(taken[0]) :]
    again.stop()
    reconcile(server, {("busy", one): range(1, HITS + 1) for one in epochs})


def test_who_lags_behind_misses_nothing_and_gets_nothing_twice(
    start_server: ServerFactory, new_store: NewStore
) -> None:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "busy")
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1", reason="x" * 1000))
    subscriber = Subscriber(server)
    epoch = str(uuid4())

    async def lag() -> list[int]:
        async with grpc.aio.insecure_channel(server.address, SMALL) as channel:
            stub = alert_pb2_grpc.AlertServiceStub(channel)
            call = stub.Subscribe(alert_pb2.SubscribeRequest())
            await call.read()  # it is there
            positions: list[int] = []
            # It takes nothing while more alerts come than are held for it, then takes all.
            await asyncio.to_thread(hits, server, epoch)
            while len(positions) < HITS:
                message = await call.read()
                if message.HasField("alert"):
                    positions.append(message.alert.position.position)
            call.cancel()
            return positions

    positions = asyncio.run(lag())
    assert positions == [alert.position.position for alert in subscriber.wait(HITS)]
    assert len(set(positions)) == HITS
    subscriber.stop()
    reconcile(server, {("busy", epoch): range(1, HITS + 1)})


@contextmanager
def held(event_store: str) -> Iterator[Callable[[], object]]:
    """Nobody can commit to the event store until what it yields is called."""
    if event_store.startswith("sqlite:///"):
        path = event_store.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            yield store.rollback
    else:
        with psycopg.connect(event_store) as database:
            database.execute("LOCK TABLE ring_events IN EXCLUSIVE MODE")
            yield database.rollback


async def hasten(address: str, epoch: str, messages: int, progress: list[int]) -> int:
    """Sends messages of about a MiB as fast as they are taken; the last committed sequence."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamReads()
        hello = ingest_pb2.ReaderHello(reader_id="hasty", epoch=epoch)
        await call.write(ingest_pb2.StreamReadsRequest(hello=hello))
        await call.read()
        for number in range(messages):
            reads = [read(number * 100 + n, f"P{n:05}", lane="x" * 10_000) for n in range(1, 101)]
            batch = ingest_pb2.ReadBatch(reads=reads)
            await call.write(ingest_pb2.StreamReadsRequest(batch=batch))
            progress.append(number)
        await call.done_writing()
        committed = 0
        while (response := await call.read()) is not grpc.aio.EOF:
            committed = response.committed_sequence
        return committed


def test_a_reader_faster_than_the_store_is_slowed_down_not_buffered(server: Server) -> None:
    messages = 60
    before = memory(server)
    progress: list[int] = []
    epoch = str(uuid4())
    with held(server.event_store) as let_go:

        async def watch() -> int:
            sending = asyncio.create_task(hasten(server.address, epoch, messages, progress))
            sent = -1
            while len(progress) != sent or not sent:  # until it stands still
                sent = len(progress)
                await asyncio.sleep(1.5)
            # What is in hand, and what fits on the way.
            assert 0 < sent < 40
            assert memory(server) - before < 160 * MIB
            let_go()
            return await asyncio.wait_for(sending, 60)

        assert asyncio.run(watch()) == messages * 100
    assert len(progress) == messages
    reconcile(server, {("hasty", epoch): range(1, messages * 100 + 1)})
