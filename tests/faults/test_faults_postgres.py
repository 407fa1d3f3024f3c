"""A running server whose connections to PostgreSQL are cut: it recovers by itself."""

import time

import pytest

from tests.conftest import Postgres, ServerFactory
from tests.contract.test_postgres_faults import cut, run
from tests.faults.conftest import until
from tests.integration.test_alerts import register
from tests.integration.test_server import search, send

pytestmark = pytest.mark.timeout(120)
_LISTENS = "query ILIKE 'LISTEN%'"


def test_the_read_side_goes_on_when_its_listening_was_cut(
    start_server: ServerFactory, postgres: Postgres
) -> None:
    dsn = postgres.new_database()
    server = start_server(env={"RING_EVENT_STORE": dsn})
    register(server, "r1", "r2")

    def listening() -> bool:
        return bool(run(dsn, f"SELECT 1 FROM pg_stat_activity WHERE {_LISTENS}"))

    for number in range(3):
        until(listening)
        assert cut(dsn, _LISTENS) >= 1
        position = send(server, f"CUT{number}")
        assert search(server, position)[f"CUT{number}"] == 1
    # And with every connection of both processes, in the midst of things.
    for number in range(3):
        assert cut(dsn) >= 2
        position = send(server, f"ALL{number}", reader="r2")
        assert search(server, position)[f"ALL{number}"] == 1
        time.sleep(0.2)
    until(listening)
    assert server.stop() == 0
