"""A reader comes back after a day without a server, while others go on: what they feel of it."""

import time
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from proto.ring.v1 import alert_pb2, alert_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.conftest import Server
from tests.faults.conftest import FeedingReader, register, until
from tests.faults.feeding_reader import plate
from tests.integration.test_alerts import import_entries
from tests.vendor import Client, read

_DAY = 86_400
_PAUSE = 0.02


class Returned(NamedTuple):
    """`waits`: seconds until each live read was acknowledged, while the backlog came in."""

    seconds: float
    waits: list[float]
    alerts: list[alert_pb2.Alert]
    epoch: str


def returns(server: Server, folder: Path, count: int) -> Returned:
    """Fills a spool with a day's reads, then brings it to the server beside a live reader."""
    register(server, "away", "live")
    wanted = [plate("D", number) for number in (1, count // 2, count)]
    live = "LIVE001"
    entries = (HotlistEntry(plate=one, reason="test") for one in (*wanted, live))
    import_entries(server, "day", *entries)
    words = (
        "--plates",
        "D",
        "--count",
        str(count),
        "--chunk",
        "1000",
        "--every",
        f"{_DAY / count}",
    )
    filling = FeedingReader(folder, "127.0.0.1:1", "away", *words, "--no-uplink")
    until(lambda: "spooled" in filling.said, 300)
    filling.ended_well()

    returning = FeedingReader(folder, server.address, "away", *words)
    began = time.monotonic()
    try:
        with server.channel() as channel:
            call = alert_pb2_grpc.AlertServiceStub(channel).Subscribe(
                alert_pb2.SubscribeRequest(from_beginning=True, hotlists=["day"]), timeout=600
            )
            waits = _live(server, live, returning)
            seconds = time.monotonic() - began
            alerts: list[alert_pb2.Alert] = []
            for message in call:
                if message.HasField("alert"):
                    alerts.append(message.alert)
                if len(alerts) == len(waits) + len(wanted):
                    break
            call.cancel()
        returning.ended_well()
    finally:
        if returning.process.poll() is None:
            returning.kill()
    return Returned(seconds, waits, alerts, returning.said.split()[1])


def _live(server: Server, wanted: str, returning: FeedingReader) -> list[float]:
    """One read after the other until the other reader has done."""
    client = Client(server, "live", str(uuid4()), timeout=600)
    waits = []
    while returning.process.poll() is None:
        one = read(len(waits) + 1, wanted)
        one.captured_at.GetCurrentTime()
        began = time.monotonic()
        client.batch(one)
        client.until(len(waits) + 1)
        waits.append(time.monotonic() - began)
        time.sleep(_PAUSE)
    client.close()
    return waits
