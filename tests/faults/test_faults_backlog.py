"""A day's reads come in at once, and live reads of others do not wait for them."""

import statistics
from pathlib import Path

import pytest

from tests.conftest import ServerFactory
from tests.faults.backlog import returns

pytestmark = pytest.mark.timeout(120)
COUNT = 20_000


def test_a_day_that_comes_in_at_once_holds_up_nobody(
    start_server: ServerFactory, tmp_path: Path
) -> None:
    server = start_server()
    returned = returns(server, tmp_path / "spool", COUNT, calm=0.5)
    # However slow the machine: a live read waits for a message and a group, not for the backlog.
    waits = [wait for one in returned.meanwhile for wait in one.waits]
    assert statistics.median(waits) < returned.seconds / 4
