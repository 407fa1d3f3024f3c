"""The real server on a ClickHouse server over HTTP, which goes away and comes back."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from projections.clickhouse import ClickHouse, Client
from projections.migrations import latest, record
from projections.schema import Databases
from proto.ring.v1.common_pb2 import LogPosition, Purpose
from proto.ring.v1.investigation_pb2 import GetTimelineRequest
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from proto.ring.v1.operations_pb2 import GetStatusRequest
from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
from ring.errors import InvalidRequest, Unavailable
from tests.conftest import ROOT, Server, ServerFactory
from tests.integration.test_alerts import register, send
from tests.projections.conftest import Front
from tests.projections.test_projections_follower import within
from tests.projections.world import PURPOSE, T0, Seen, Served, World, serving
from tests.vendor import read


@pytest.fixture(scope="module")
def own_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A ClickHouse server that may be killed."""
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.kill()


@pytest.fixture(scope="module")
def city(own_front: Front, start_server: ServerFactory) -> Server:
    """A ring on it, with a read."""
    server = start_server(env={"RING_CLICKHOUSE": own_front.dsn("city")})
    register(server, "r1")
    send(server, read(1, "AB123CD"))
    return server


@pytest.fixture
def live(own_front: Front) -> Iterator[Client]:
    """A client on the live projection's database."""
    clickhouse = ClickHouse.at(own_front.dsn("city"))
    client = clickhouse.open()
    client.use(Databases(clickhouse, client).live())
    yield client
    client.close()


def ring(server: Server, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ring.cli", *command, "--server", server.address],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def passages(server: Server, plate: str, at_least: int) -> int:
    with server.channel() as channel:
        status = OperationsServiceStub(channel).GetStatus(GetStatusRequest())
        request = GetTimelineRequest(
            purpose=Purpose(case_number="1", reason="t"),
            plate=plate,
            at_least=[LogPosition(log_id=status.head.log_id, position=at_least)],
        )
        timeline = InvestigationServiceStub(channel).GetTimeline(request, timeout=60)
        return len(timeline.passages)


def test_the_command_finds_one_changed_value_and_names_its_table(
    city: Server, live: Client
) -> None:
    last = send(city, read(1, "ZZ999ZZ"))
    assert passages(city, "ZZ999ZZ", last) == 1
    calm = ring(city, "rebuild", "--verify")
    assert (calm.returncode, "equal" in calm.stdout) == (0, True), calm.stderr
    live.execute(
        "ALTER TABLE sightings UPDATE confidence = 0.25 WHERE plate = 'ZZ999ZZ' "
        "SETTINGS mutations_sync = 2"
    )
    found = ring(city, "rebuild", "--verify")
    assert found.returncode == 1
    assert "sightings" in found.stderr
    assert "confidence" in found.stderr
    assert "movements" not in found.stderr
    assert ring(city, "rebuild").returncode == 0


def test_reads_go_on_without_clickhouse_and_arrive_when_it_is_back(
    city: Server, own_front: Front
) -> None:
    # Some of these are on their way when it is killed.
    for _ in range(8):
        send(city, *(read(n, f"GO{n:03}NE") for n in range(1, 100)))
    own_front.kill()
    last = send(city, read(1, "GONE001"))
    try:
        assert within(60, lambda: "can't be reached" in health(city))
        with pytest.raises(grpc.RpcError) as caught:
            passages(city, "GONE001", 0)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        own_front.start()
    assert passages(city, "GONE001", last) == 1
    assert within(60, lambda: health(city) == "ok")
    # What it was in the middle of, when it was killed, is neither lost nor there twice.
    assert ring(city, "rebuild", "--verify").returncode == 0


def test_what_an_operator_starts_without_clickhouse_ends_with_what_to_do(
    city: Server, own_front: Front, live: Client
) -> None:
    live.run("databases/create_database", database="city_99")
    live.run("databases/create_database", database="city_99_snapshot")
    assert ring(city, "rebuild").returncode == 0
    live.use(None)
    left = [name for (name,) in live.rows("databases/select_databases", prefix="city_")]
    assert len(left) == 1, "what a rebuild left behind goes with the next"

    own_front.kill()
    city.log.clear()
    last = send(city, read(1, "SECRET7"))
    try:
        for command, told in (
            (("rebuild",), "rebuilding was cut short, for ClickHouse can't be reached"),
            (("rebuild", "--verify"), "comparing was cut short, for ClickHouse can't be reached"),
            (("reconcile",), f"not yet to {last:,} (ClickHouse can't be reached"),
        ):
            done = ring(city, *command)
            assert done.returncode == 1
            assert told in done.stderr
            assert "when that is well" in done.stderr
    finally:
        own_front.start()
    assert passages(city, "SECRET7", last) == 1
    assert not any("Traceback" in line or "SECRET7" in line for line in city.log)


def says(served: Served) -> str:
    """The health of a read process, which may just be starting."""
    return str(served.projections.GetStatus(GetStatusRequest(), wait_for_ready=True).health)


def health(server: Server) -> str:
    with server.channel() as channel:
        status = OperationsServiceStub(channel).GetStatus(GetStatusRequest())
        return str(status.read_side)


def test_a_schema_newer_than_the_server_is_refused_at_the_start(city: Server, live: Client) -> None:
    city.stop()
    record(live, latest() + 5)
    city.log.clear()
    with pytest.raises(AssertionError, match="did not start") as caught:
        city.start()
    said = [line for line in str(caught.value).splitlines() if line.startswith("server: ")]
    assert f"has version {latest() + 5}, this server knows up to {latest()}" in said[0]
    assert "run the newer server" in said[0]
    assert city.process.poll() == 1


def test_the_read_side_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    front = Front(tmp_path)
    world = World(tmp_path, front.dsn("late"))
    front.kill()
    last = world.see(Seen("AB123CD", T0))
    try:
        with serving(world, wait=False) as served:
            assert within(60, lambda: "RING_CLICKHOUSE is right" in says(served))
            front.start()
            assert within(15, lambda: says(served) == "ok")
            request = GetTimelineRequest(
                purpose=PURPOSE, plate="AB123CD", at_least=[world.position(last)]
            )
            assert len(served.investigation.GetTimeline(request).passages) == 1
    finally:
        front.kill()
        world.close()


def test_a_wrong_password_is_said_and_never_shown(own_front: Front, tmp_path: Path) -> None:
    world = World(tmp_path, own_front.dsn("city", password="wr0ng"))
    try:
        with serving(world, wait=False) as served:
            assert within(60, lambda: "no such user and password" in says(served))
            assert "wr0ng" not in says(served)
    finally:
        world.close()


def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is absent: no certificate can be made")
    key = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    files = ("-keyout", "key.pem", "-out", "certificate.pem")
    subprocess.run(["openssl", *key, *files], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake_hands() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True)

        threading.Thread(target=shake_hands, daemon=True).start()
        port = listening.getsockname()[1]
        world = World(tmp_path, f"https://ring:pw@localhost:{port}/ring")
        try:
            with serving(world, wait=False) as served:
                assert within(60, lambda: "SSL_CERT_FILE" in says(served))
        finally:
            world.close()
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "dsn",
    [
        "http:///ring",
        "http://h/a-b",
        "ftp://h/ring",
        "chdb:relative",
        "http://ring:pw@h:port/ring",
        "http://ring:pw@h:99999/ring",
        "http://ring:s3/cret@h:8123/ring",
        "http://ring:s3#cret@h:8123/ring",
        "http://[::1/ring",
    ],
)
def test_a_dsn_that_is_none_is_refused(dsn: str) -> None:
    with pytest.raises(InvalidRequest, match="RING_CLICKHOUSE") as caught:
        ClickHouse.at(dsn)
    assert "s3" not in str(caught.value)


def test_a_password_may_have_any_characters() -> None:
    options = ClickHouse.at("http://ring:s3%2Fc%40%3A%23%25@[::1]:8124/city").options
    assert (options["password"], options["host"], options["port"]) == ("s3/c@:#%", "::1", 8124)


def test_a_folder_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"file/clickhouse can't be used \(Not a directory\)"):
        ClickHouse.at(f"chdb:///{tmp_path}/file/clickhouse").open()


def test_questions_name_no_plate_where_an_access_log_would_have_it(
    own_front: Front, live: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib3

    addresses: list[str] = []
    inner = urllib3.PoolManager.urlopen

    def urlopen(pool: urllib3.PoolManager, method: str, url: str, **more: object) -> object:
        addresses.append(url)
        return inner(pool, method, url, **more)

    monkeypatch.setattr(urllib3.PoolManager, "urlopen", urlopen)
    live.rows("queries/timeline_reads", plate="AB123CD")
    assert len(addresses) == 1
    assert "AB123CD" not in addresses[0]
    assert "log_queries=0" in addresses[0]
