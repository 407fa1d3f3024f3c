"""A running server whose PostgreSQL cuts its connections or restarts: it recovers by itself."""

import time
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.acceptance.test_spine import Subscriber
from tests.conftest import Postgres, Server, ServerFactory
from tests.contract.test_postgres_faults import cut, run
from tests.faults.accounts import reconcile, status
from tests.faults.conftest import ReaderFactory, register, until
from tests.faults.feeding_reader import plate
from tests.integration.test_alerts import import_entries
from tests.integration.test_server import search
from tests.vendor import Client, read

pytestmark = pytest.mark.timeout(240)
_LISTENS = "query ILIKE 'LISTEN%'"


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, postgres: Postgres) -> Server:
    return start_server(env={"RING_EVENT_STORE": postgres.new_database()})


def listening(server: Server) -> bool:
    return bool(run(server.event_store, f"SELECT 1 FROM pg_stat_activity WHERE {_LISTENS}"))


def test_the_read_side_goes_on_when_its_listening_was_cut(server: Server) -> None:
    register(server, "r1")
    truth = {}

    def arrives(plate: str) -> None:
        """From a reader to the read side."""
        epoch = str(uuid4())
        client = Client(server, "r1", epoch)
        client.batch(read(1, plate))
        position = client.until(1)[-1].position
        assert client.close() is grpc.StatusCode.OK
        truth["r1", epoch] = [1]
        assert search(server, position, timeout=60)[plate] == 1

    for number in range(3):
        until(lambda: listening(server))
        assert cut(server.event_store, _LISTENS) >= 1
        arrives(f"CUT{number}")
    # And with every connection of both processes, in the midst of things.
    for number in range(3):
        assert cut(server.event_store) >= 2
        arrives(f"ALL{number}")
    until(lambda: listening(server))
    reconcile(server, truth)


def test_a_restart_under_load_loses_nothing_and_all_goes_on(
    server: Server, postgres: Postgres, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    count = 1000
    register(server, "steady")
    wanted = [plate("S", number) for number in range(20, count + 1, 20)]
    import_entries(server, "wanted", *(HotlistEntry(plate=one, reason="test") for one in wanted))
    subscriber = Subscriber(server)
    words = ("--plates", "S", "--count", count, "--pause", 0.05)
    before = status(server).head.position
    reader = start_reader(tmp_path / "spool", server.address, "steady", *words)
    until(lambda: status(server).head.position > before + 100, 60)
    postgres.stop()
    try:
        assert reader.process.poll() is None
        time.sleep(0.5)  # while reads come
    finally:
        postgres.start()
    assert reader.ended_well(120)
    until(lambda: len(subscriber.alerts) >= len(wanted), 60)
    assert sorted(alert.sighting.plate for alert in subscriber.alerts) == wanted
    subscriber.end()
    until(lambda: all(part.well for part in status(server).parts), 60)
    until(lambda: listening(server))
    reconcile(server, {("steady", reader.said.split()[1]): range(1, count + 1)})
