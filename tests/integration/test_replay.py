"""The law of matching: live, caught up, looked back for or replayed, it is the same."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid5
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import AlertRaised, RemovedEntry
from proto.ring.v1.hotlist_pb2 import HotlistPolicy
from proto.ring.v1.look_back_pb2 import LookBack
from ring.alert import Alert
from ring.application import Ring
from ring.errors import InvalidRequest
from ring.hotlist import Hotlist, Import
from ring.look_back import orders
from ring.looker import Looker
from ring.matching import Matcher
from ring.replay import Period, Question, compare, differences, index_as_of, replay
from ring.store import unseal
from ring.values import NAMESPACE, from_micros, hotlist_id
from ring.wakeup import Wakeup
from tests.conftest import NewStore
from tests.projections.world import SECOND, T0, Seen

UTC = ZoneInfo("UTC")
PLATES = ("AB123CD", "AB128CD", "A8123CD", "XY987ZW")
# What happens, in order: reads of a plate, or changes of one of two lists.
Happening = tuple[str, int, int]
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 3), st.integers(1, 9)),
        st.tuples(st.just("read"), st.integers(0, 3), st.integers(1, 9)),
        st.tuples(st.just("add"), st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("policy"), st.integers(0, 1), st.integers(1, 9)),
    ),
    min_size=4,
    max_size=14,
)


def name_of(number: int) -> str:
    return f"list {number}"


def seen(number: int, plate: int, sureness: int) -> Seen:
    """A read; where it is unsure, its posterior leaves it open which of two plates it was."""
    text, sure = PLATES[plate], sureness / 10
    posterior = [(c, [1.0]) for c in text]
    if sure < 0.9:
        posterior[4] = ("38", [1 - sure, sure]) if text[4] == "8" else ("38", [sure, 1 - sure])
    return Seen(
        text, T0 + number * SECOND, sequence=number, confidence=max(sure, 0.5), posterior=posterior
    )


def happen(ring: Ring, events: Sequence[Happening]) -> Iterator[int]:
    """Makes it happen, one after the other; the head of the log after each."""
    live: dict[int, list[tuple[str, str]]] = {0: [], 1: []}
    at = from_micros(T0)
    for number in live:
        ring.store(Hotlist.create("agency", name_of(number), "test", at))
    for number, (what, first, second) in enumerate(events, 1):
        if what == "read":
            ring.event_log.insert_events([seen(number, first, second).stored()])
            yield ring.event_log.head()
            continue
        hotlist = ring.get(Hotlist, hotlist_id("agency", name_of(first)))
        assert hotlist is not None
        staged = Import(uuid5(NAMESPACE, f"import {number}"))
        if what == "add":
            entry = HotlistEntry(
                plate=PLATES[second], entry_id=str(uuid5(NAMESPACE, f"entry {number}"))
            )
            staged.stage([entry], [], at)
            live[first].append((entry.entry_id, entry.plate))
            back = LookBack()
            back.period.seconds = 10 * 366 * 86_400
            hotlist.activate(staged, "test", from_micros(int(time.time() * SECOND)), back)
        elif what == "remove":
            gone, live[first] = live[first], []
            removed = [RemovedEntry(entry_id=id_, plate=plate) for id_, plate in gone]
            staged.stage([], removed, at)
            hotlist.activate(staged, "test", at)
        else:
            hotlist.change_policy(HotlistPolicy(threshold=second / 10), "test", at)
        ring.store(staged, hotlist)
        yield ring.event_log.head()


@contextmanager
def a_ring(new_store: NewStore) -> Iterator[Ring]:
    ring = Ring(new_store())
    try:
        yield ring
    finally:
        ring.close()


@contextmanager
def matching(ring: Ring, wakeup: Wakeup) -> Iterator[Matcher]:
    matcher = Matcher(ring, wakeup, lambda: None, UTC)
    matcher.start()
    try:
        yield matcher
    finally:
        matcher.stop()


def wait_for(matcher: Matcher, position: int) -> None:
    deadline = time.monotonic() + 60
    while matcher.position < position:
        assert time.monotonic() < deadline, matcher.trouble
        time.sleep(0.001)


def raised(ring: Ring) -> list[AlertRaised]:
    found = ring.event_log.select_notifications(0, 100_000, None, [Alert.Raised.TOPIC])
    return [AlertRaised.FromString(unseal(event.state)) for event in found]


def ids(alerts: Sequence[AlertRaised]) -> set[str]:
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    return {alert.alert_id for alert in alerts}


def look_back(ring: Ring) -> None:
    """For every change, over all reads: which of them are candidates is tested elsewhere."""
    looker = Looker(ring, lambda: None, UTC)
    for order in orders(ring, 0):
        look = looker.begin(order)
        entries = {entry.entry_id for entry in looker.entries(order, 1)}
        before = range(1, order.position)
        reads, alerts = looker.look(order, entries, before)
        # Doing it again, as after a kill, raises nothing anew and counts the same.
        assert looker.look(order, entries, before) == (reads, alerts)
        looker.advance(look, order, reads, alerts)
        assert look.ended


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=happenings, stop=st.integers(0, 14))
def test_live_caught_up_and_replayed_are_the_same(
    new_store: NewStore, events: list[Happening], stop: int
) -> None:
    wakeup = Wakeup()
    with a_ring(new_store) as live, a_ring(new_store) as late:
        with matching(live, wakeup) as matcher:
            for head in happen(live, events):
                wakeup.notify()
                wait_for(matcher, head)
        # Nobody matches meanwhile; then somebody does, stops somewhere, and goes on.
        heads = list(happen(late, events))
        with matching(late, wakeup) as matcher:
            wait_for(matcher, heads[min(stop, len(heads) - 1)])
        with matching(late, wakeup) as matcher:
            wait_for(matcher, heads[-1])
        alerts = raised(live)
        assert ids(alerts) == ids(raised(late))
        # Between two changes, the list replayed as of the first raises what was raised live.
        changes = [0, *_changes(live), live.event_log.head() + 1]
        for number in (0, 1):
            for start, end in itertools.pairwise(changes):
                would = [
                    alert
                    for alert in _replayed(live, number, start)
                    if start < alert.read_position < end
                ]
                was = [
                    alert
                    for alert in alerts
                    if alert.hotlist == name_of(number) and start < alert.read_position < end
                ]
                assert ids(would) == ids(was)
        look_back(live)
        look_back(late)
        assert ids(raised(live)) == ids(raised(late))
        # With its looking back, a list that only grew has raised all that it would have.
        for number in (0, 1):
            if not any(what in ("remove", "policy") for what, *_ in events):
                question = _question(live, number, live.event_log.head())
                found = compare(
                    (a for a in raised(live) if a.hotlist == name_of(number)),
                    _replayed(live, number, question.as_of),
                )
                assert not list(differences(live.event_log, question, found, 10**9))


def _changes(ring: Ring) -> list[int]:
    topics = [Hotlist.Activated.TOPIC, Hotlist.PolicyChanged.TOPIC]
    return [n.id for n in ring.event_log.select_notifications(0, 100_000, None, topics)]


def _question(ring: Ring, number: int, as_of: int) -> Question:
    hotlist = ring.get(Hotlist, hotlist_id("agency", name_of(number)))
    assert hotlist is not None
    return Question(hotlist, as_of, Period())


def _replayed(ring: Ring, number: int, as_of: int) -> list[AlertRaised]:
    question = _question(ring, number, as_of)
    index = index_as_of(ring.event_log, question, UTC)
    steps = replay(ring.event_log, index, question, ring.event_log.head(), 0.0)
    return [alert for step in steps for alert in step.alerts]


def test_a_replay_of_more_alerts_than_there_is_room_for_is_refused(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ring import replay as replaying

    events: list[Happening] = [("add", 0, 0), *[("read", 0, 9)] * 3]
    wakeup = Wakeup()
    with a_ring(new_store) as ring, matching(ring, wakeup) as matcher:
        wait_for(matcher, list(happen(ring, events))[-1])
        question = _question(ring, 0, ring.event_log.head())
        for most, refused in ((3, False), (2, True)):
            monkeypatch.setattr(replaying, "MOST_ALERTS", most)
            for attempt in (
                lambda: _replayed(ring, 0, question.as_of),
                lambda: list(replaying.raised(ring.event_log, question, question.as_of)),
            ):
                if refused:
                    with pytest.raises(InvalidRequest, match="a shorter period"):
                        attempt()
                else:
                    assert len(attempt()) == 3
