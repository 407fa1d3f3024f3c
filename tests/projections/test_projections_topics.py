"""No event that the write side can store brings the read side to a stand."""

from projections.batch import _KNOWN
from ring.events import topics
from tests.golden import make


def test_the_read_side_knows_every_topic() -> None:
    assert make.MODULES  # they define the events
    assert set(topics()) <= _KNOWN
