"""ClickHouse away, refusing or slow for a while, with reads and hits going on: what is seen of it.

Always true here: reads and alerts are counted before ClickHouse is mended, so none waited for it.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.acceptance.test_spine import Subscriber
from tests.conftest import Server
from tests.faults.accounts import reconcile, status
from tests.faults.conftest import until
from tests.faults.feeding_reader import plate
from tests.faults.live import Lived, live
from tests.projections.conftest import Front

KINDS = ("away", "refuse 241", "slow 4")
"""What the front is told; 241: ClickHouse has no memory left."""
HIT_EVERY = 20


class Outage(NamedTuple):
    """What was seen. Times in seconds."""

    lived: list[Lived]
    alert_waits: list[float]
    """From the server's receipt of a read to its alert, as the server stamps both."""
    behind: int
    """Events that the read side had not when ClickHouse came back."""
    recovery: float
    """Until the read side had everything and said that it was well."""
    largest: int
    """Bytes of memory of the server's processes together, at the most."""


def outage(
    server: Server,
    front: Front,
    how: str,
    readers: Sequence[str],
    wanted: str,
    *,
    rate: float,
    seconds: float,
) -> Outage:
    """Sends `rate` reads/s a reader for so long; every 20th is of the plate `wanted`, on a list.

    Checks that health and log tell of it, and of nothing else; that nothing is lost; that the read
    side catches up by itself.
    """
    # What is ill already does not become so.
    until(lambda: serving(server, "InvestigationService"), 60)
    server.log.clear()
    subscriber = Subscriber(server)
    done = threading.Event()

    def plate_of(reader: int, sequence: int) -> str:
        return wanted if sequence % HIT_EVERY == 0 else plate("L", sequence)

    def send() -> list[Lived]:
        going = live(server.address, readers, rate, lambda _: not done.is_set(), plate_of)
        return asyncio.run(going)

    began = time.monotonic()
    _break(front, how)
    try:
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            try:
                _check_told(server)
                largest = _watch(server, began + seconds)
            finally:
                done.set()
            lived = sending.result(120)
        hits = sum(len(one.waits) // HIT_EVERY for one in lived)
        ours = set(readers)
        until(lambda: sum(a.sighting.reader_id in ours for a in subscriber.alerts) >= hits, 60)
        alerts = [a for a in subscriber.alerts if a.sighting.reader_id in ours]
        assert len({a.alert_id for a in alerts}) == len(alerts) == hits
        told = status(server)
        behind = told.head.position - told.projected.position
    finally:
        _mend(front, how)
        subscriber.end()

    began = time.monotonic()
    until(lambda: _projected(server), 120)
    until(lambda: serving(server, "InvestigationService"), 60)
    recovery = time.monotonic() - began
    until(lambda: any('"a part is well again"' in line for line in server.log))
    reconcile(server, {(one.reader, one.epoch): range(1, len(one.waits) + 1) for one in lived})
    waits = [
        (a.raised_at.ToMicroseconds() - a.sighting.received_at.ToMicroseconds()) / 1e6
        for a in alerts
    ]
    return Outage(lived, waits, behind, recovery, largest)


def serving(server: Server, service: str) -> bool:
    """What the health service says of a service."""
    with server.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=f"ring.v1.{service}"), timeout=30
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _check_told(server: Server) -> None:
    """Health and log say it of the read side alone."""
    until(lambda: not serving(server, "InvestigationService"), 60)
    assert serving(server, "IngestService")
    assert serving(server, "AlertService")
    until(lambda: any('"a part is ill"' in line for line in server.log))

    def told() -> bool:
        ill = {part.part: part.message for part in status(server).parts if not part.well}
        return list(ill) == ["read side"] and "ClickHouse" in ill["read side"]

    until(told)


def _watch(server: Server, end: float) -> int:
    """Until then, ingest and alerts stay well."""
    largest = 0
    write = psutil.Process(server.process.pid)
    while True:
        ill = {part.part for part in status(server).parts if not part.well}
        assert ill <= {"read side"}
        used = sum(p.memory_info().rss for p in (write, *write.children()))
        largest = max(largest, used)
        left = end - time.monotonic()
        if left <= 0:
            return largest
        time.sleep(min(left, 1.0))


def _projected(server: Server) -> bool:
    told = status(server)
    return told.read_side == "ok" and told.projected.position >= told.head.position


def _break(front: Front, how: str) -> None:
    if how == "away":
        front.kill()
    else:
        front.tell(how)


def _mend(front: Front, how: str) -> None:
    if how == "away":
        front.start()
    else:
        front.tell("well")
