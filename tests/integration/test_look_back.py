"""Looking back over a socket: what was read before an entry went live, each once, whatever dies."""

import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from proto.ring.v1 import hotlist_pb2, hotlist_pb2_grpc
from proto.ring.v1.alert_pb2 import Alert, HotlistEntry
from proto.ring.v1.common_pb2 import Purpose
from proto.ring.v1.events_pb2 import LookBackAdvanced, LookBackStarted
from proto.ring.v1.look_back_pb2 import LookBack
from ring.alert import Alert as StoredAlert
from ring.look_back import LookBack as StoredLookBack
from ring.store import open_log, unseal
from tests.conftest import ROOT, Server, ServerFactory
from tests.integration.test_alerts import Subscriber, register
from tests.vendor import Client, read

PURPOSE = Purpose(case_number="C-7", reason="stolen this morning")


@pytest.fixture(scope="module")
def server(start_server: ServerFactory) -> Server:
    server = start_server()
    register(server, "r1")
    return server


def feed(server: Server, *plates: str) -> None:
    """Reads of these plates, stored when it returns."""
    client = Client(server, "r1", str(uuid4()), timeout=60)
    client.batch(*(read(n, plate) for n, plate in enumerate(plates, 1)))
    client.until(len(plates))
    client.close()


def look_back(seconds: int | None = None, purpose: Purpose | None = None) -> LookBack:
    period = None if seconds is None else Duration(seconds=seconds)
    return LookBack(period=period, purpose=purpose)


def put(
    server: Server, name: str, *plates: str, back: LookBack | None = None
) -> hotlist_pb2.ImportEntriesResponse:
    header = hotlist_pb2.ImportHeader(
        hotlist=name, create=True, mode=hotlist_pb2.IMPORT_MODE_ADD, look_back=back
    )
    requests = [
        hotlist_pb2.ImportEntriesRequest(header=header),
        hotlist_pb2.ImportEntriesRequest(entries=[HotlistEntry(plate=p) for p in plates]),
        hotlist_pb2.ImportEntriesRequest(last=True),
    ]
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        return stub.ImportEntries(iter(requests), timeout=60)


def alerts_of(server: Server, name: str, count: int) -> list[Alert]:
    """Waits for so many alerts of a list; then for whatever else comes up to there."""
    subscriber = Subscriber(server, from_beginning=True, hotlists=[name])
    try:
        subscriber.wait(count)
        return list(subscriber.alerts)
    finally:
        subscriber.stop()


def stored(server: Server, topic: str) -> list[bytes]:
    log = open_log(server.event_store)
    try:
        found = log.select_notifications(0, 100_000, None, [topic])
        return [unseal(event.state) for event in found]
    finally:
        log.close()


def ended(server: Server, id_: str) -> LookBackAdvanced:
    """Waits until a looking back has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for state in stored(server, StoredLookBack.Ended.TOPIC):
            body = LookBackAdvanced.FromString(state)
            if body.look_back_id == id_:
                return body
        time.sleep(0.05)
    raise AssertionError("the looking back has not ended\n" + "".join(server.log))


def test_a_read_before_the_entry_is_alerted_once_and_one_after_it_too(server: Server) -> None:
    feed(server, "LB100AA", "ZZ999ZZ", "LB100AA")
    answer = put(server, "stolen", "LB100AA", back=look_back(purpose=PURPOSE))
    end = ended(server, answer.look_back_id)
    assert (end.reads, end.alerts) == (2, 2)
    feed(server, "LB100AA")
    alerts = alerts_of(server, "stolen", 3)
    assert [a.look_back_id for a in alerts] == [answer.look_back_id] * 2 + [""]
    assert len({a.alert_id for a in alerts}) == 3
    assert {a.entry.plate for a in alerts} == {"LB100AA"}
    (start,) = [
        body
        for body in map(LookBackStarted.FromString, stored(server, StoredLookBack.Started.TOPIC))
        if body.look_back_id == answer.look_back_id
    ]
    assert (start.hotlist, start.purpose, start.entries) == ("stolen", PURPOSE, 1)
    assert start.position == answer.position.position
    assert end.at.ToMicroseconds() >= start.at.ToMicroseconds()


def test_what_an_import_leaves_as_it_was_is_not_looked_back_for_again(server: Server) -> None:
    feed(server, "LB200AA", "LB201AA")
    first = put(server, "kept", "LB200AA")
    ended(server, first.look_back_id)
    again = put(server, "kept", "LB200AA", "LB201AA")
    assert ended(server, again.look_back_id).alerts == 1
    assert put(server, "kept", "LB200AA").look_back_id == ""
    found = {a.entry.plate: a.look_back_id for a in alerts_of(server, "kept", 2)}
    assert found == {"LB200AA": first.look_back_id, "LB201AA": again.look_back_id}


def test_it_goes_as_far_back_as_the_import_says(server: Server) -> None:
    feed(server, "LB300AA")
    none = put(server, "none", "LB300AA", back=look_back(0))
    assert none.look_back_id == ""
    microsecond = LookBack(period=Duration(nanos=1000))
    brief = put(server, "brief", "LB300AA", back=microsecond)
    assert ended(server, brief.look_back_id).reads == 0
    long = put(server, "long", "LB300AA", back=look_back(3600))
    assert ended(server, long.look_back_id).alerts == 1
    feed(server, "LB300AA")
    assert [a.look_back_id for a in alerts_of(server, "none", 1)] == [""]


def test_a_purpose_is_whole_or_left_out(server: Server) -> None:
    for asked in (
        look_back(60, Purpose(case_number="C-1")),
        look_back(60, Purpose(reason="why")),
        LookBack(period=Duration(seconds=-1)),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            put(server, "refused", "LB400AA", back=asked)
        assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def wait_for(server: Server, topic: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(stored(server, topic)) < count and time.monotonic() < deadline:
        time.sleep(0.02)


class Reading:
    """The read process of a ring, apart from its write process."""

    def __init__(self, server: Server, socket: Path) -> None:
        command = ["server.py", "--insecure", "--role", "read", "--socket", str(socket)]
        self._process = subprocess.Popen(
            [sys.executable, *command, "--data", str(server.data)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(30)


@pytest.fixture
def apart(start_server: ServerFactory, tmp_path: Path) -> tuple[Server, Path]:
    """A write process without a read side, and the socket at which it looks for one."""
    socket = tmp_path / "read.sock"
    server = start_server("--role", "write", "--socket", str(socket))
    register(server, "r1")
    return server, socket


def test_it_waits_for_the_read_side_and_goes_on_after_each_kill(
    apart: tuple[Server, Path],
) -> None:
    server, socket = apart
    plates = [f"LB{n}AA" for n in range(500, 530)]
    feed(server, *plates, "ZZ999ZZ")
    answer = put(server, "away", *plates)
    server.kill()
    server.start()
    reading = Reading(server, socket)
    try:
        # Killed where its start is in the log, and at every few alerts.
        for alerts in (0, 3, 10):
            wait_for(server, StoredLookBack.Started.TOPIC, 1)
            wait_for(server, StoredAlert.Raised.TOPIC, alerts)
            server.kill()
            server.start()
        reading.kill()
        reading = Reading(server, socket)
        assert ended(server, answer.look_back_id).alerts == len(plates)
    finally:
        reading.kill()
    alerts = alerts_of(server, "away", len(plates))
    assert sorted(a.entry.plate for a in alerts) == plates
    assert {a.look_back_id for a in alerts} == {answer.look_back_id}
    assert len(stored(server, StoredLookBack.Started.TOPIC)) == 1
    assert len(stored(server, StoredAlert.Raised.TOPIC)) == len(plates)
