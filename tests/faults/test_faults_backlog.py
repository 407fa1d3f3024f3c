"""A day's reads come in at once, and live reads of others do not wait for them."""

from pathlib import Path

import pytest

from tests.conftest import ServerFactory
from tests.faults.backlog import returns
from tests.faults.campaign import accounts
from tests.faults.conftest import plates, stored
from tests.faults.feeding_reader import plate

pytestmark = pytest.mark.timeout(120)
COUNT = 20_000


def test_a_day_that_comes_in_at_once_holds_up_nobody(
    start_server: ServerFactory, tmp_path: Path
) -> None:
    server = start_server()
    returned = returns(server, tmp_path / "spool", COUNT)
    # However slow the machine: a live read waits for a group or two, not for the backlog.
    assert max(returned.waits) < returned.seconds / 3
    delayed = {alert.sighting.plate: alert.delayed for alert in returned.alerts}
    assert delayed == {
        plate("D", 1): True,
        plate("D", COUNT // 2): True,
        plate("D", COUNT): True,
        "LIVE001": False,
    }
    kept = plates(stored(server.data, "away", returned.epoch))
    assert kept == [plate("D", number) for number in range(1, COUNT + 1)]
    assert accounts(server).complete
