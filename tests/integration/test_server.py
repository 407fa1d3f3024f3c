"""The server's processes: what it refuses, how it comes up, what outlives what, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from proto.ring.v1 import (
    investigation_pb2,
    investigation_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition, Purpose
from tests.conftest import ROOT, NewStore, Postgres, Server, ServerFactory
from tests.integration.test_alerts import Subscriber, import_entries, register
from tests.vendor import Client, read

SERVICES = {
    "ring.v1.IngestService",
    "ring.v1.RegistryService",
    "ring.v1.HotlistService",
    "ring.v1.AlertService",
    "ring.v1.OperationsService",
    "ring.v1.InvestigationService",
    "ring.v1.IncidentService",
    "ring.v1.LookBackService",
    "ring.v1.WebhookService",
}


@pytest.fixture(scope="module")
def running(start_server: ServerFactory, new_store: NewStore) -> Iterator[Server]:
    """Both processes, on either store."""
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1", "r2")
    yield server
    server.stop()


@pytest.fixture
def server(running: Server) -> Server:
    """The same for all, started again where a test has ended it."""
    if running.process.poll() is not None:
        running.start()
    return running


def group(server: Server) -> list[psutil.Process]:
    """The processes of a server's group that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                os.getpgid(process.pid) == server.process.pid
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


def read_process(server: Server) -> psutil.Process:
    (process,) = [p for p in group(server) if p.pid != server.process.pid]
    assert process.cmdline()[process.cmdline().index("--role") + 1] == "read"
    return process


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def search(server: Server, position: LogPosition, timeout: float = 20) -> dict[str, int]:
    """How many reads of each plate the read side has, once it has come to a position."""
    with server.channel() as channel:
        page = investigation_pb2_grpc.InvestigationServiceStub(channel).SearchPlates(
            investigation_pb2.SearchPlatesRequest(
                purpose=Purpose(case_number="1", reason="test"), pattern="*", at_least=[position]
            ),
            timeout=timeout,
        )
    return {plate.plate: plate.reads for plate in page.plates}


def send(server: Server, *plates: str, reader: str = "r1") -> LogPosition:
    client = Client(server, reader, str(uuid4()))
    client.batch(*(read(n, plate) for n, plate in enumerate(plates, 1)))
    position = client.until(len(plates))[-1].position
    assert client.close() is grpc.StatusCode.OK
    return position


# ---- coming up -------------------------------------------------------------------


def test_what_listens_serves_and_says_what(server: Server) -> None:
    with server.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", *SERVICES):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = reflection.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
        )
    listed = {service.name for service in answer.list_services_response.service}
    assert SERVICES | {"grpc.health.v1.Health"} <= listed
    # It listens only once every service answers: no waiting is needed.
    assert search(server, send(server, "LISTENS"))["LISTENS"] == 1


def refused(*options: str, env: dict[str, str] | None = None) -> str:
    """The one line with which a server refuses to start."""
    done = subprocess.run(
        [sys.executable, "server.py", *options],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "start with --insecure"),
        (("--insecure", "--listen", "0.0.0.0:0"), "loopback addresses only, not on 0.0.0.0:0"),
        (("--insecure", "--listen", "[::]:0"), "loopback addresses only"),
        (("--insecure", "--listen", "ring.example:50051"), "loopback addresses only"),
        (("--insecure", "--listen", "50051"), "is not HOST:PORT"),
        (("--insecure", "--listen", "127.0.0.1:70000"), "is not HOST:PORT"),
        (("--insecure", "--role", "read"), "needs --socket"),
    ],
)
def test_what_is_not_safe_or_makes_no_sense_is_refused(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    assert told in refused("--data", str(tmp_path / "data"), *options)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RING_MAX_VISIT", "3 weeks", "'3 weeks' is no duration: write PT30S"),
        ("RING_METRICS", "9464", "'9464' is not HOST:PORT"),
        ("RING_TIME_ZONE", "Buenos Aires", "'Buenos Aires' is not a time zone"),
        ("RING_EVENT_STORE_MAX_MIB", "-1", "greater than or equal to 0"),
    ],
)
def test_a_setting_that_can_not_be_is_named(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    line = refused("--data", str(tmp_path), "--insecure", env={name: value})
    assert line.startswith(f"server: {name}: ")
    assert told in line
    assert "Value error" not in line


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    line = refused("--data", str(server.data), "--listen", "127.0.0.1:0", "--insecure")
    assert f"another server runs on {server.data}" in line
    # The first goes on.
    assert search(server, send(server, "FIRST1"))["FIRST1"] == 1


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        line = refused("--data", str(tmp_path), "--listen", address, "--insecure")
    assert f"can't listen on {address}: Address already in use" in line


def test_an_event_store_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    for dsn, told in (
        ("mysql://localhost/ring", "RING_EVENT_STORE is not supported"),
        (f"postgresql:///ring?host={tmp_path}", "RING_EVENT_STORE can't be opened"),
    ):
        line = refused(
            *("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--insecure"),
            env={"RING_EVENT_STORE": dsn},
        )
        assert told in line


# ---- one process dies --------------------------------------------------------------


def test_the_read_process_comes_back_and_the_rest_goes_on_without_it(server: Server) -> None:
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1"))
    before = search(server, send(server, "BEFORE1"))
    assert before["BEFORE1"] == 1
    subscriber = Subscriber(server)
    streaming = Client(server, "r2", str(uuid4()))
    streaming.batch(read(1, "BEFORE2"))
    streaming.until(1)

    died = read_process(server)
    died.kill()
    died.wait(10)
    # Reads are acknowledged, on an open stream and on a new one, and alerts raised.
    streaming.batch(read(2, "WANTED1"))
    streaming.until(2)
    position = send(server, "WANTED1")
    assert len(subscriber.wait(2)) == 2
    with pytest.raises(grpc.RpcError) as caught:
        search(server, position)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "ask again" in caught.value.details()

    found: list[dict[str, int]] = []

    def answers() -> bool:
        try:
            found.append(search(server, position))
        except grpc.RpcError as error:
            return error.code() is not grpc.StatusCode.UNAVAILABLE
        return True

    wait_until(answers)
    assert found == [before | {"BEFORE2": 1, "WANTED1": 2}]
    assert read_process(server).pid != died.pid
    subscriber.stop()
    assert streaming.close() is grpc.StatusCode.OK


def test_no_read_process_outlives_the_write_process(server: Server) -> None:
    left = read_process(server)
    position = send(server, "KILLED1")
    server.kill()
    wait_until(lambda: not group(server))
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    # Nothing stands in the way of the next one.
    server.start()
    assert search(server, position)["KILLED1"] == 1


# ---- the end -----------------------------------------------------------------------


def test_sigterm_ends_everything_in_good_order(server: Server) -> None:
    subscriber = Subscriber(server)
    streaming = Client(server, "r1", str(uuid4()))
    streaming.batch(read(1))
    streaming.until(1)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 45
    assert group(server) == []
    # Readers and subscribers are told to come again.
    assert streaming.failure()[0] is grpc.StatusCode.UNAVAILABLE
    subscriber.thread.join(60)
    assert subscriber.call.code() is grpc.StatusCode.UNAVAILABLE
    subscriber.channel.close()


def test_ctrl_c_ends_everything_too(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(20) == 0
    assert group(server) == []
    assert server.stop() == 0


# ---- the event store is away ---------------------------------------------------------


def test_a_server_outlives_a_restart_of_postgresql(
    start_server: ServerFactory, postgres: Postgres
) -> None:
    server = start_server(env={"RING_EVENT_STORE": postgres.new_database()})
    register(server, "r1", "r2")
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1"))
    subscriber = Subscriber(server)
    streaming = Client(server, "r1", str(uuid4()))
    streaming.batch(read(1, "WANTED1"))
    streaming.until(1)
    postgres.stop()
    try:
        streaming.batch(read(2, "WANTED1"))
        time.sleep(1)
    finally:
        postgres.start()
    # It waited, and was stored once: nobody had to send it again.
    streaming.until(2)
    position = send(server, "AFTER1", reader="r2")
    assert len(subscriber.wait(2)) == 2
    assert search(server, position) == {"WANTED1": 2, "AFTER1": 1}
    subscriber.stop()
    assert streaming.close() is grpc.StatusCode.OK
    assert server.stop() == 0


def test_where_postgresql_is_away_the_event_log_is_named(
    start_server: ServerFactory, postgres: Postgres
) -> None:
    server = start_server(env={"RING_EVENT_STORE": postgres.new_database()})

    def ill() -> dict[str, str]:
        with server.channel() as channel:
            stub = operations_pb2_grpc.OperationsServiceStub(channel)
            status = stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=60)
        return {part.part: part.message for part in status.parts if not part.well}

    postgres.stop()
    try:
        deadline = time.monotonic() + 120
        while not {"event log", "read side"} <= set(found := ill()):
            assert time.monotonic() < deadline, found
        assert "can't be read" in found["event log"]
        assert found["read side"].startswith("the event log can't be read")
    finally:
        postgres.start()
    while ill():
        assert time.monotonic() < deadline + 60
        time.sleep(0.5)
    assert server.stop() == 0


def test_two_servers_never_write_to_one_log(
    start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    store = {"RING_EVENT_STORE": new_store()}
    first = start_server(env=store)
    line = refused(
        *("--data", str(tmp_path / "other"), "--listen", "127.0.0.1:0", "--insecure"), env=store
    )
    assert "another server writes to this event log: stop it first" in line
    # Killed, it stands in nobody's way.
    first.kill()
    second = start_server(data=tmp_path / "other", env=store)
    register(second, "r1")
    assert search(second, send(second, "SECOND1")) == {"SECOND1": 1}
    assert second.stop() == 0


def test_it_ends_soon_though_postgresql_is_away(
    start_server: ServerFactory, postgres: Postgres
) -> None:
    server = start_server(env={"RING_EVENT_STORE": postgres.new_database()})
    register(server, "r1")
    streaming = Client(server, "r1", str(uuid4()))
    streaming.batch(read(1))
    streaming.until(1)
    postgres.stop()
    try:
        streaming.batch(read(2))
        time.sleep(0.5)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 30
        # What could not be stored was not acknowledged.
        assert streaming.failure()[0] is grpc.StatusCode.UNAVAILABLE
        assert streaming.rest == []
    finally:
        postgres.start()
