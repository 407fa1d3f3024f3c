"""A day's reads come in at once; live reads of others, and their alerts, do not wait for them."""

import statistics
from pathlib import Path

import pytest

from tests.conftest import NewStore, ServerFactory
from tests.faults.backlog import returns

pytestmark = pytest.mark.timeout(120)
COUNT = 20_000


def test_a_day_that_comes_in_at_once_holds_up_nobody(
    start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    returned = returns(server, tmp_path / "spool", COUNT, calm=1.0)
    calm, meanwhile = returned.before, returned.meanwhile
    # However slow the machine: a live read waits for a message and a group, not for the backlog;
    # and the matcher is not much behind the log.
    assert statistics.median(meanwhile.waits) < returned.seconds / 4
    allowed = statistics.median(calm.alert_waits) + returned.seconds / 4
    assert statistics.median(meanwhile.alert_waits) < allowed
