"""Whose message is next: against what the order must be, for any arrivals."""

from typing import NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ring.turns import LONG, MOST_MESSAGES, MOST_READS, Turns


class Work(NamedTuple):
    log: int
    number: int
    size: int

    @property
    def long(self) -> bool:
        return self.size >= LONG


sizes = st.one_of(st.integers(0, 30), st.sampled_from([LONG - 1, LONG, 1000]))
arrivals = st.lists(st.tuples(st.integers(0, 4), sizes), max_size=600)


def groups(works: list[Work]) -> list[list[Work]]:
    turns: Turns[Work] = Turns()
    for work in works:
        turns.put(UUID(int=work.log), work)
    turns.close()
    taken = []
    while group := turns.take():
        taken.append(group)
    return taken


@given(arrivals)
def test_every_message_comes_once_in_its_logs_order_and_groups_are_bounded(
    arrived: list[tuple[int, int]],
) -> None:
    works = [Work(log, number, size) for number, (log, size) in enumerate(arrived)]
    found = groups(works)
    for group in found:
        assert len(group) == 1 or not any(work.long for work in group)
        assert len(group) <= MOST_MESSAGES
        assert sum(work.size for work in group[:-1]) < MOST_READS
    taken = [work for group in found for work in group]
    assert sorted(taken, key=lambda work: work.number) == works
    for log in range(5):
        own = [work for work in taken if work.log == log]
        assert own == [work for work in works if work.log == log]


@given(arrivals)
def test_neither_short_nor_long_messages_make_others_wait_for_more_than_a_group(
    arrived: list[tuple[int, int]],
) -> None:
    works = [Work(log, number, size) for number, (log, size) in enumerate(arrived)]
    queues = {log: [work for work in works if work.log == log] for log in range(5)}
    for before, group in zip(found := groups(works), found[1:], strict=False):
        for work in before:
            queues[work.log].remove(work)
        first = [queue[0] for queue in queues.values() if queue]
        for kind in (True, False):
            if any(work.long is kind for work in first):
                assert kind in (before[0].long, group[0].long)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=600), st.booleans())
def test_among_their_like_the_logs_take_turns(arrived: list[tuple[int, int]], long: bool) -> None:
    works = [Work(log, number, size + long * LONG) for number, (log, size) in enumerate(arrived)]
    taken = [work for group in groups(works) for work in group]
    for log in range(5):
        # The first of a log has at most one of each other before it, and so on.
        own = [place for place, work in enumerate(taken) if work.log == log]
        assert all(place < 5 * (turn + 1) for turn, place in enumerate(own))


def test_a_live_read_waits_for_one_long_message_of_a_backlog() -> None:
    turns: Turns[Work] = Turns()
    away, live = UUID(int=0), UUID(int=1)
    for number in range(16):
        turns.put(away, Work(0, number, 1000))
    assert turns.take() == [Work(0, 0, 1000)]
    turns.put(live, Work(1, 100, 1))
    assert turns.take() == [Work(1, 100, 1)]
    assert turns.take() == [Work(0, 1, 1000)]
