"""ClickHouse away, slow or refusing: reads and alerts go on, and the read side catches up."""

import time
from collections.abc import Iterator
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from projections.clickhouse import ClickHouse
from projections.schema import Databases
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.operations_pb2 import GetStatusRequest, GetStatusResponse
from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
from tests.conftest import Server, ServerFactory
from tests.faults.campaign import accounts, rebuilt
from tests.faults.conftest import register, until
from tests.integration.test_alerts import Subscriber, import_entries
from tests.integration.test_keeping import ring
from tests.projections.conftest import Front
from tests.vendor import Client, read

pytestmark = pytest.mark.timeout(120)
EACH = 3000


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.kill()


@pytest.fixture(scope="module")
def server(front: Front, start_server: ServerFactory) -> Server:
    server = start_server(env={"RING_CLICKHOUSE": front.dsn("faults")})
    register(server, "r1")
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1"))
    return server


def status(server: Server) -> GetStatusResponse:
    with server.channel() as channel:
        stub = OperationsServiceStub(channel)
        answer: GetStatusResponse = stub.GetStatus(GetStatusRequest(), timeout=10)
    return answer


def serving(server: Server, service: str) -> bool:
    with server.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=f"ring.v1.{service}"), timeout=10
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def break_it(front: Front, how: str) -> None:
    if how == "away":
        front.kill()
    else:
        front.tell(how)


def mend_it(front: Front, how: str) -> None:
    if how == "away":
        front.start()
    else:
        front.tell("well")


@pytest.mark.parametrize("how", ["away", "refuse 241", "slow 4"])
def test_reads_and_alerts_go_on_and_the_read_side_catches_up(
    front: Front, server: Server, how: str
) -> None:
    server.log.clear()
    subscriber = Subscriber(server)
    break_it(front, how)
    try:
        client = Client(server, "r1", str(uuid4()))
        longest = 0.0
        for start in range(1, EACH, 100):
            began = time.monotonic()
            hit = read(start, "WANTED1")
            client.batch(hit, *(read(n, f"P{n:05}") for n in range(start + 1, start + 100)))
            client.until(start + 99)
            longest = max(longest, time.monotonic() - began)
        assert client.close() is grpc.StatusCode.OK
        assert longest < 3
        assert len(subscriber.wait(EACH // 100)) == EACH // 100

        # It is said, in health and log, of that part alone.
        until(lambda: not serving(server, "InvestigationService"))
        assert serving(server, "IngestService")
        assert serving(server, "AlertService")
        told = status(server)
        ill = {part.part: part.message for part in told.parts if not part.well}
        assert list(ill) == ["read side"]
        assert "ClickHouse" in ill["read side"]
        until(lambda: any('"a part is ill"' in line for line in server.log))
    finally:
        mend_it(front, how)
        subscriber.stop()
    until(lambda: status(server).read_side == "ok")
    until(lambda: serving(server, "InvestigationService"))
    assert any('"a part is well again"' in line for line in server.log)
    account = accounts(server)
    assert account.complete
    assert rebuilt(server) == "equal"


def test_reconcile_notices_one_missing_row(front: Front, server: Server) -> None:
    assert accounts(server).complete
    clickhouse = ClickHouse.at(front.dsn("faults"))
    client = clickhouse.open()
    client.use(Databases(clickhouse, client).live())
    client.execute(
        "ALTER TABLE sightings DELETE WHERE plate = 'P00777' SETTINGS mutations_sync = 2"
    )
    client.close()
    account = accounts(server)
    assert not account.complete
    missing = {a.epoch: a.stored - a.projected for a in account.accounts}
    # The plate was read once in each epoch.
    assert set(missing.values()) == {1}
    (said,) = ring(server, "reconcile", code=1)
    assert str(len(missing)) in said["error"]
    assert rebuilt(server) == "different"
    ring(server, "rebuild")
    assert accounts(server).complete
