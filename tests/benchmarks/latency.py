"""How long a reader waits for its acknowledgement, and a patrol for its alert, at a steady rate."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from tests.benchmarks.end_to_end import STREAMS, prepare
from tests.benchmarks.load import plate
from tests.conftest import Server
from tests.projections.conftest import Front

_WANTED = 998_000  # from here on, `prepare` lists plates


async def _reader(address: str, number: int, rate: float, seconds: float) -> list[float]:
    """One reader that sends single reads at a rate; seconds until each was acknowledged."""
    sent: dict[int, float] = {}
    waits: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamReads()
        hello = ingest_pb2.ReaderHello(reader_id=f"bench-{number}", epoch=str(uuid4()))
        await call.write(ingest_pb2.StreamReadsRequest(hello=hello))
        await call.read()

        async def acknowledged() -> None:
            done = 0
            while (response := await call.read()) is not grpc.aio.EOF:
                now = time.perf_counter()
                waits.extend(
                    now - sent[sequence]
                    for sequence in range(done + 1, response.committed_sequence + 1)
                )
                done = response.committed_sequence

        listening = asyncio.create_task(acknowledged())
        began = time.perf_counter()
        for sequence in range(1, int(rate * seconds) + 1):
            due = began + (sequence + number / STREAMS) / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            hit = sequence % 20 == 0
            read = ingest_pb2.PlateRead(
                sequence=sequence,
                plate=plate(_WANTED + sequence if hit else number * 10_000 + sequence),
                confidence=0.9,
            )
            read.captured_at.GetCurrentTime()
            sent[sequence] = time.perf_counter()
            batch = ingest_pb2.ReadBatch(reads=[read])
            await call.write(ingest_pb2.StreamReadsRequest(batch=batch))
        await call.done_writing()
        await listening
    return waits


async def _alerts(address: str, waits: list[float]) -> None:
    """Seconds from the server's receipt of a read to ours of its alert; the same clock."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        async for message in stub.Subscribe(alert_pb2.SubscribeRequest()):
            if message.HasField("alert"):
                received = message.alert.sighting.received_at
                waits.append(time.time() - received.seconds - received.nanos / 1e9)


async def _run(address: str, rate: float, seconds: float) -> tuple[list[float], list[float]]:
    alerts: list[float] = []
    subscriber = asyncio.create_task(_alerts(address, alerts))
    await asyncio.sleep(0.5)
    waits = await asyncio.gather(
        *(_reader(address, number, rate / STREAMS, seconds) for number in range(STREAMS))
    )
    await asyncio.sleep(1)
    subscriber.cancel()
    return [w for each in waits for w in each], alerts


def _quantile(values: list[float], q: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(q * len(values)))] * 1000, 1)


def latency(rate: float = 1000, seconds: float = 15, *, clickhouse: bool = True) -> dict[str, Any]:
    """Milliseconds, at `rate` reads/s sent one a message by 20 readers, 5 % of them hits.

    `clickhouse`: false takes the read side's ClickHouse server away before the first read.
    """
    with tempfile.TemporaryDirectory() as folder:
        front = None if clickhouse else Front(Path(folder) / "front")
        env = {"RING_CLICKHOUSE": front.dsn("bench")} if front else {}
        server = Server(Path(folder) / "ring", env=env)
        try:
            prepare(server, 100_000)
            if front:
                front.kill()
            acknowledgements, alerts = asyncio.run(_run(server.address, rate, seconds))
        finally:
            server.stop()
    return {
        "reads": len(acknowledgements),
        "alerts": len(alerts),
        "acknowledged_p50_ms": _quantile(acknowledgements, 0.5),
        "acknowledged_p99_ms": _quantile(acknowledgements, 0.99),
        "alert_p50_ms": _quantile(alerts, 0.5),
        "alert_p99_ms": _quantile(alerts, 0.99),
    }
