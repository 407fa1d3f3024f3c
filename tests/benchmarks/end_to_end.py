"""Socket → durable event → ClickHouse rows and hotlist matches, and what it is compared with."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from eventsourcing.persistence import StoredEvent
from google.protobuf.duration_pb2 import Duration

from proto.ring.v1 import (
    hotlist_pb2,
    hotlist_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.look_back_pb2 import LookBack
from ring.store import open_log
from tests.benchmarks.load import plate
from tests.conftest import ROOT, Server

STREAMS = 20


def bare_recorder(events: int, dsn: str = "") -> float:
    """Events/s of the event store alone, durable, 1,000 a transaction: the limit."""
    with tempfile.TemporaryDirectory() as folder:
        log = open_log(dsn or f"sqlite:///{folder}/events.sqlite")
        state = b"x" * 120
        stream = uuid4()
        groups = [
            [StoredEvent(stream, n, "ring.read", state) for n in range(start, start + 1000)]
            for start in range(1, events + 1, 1000)
        ]
        began = time.perf_counter()
        for group in groups:
            log.insert_events(group)
        seconds = time.perf_counter() - began
        log.close()
        return events / seconds


def prepare(server: Server, entries: int) -> None:
    """Registers the readers and makes a hotlist live; few of its plates ever pass.

    It does not look back: nothing was read before, and a million entries' search for it is not
    what is measured.
    """
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(
                checkpoints=[registry_pb2.Checkpoint(code=f"C{n}") for n in range(STREAMS)]
            )
        )
        registry.ImportReaders(
            registry_pb2.ImportReadersRequest(
                readers=[
                    registry_pb2.Reader(
                        reader_id=f"bench-{n}", checkpoint=f"C{n}", direction=n % 2 + 1
                    )
                    for n in range(STREAMS)
                ]
            )
        )

        def requests() -> Any:
            header = hotlist_pb2.ImportHeader(
                hotlist="bench", create=True, look_back=LookBack(period=Duration())
            )
            yield hotlist_pb2.ImportEntriesRequest(header=header)
            for start in range(0, entries, 5000):
                # The upper half of all plates: the load drives the lower one, but for 0.2 %.
                yield hotlist_pb2.ImportEntriesRequest(
                    entries=[
                        HotlistEntry(plate=plate(998_000 + n), reason="bench")
                        for n in range(start, min(start + 5000, entries))
                    ]
                )
            yield hotlist_pb2.ImportEntriesRequest(last=True)

        hotlist_pb2_grpc.HotlistServiceStub(channel).ImportEntries(requests())


def _processes(server: Server) -> list[psutil.Process]:
    write = psutil.Process(server.process.pid)
    return [write, *write.children()]


def _busy(server: Server) -> list[float]:
    """Processor seconds of each process so far."""
    return [sum(p.cpu_times()[:2]) for p in _processes(server)]


def _send(server: Server, reads: int, batch: int, *options: str) -> float:
    """Seconds until the last of the reads was acknowledged, by the load generator's own clock."""
    load = subprocess.run(
        [
            sys.executable, "-m", "tests.benchmarks.load", server.address,
            "--reads", str(reads), "--batch", str(batch), "--streams", str(STREAMS),
            *options,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return float(json.loads(load.stdout)["seconds"])


def settle(server: Server) -> float:
    """Seconds until every row and alert is there."""
    began = time.perf_counter()
    with server.channel() as channel:
        stub = operations_pb2_grpc.OperationsServiceStub(channel)
        while True:
            status = stub.GetStatus(operations_pb2.GetStatusRequest())
            done = min(status.projected.position, status.matched.position)
            if done >= status.head.position:
                return time.perf_counter() - began
            time.sleep(0.02)


def end_to_end(
    reads: int, batch: int, entries: int, dsn: str = "", *, pictures: bool = False
) -> dict[str, Any]:
    """Reads/s from the socket until every row and alert is there.

    `dsn`: of a new event store. `pictures`: reads like those of pictures (see load.py).
    """
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), env={"RING_EVENT_STORE": dsn} if dsn else None)
        try:
            began = time.perf_counter()
            prepare(server, entries)
            settle(server)
            imported = time.perf_counter() - began
            before = sum(f.stat().st_size for f in Path(folder).glob("events.sqlite*"))
            busy = _busy(server)
            sent = _send(server, reads, batch, *(("--pictures",) if pictures else ()))
            lag = settle(server)
            used = [after - b for after, b in zip(_busy(server), busy, strict=True)]
            memory = [p.memory_info().rss for p in _processes(server)]
            size = sum(f.stat().st_size for f in Path(folder).glob("events.sqlite*")) - before
            return {
                "batch": batch,
                "reads": reads,
                "hotlist_entries": entries,
                "hotlist_import_s": round(imported, 1),
                "acknowledged_per_s": round(reads / sent),
                "end_to_end_per_s": round(reads / (sent + lag)),
                "read_side_behind_s": round(lag, 2),
                "log_bytes_per_read": round(size / reads) or None,
                # Of the write process and of the read process.
                "processor_us_per_read": [round(seconds / reads * 1e6, 1) for seconds in used],
                "memory_mib": [m >> 20 for m in memory],
                "memory_of_both_mib": sum(memory) >> 20,
            }
        finally:
            server.stop()


def sustained(reads: int, entries: int, stretches: int = 10) -> dict[str, Any]:
    """Memory and processor time a read, stretch by stretch: both must stay as they are."""
    memory, cost, behind = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            prepare(server, entries)
            settle(server)
            for _ in range(stretches):
                before = sum(_busy(server))
                _send(server, reads // stretches, 100)
                behind.append(round(settle(server), 2))
                used = sum(_busy(server)) - before
                cost.append(round(used / (reads // stretches) * 1e6, 1))
                memory.append(sum(p.memory_info().rss for p in _processes(server)) >> 20)
        finally:
            server.stop()
    return {
        "reads": reads,
        "hotlist_entries": entries,
        "memory_of_both_mib": memory,
        "most_memory_mib": max(memory),
        "processor_us_per_read": cost,
        "read_side_behind_s": max(behind),
    }
