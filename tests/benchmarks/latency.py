"""How long a reader waits for its acknowledgement, and a patrol for its alert, at a steady rate."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc.aio

from proto.ring.v1 import alert_pb2, alert_pb2_grpc
from tests.benchmarks.end_to_end import STREAMS, prepare, settle
from tests.benchmarks.load import plate
from tests.conftest import Server
from tests.faults.live import live
from tests.projections.conftest import Front

_WANTED = 998_000  # from here on, `prepare` lists plates


def _plate(reader: int, sequence: int) -> str:
    return plate(_WANTED + sequence if sequence % 20 == 0 else reader * 10_000 + sequence)


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
    each = rate / STREAMS
    names = (f"bench-{number}" for number in range(STREAMS))
    lived = await live(address, names, each, lambda n: n <= each * seconds, _plate)
    await asyncio.sleep(1)
    subscriber.cancel()
    return [wait for one in lived for wait in one.waits], alerts


def milliseconds(values: list[float], q: float) -> float:
    """A quantile of seconds."""
    return round(sorted(values)[min(len(values) - 1, int(q * len(values)))] * 1000, 1)


def latency(
    entries: int, rate: float = 1000, seconds: float = 15, *, clickhouse: bool = True
) -> dict[str, Any]:
    """Milliseconds, at `rate` reads/s sent one a message by 20 readers, 5 % of them hits.

    The hotlist has `entries`.

    `clickhouse`: false takes the read side's ClickHouse server away before the first read.
    """
    with tempfile.TemporaryDirectory() as folder:
        front = None if clickhouse else Front(Path(folder) / "front")
        env = {"RING_CLICKHOUSE": front.dsn("bench")} if front else {}
        server = Server(Path(folder) / "ring", env=env)
        try:
            prepare(server, entries)
            settle(server)
            if front:
                front.kill()
            acknowledgements, alerts = asyncio.run(_run(server.address, rate, seconds))
        finally:
            server.stop()
    return {
        "hotlist_entries": entries,
        "reads": len(acknowledgements),
        "alerts": len(alerts),
        "acknowledged_p50_ms": milliseconds(acknowledgements, 0.5),
        "acknowledged_p99_ms": milliseconds(acknowledgements, 0.99),
        "alert_p50_ms": milliseconds(alerts, 0.5),
        "alert_p99_ms": milliseconds(alerts, 0.99),
    }
