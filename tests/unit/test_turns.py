"""Whose message is next: against what the order must be, for any arrivals."""

from typing import NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ring.turns import MOST_MESSAGES, MOST_READS, Turns


class Work(NamedTuple):
    log: int
    number: int
    size: int


arrivals = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(st.integers(0, 30), st.just(1000))), max_size=600
)


@given(arrivals)
def test_every_message_comes_once_in_its_logs_order_and_no_log_waits_for_another(
    arrived: list[tuple[int, int]],
) -> None:
    turns: Turns[Work] = Turns()
    works = [Work(log, number, size) for number, (log, size) in enumerate(arrived)]
    for work in works:
        turns.put(UUID(int=work.log), work)
    turns.close()
    taken: list[Work] = []
    while group := turns.take():
        assert len(group) <= MOST_MESSAGES
        assert sum(work.size for work in group[:-1]) < MOST_READS
        taken += group
    assert sorted(taken, key=lambda work: work.number) == works
    for log in range(5):
        own = [place for place, work in enumerate(taken) if work.log == log]
        assert [taken[place] for place in own] == [work for work in works if work.log == log]
        # In turn: the first of a log has at most one of each other before it, and so on.
        assert all(place < 5 * (turn + 1) for turn, place in enumerate(own))
