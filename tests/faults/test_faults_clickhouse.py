"""ClickHouse away, slow or refusing: reads and alerts go on, and the read side catches up."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from projections.clickhouse import ClickHouse
from projections.schema import Databases
from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.conftest import NewStore, Server, ServerFactory
from tests.faults.accounts import accounts, rebuilt, reconcile
from tests.faults.conftest import register
from tests.faults.outage import HIT_EVERY, KINDS, outage
from tests.integration.test_alerts import import_entries
from tests.integration.test_keeping import ring
from tests.projections.conftest import Front
from tests.vendor import Client, read

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.kill()


@pytest.fixture(scope="module")
def clickhouse(front: Front, new_store: NewStore) -> str:
    """The DSN of a database; another one for each kind of event store."""
    return front.dsn("faults_" + new_store().partition(":")[0])


@pytest.fixture(scope="module")
def server(clickhouse: str, start_server: ServerFactory, new_store: NewStore) -> Server:
    env = {"RING_EVENT_STORE": new_store(), "RING_CLICKHOUSE": clickhouse}
    server = start_server(env=env)
    import_entries(server, "wanted", HotlistEntry(plate="WANTED1"))
    return server


@pytest.mark.parametrize("how", KINDS)
def test_reads_and_alerts_go_on_and_the_read_side_catches_up(
    front: Front, server: Server, how: str
) -> None:
    """Minutes of each kind: `make bench`."""
    readers = [f"{how.split()[0]}-{number}" for number in range(3)]
    register(server, *readers)
    seen = outage(server, front, how, readers, "WANTED1", rate=100, seconds=1)
    assert all(len(one.waits) > HIT_EVERY for one in seen.lived)
    # A slow one may come after all, on a machine that is slower still.
    assert seen.behind > 0 or how == "slow 4"


def test_reconcile_notices_one_missing_row(clickhouse: str, server: Server) -> None:
    register(server, "r1")
    epoch = str(uuid4())
    client = Client(server, "r1", epoch)
    client.batch(*(read(n, f"P{n:05}") for n in range(1, 1001)))
    client.until(1000)
    client.close()
    truth = {("r1", epoch): range(1, 1001)}
    reconcile(server, truth)
    assert accounts(server).complete
    read_side = ClickHouse.at(clickhouse)
    rows = read_side.open()
    rows.use(Databases(read_side, rows).live())
    rows.execute("ALTER TABLE sightings DELETE WHERE plate = 'P00777' SETTINGS mutations_sync = 2")
    rows.close()
    account = accounts(server)
    assert not account.complete
    lacking = {a.epoch: a.stored - a.projected for a in account.accounts if a.stored > a.projected}
    assert lacking == {epoch: 1}
    (said,) = ring(server, "reconcile", code=1)
    assert "missing: 1 stored read not in the read side" in said["error"]
    assert rebuilt(server) == "different"
    ring(server, "rebuild")
    reconcile(server, truth)
    assert accounts(server).complete
