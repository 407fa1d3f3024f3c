"""What every event log promises (ring/store/log.py), on each store there is."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    IntegrityError,
    Notification,
    PersistenceError,
    StoredEvent,
    Tracking,
)

from ring.application import Ring
from ring.errors import InvalidRequest, StateForbids, Unavailable
from ring.store import EventLog, open_log
from tests.conftest import ROOT, NewStore
from tests.contract.database import Database

READ = "ring.read"


@pytest.fixture
def dsn(new_store: NewStore) -> str:
    return new_store()


@pytest.fixture
def log(dsn: str) -> Iterator[EventLog]:
    with closing(open_log(dsn)) as log:
        yield log


@pytest.fixture
def database(dsn: str, log: EventLog) -> Iterator[Database]:
    """The log's own database, by another client."""
    with closing(Database(dsn)) as database:
        yield database


def events(stream: UUID, *versions: int, topic: str = READ) -> list[StoredEvent]:
    return [StoredEvent(stream, n, topic, f"state {n}".encode()) for n in versions]


def insert(log: EventLog, *versions: int, stream: UUID | None = None, topic: str = READ) -> Any:
    return log.insert_events(events(stream or uuid4(), *versions, topic=topic))


def everything(log: EventLog) -> Sequence[Notification]:
    return log.select_notifications(None, 1_000_000)


def positions(found: Sequence[Notification]) -> list[int]:
    return [notification.id for notification in found]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# ---- positions -------------------------------------------------------------------


def test_positions_grow_in_the_order_of_the_call(log: EventLog) -> None:
    streams = [uuid4(), uuid4()]
    given = []
    for number in range(1, 4):
        group = [event for stream in streams for event in events(stream, number)]
        given += log.insert_events(group) or []
        assert log.head() == given[-1]
    assert given == sorted(set(given))
    assert given[0] > 0
    found = everything(log)
    assert positions(found) == given
    assert [(n.originator_id, n.originator_version) for n in found] == [
        (stream, number) for number in range(1, 4) for stream in streams
    ]


def test_a_large_group_is_one_transaction_in_order(log: EventLog) -> None:
    given = insert(log, *range(1, 3001))
    assert list(given) == list(range(given[0], given[0] + 3000))
    assert positions(everything(log)) == list(given)


def test_a_position_is_never_given_twice(dsn: str, log: EventLog, database: Database) -> None:
    given = list(insert(log, 1, 2, 3))
    database.delete_from(given[1])
    given += insert(log, 1, 2)
    assert given == sorted(set(given))
    database.delete_from(0)
    assert everything(log) == []
    with closing(open_log(dsn)) as again:
        given += insert(again, 1)
        assert given == sorted(set(given))
        assert positions(everything(again)) == given[-1:]


def test_the_head_of_an_empty_log_is_0(log: EventLog) -> None:
    assert log.head() == 0
    assert log.select_notifications(0, 10) == []
    log.insert_tracking(Tracking("somebody", 7))
    assert log.head() == 0


def test_the_head_is_never_beyond_what_can_be_seen(log: EventLog, database: Database) -> None:
    (first,) = insert(log, 1)
    with database.uncommitted_insert() as hidden:
        assert hidden() > first
        assert log.head() == first
        assert positions(everything(log)) == [first]
        with ThreadPoolExecutor() as pool:
            second = pool.submit(insert, log, 1)
            time.sleep(0.3)
            # Whoever comes later waits, or its higher position would be seen first.
            assert not second.done()
            assert log.head() == first
            position = hidden()
            database.commit()
            assert second.result(10)[0] > position
    assert positions(everything(log)) == [first, position, second.result()[0]]
    assert log.head() == second.result()[0]


def test_what_was_rolled_back_leaves_nothing(log: EventLog, database: Database) -> None:
    (first,) = insert(log, 1)
    with database.uncommitted_insert():
        pass
    assert log.head() == first
    (second,) = insert(log, 1)
    assert positions(everything(log)) == [first, second]


# ---- one call, one transaction -----------------------------------------------------


@pytest.mark.parametrize("where", ["stored before", "within the call"])
def test_a_version_that_exists_rejects_the_whole_call(log: EventLog, where: str) -> None:
    stream, other = uuid4(), uuid4()
    insert(log, 1, 2, stream=stream)
    log.insert_tracking(Tracking("somebody", 1))
    before = everything(log)
    twice = events(stream, 2) if where == "stored before" else events(other, 1)
    with pytest.raises(IntegrityError):
        log.insert_events(
            [*events(other, 1), *twice, *events(other, 2)], tracking=Tracking("somebody", 2)
        )
    assert everything(log) == before
    assert log.select_events(other) == []
    assert log.max_tracking_id("somebody") == 1
    assert insert(log, 1, 2, stream=other)[0] > before[-1].id


def test_tracking_goes_with_its_events(log: EventLog) -> None:
    assert log.max_tracking_id("somebody") is None
    log.insert_events(events(uuid4(), 1), tracking=Tracking("somebody", 5))
    assert log.max_tracking_id("somebody") == 5
    log.insert_events([], tracking=Tracking("somebody", 6))
    assert log.max_tracking_id("somebody") == 6
    log.insert_events(events(uuid4(), 1), tracking=Tracking("another", 1))
    assert (log.max_tracking_id("somebody"), log.max_tracking_id("another")) == (6, 1)


@pytest.mark.parametrize("place", [5, 6])
def test_a_place_that_does_not_move_on_rejects_the_whole_call(log: EventLog, place: int) -> None:
    log.insert_tracking(Tracking("somebody", 6))
    stream = uuid4()
    with pytest.raises(IntegrityError):
        log.insert_events(events(stream, 1), tracking=Tracking("somebody", place))
    with pytest.raises(IntegrityError):
        log.insert_tracking(Tracking("somebody", place))
    assert log.select_events(stream) == []
    assert log.max_tracking_id("somebody") == 6


def test_no_events_are_no_transaction(log: EventLog) -> None:
    assert not log.insert_events([])
    assert log.head() == 0


# ---- streams -----------------------------------------------------------------------


def test_versions_may_have_gaps(log: EventLog) -> None:
    stream = uuid4()
    insert(log, 3, 10_000_001, stream=stream)
    insert(log, 7, stream=stream)
    insert(log, 5)

    def versions(**window: Any) -> list[int]:
        return [e.originator_version for e in log.select_events(stream, **window)]

    assert versions() == [3, 7, 10_000_001]
    assert versions(gt=3) == [7, 10_000_001]
    assert versions(gt=2, lte=7) == [3, 7]
    assert versions(desc=True, limit=1) == [10_000_001]
    assert versions(limit=2) == [3, 7]
    assert versions(gt=10_000_001) == []


def test_events_come_back_as_they_were(dsn: str, log: EventLog) -> None:
    stream = uuid4()
    stored = [
        StoredEvent(stream, 1, READ, bytes(range(256))),
        StoredEvent(stream, 2, "ring.hotlist.staged", b""),
        StoredEvent(stream, 3, "ring.ñandú", bytes(600_000)),
    ]
    log.insert_events(stored)
    with closing(open_log(dsn)) as again:
        assert list(again.select_events(stream)) == stored
        found = everything(again)
    assert [(n.originator_id, n.originator_version, n.topic, n.state) for n in found] == [
        (e.originator_id, e.originator_version, e.topic, e.state) for e in stored
    ]
    assert {type(n.state) for n in found} == {bytes}
    assert {type(n.originator_id) for n in found} == {UUID}


# ---- reading by position -----------------------------------------------------------


@pytest.fixture
def mixed(log: EventLog, database: Database) -> list[tuple[int, str]]:
    """Events of three topics with a hole in the positions: (position, topic)."""
    topics = [READ, READ, "ring.alert.raised", READ, "ring.reader.silent"] * 4
    group = [StoredEvent(uuid4(), 1, topic, b"x") for topic in topics]
    given = log.insert_events(group) or []
    database.delete(given[7])
    return [pair for pair in zip(given, topics, strict=True) if pair[0] != given[7]]


def test_every_window_of_notifications(log: EventLog, mixed: list[tuple[int, str]]) -> None:
    first, last = mixed[0][0], mixed[-1][0]
    topics = ((), ("ring.alert.raised",), ("ring.alert.raised", "ring.reader.silent"), (READ,))
    topics += (("ring.alert.raised", READ), ("ring.nothing",))
    windows = itertools.product(
        (None, 0, first, first + 7, last, last + 1),
        (None, first + 1, first + 7, last + 5),
        (1, 4, 100),
        topics,
        (True, False),
    )
    for start, stop, limit, wanted, inclusive in windows:
        expected = [
            position
            for position, topic in mixed
            if (start is None or position > start or (inclusive and position == start))
            and (stop is None or position <= stop)
            and (not wanted or topic in wanted)
        ]
        found = log.select_notifications(start, limit, stop, wanted, inclusive_of_start=inclusive)
        assert positions(found) == expected[:limit]


def test_positions_are_found_and_those_that_are_gone_left_out(
    log: EventLog, mixed: list[tuple[int, str]]
) -> None:
    last = mixed[-1][0]
    wanted = [last, mixed[2][0], mixed[2][0], mixed[6][0] + 1, last + 100, 0]
    assert positions(log.select_positions(wanted)) == [mixed[2][0], last]
    assert log.select_positions([]) == []


def test_which_streams_have_an_event(log: EventLog) -> None:
    here, there, nowhere = uuid4(), uuid4(), uuid4()
    insert(log, 1, 2, stream=here)
    insert(log, 4, stream=there)
    assert log.select_known([here, nowhere, there, here]) == {here, there}
    assert log.select_known([nowhere]) == set()
    assert log.select_known([]) == set()


def test_a_few_events_are_found_between_many_reads_by_their_own_index(
    log: EventLog, database: Database
) -> None:
    insert(log, *range(1, 10_001))
    insert(log, 1, topic="ring.alert.raised")
    insert(log, *range(1, 10_001))
    page = (0, 100, None, ["ring.alert.raised"])
    assert len(log.select_notifications(*page)) == 1
    reads = min(_seconds(lambda: log.select_notifications(0, 20_000)) for _ in range(3))
    few = min(_seconds(lambda: log.select_notifications(*page)) for _ in range(5))
    # A scan of all 20,000 costs about a fifth of reading them.
    assert few < reads / 10


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


# ---- identity ----------------------------------------------------------------------


def test_a_log_keeps_its_identity(dsn: str, log: EventLog, new_store: NewStore) -> None:
    assert str(UUID(log.log_id)) == log.log_id
    with closing(open_log(dsn)) as again, closing(open_log(new_store())) as other:
        assert again.log_id == log.log_id
        assert other.log_id != log.log_id


def test_many_may_make_the_log_at_once(dsn: str) -> None:
    barrier = threading.Barrier(6)

    def make() -> str:
        barrier.wait()
        with closing(open_log(dsn)) as log:
            insert(log, 1)
            return log.log_id

    with ThreadPoolExecutor(6) as pool:
        made = [pool.submit(make) for _ in range(6)]
        assert len({future.result() for future in made}) == 1
    with closing(open_log(dsn)) as log:
        assert len(everything(log)) == 6


def test_a_log_is_adopted_with_its_positions(
    log: EventLog, new_store: NewStore, mixed: list[tuple[int, str]]
) -> None:
    with closing(open_log(new_store())) as other:
        page = everything(log)
        other.adopt(page[:9])
        other.adopt(page[9:])
        assert everything(other) == page
        assert other.head() == log.head()
        assert insert(other, 1)[0] > page[-1].id


def test_half_of_a_log_takes_no_events(log: EventLog) -> None:
    with log.filling(), pytest.raises(Unavailable, match="being restored"):
        insert(log, 1)
    assert list(insert(log, 1)) == [1]
    with pytest.raises(StateForbids, match="not empty"), log.filling():
        pass
    assert list(insert(log, 1)) == [2]


def test_a_log_that_was_not_filled_to_its_end_takes_no_events(log: EventLog) -> None:
    with pytest.raises(OSError, match="no more"), log.filling():
        raise OSError("no more")
    with pytest.raises(Unavailable, match="cut short"):
        insert(log, 1)
    with pytest.raises(StateForbids, match="cut short"), log.filling():
        pass


# ---- word of growth ----------------------------------------------------------------


def settle(event: threading.Event) -> None:
    """Until nothing has been told for a while: one change may be told twice."""
    deadline = time.monotonic() + 60
    event.clear()
    while event.wait(0.3):
        assert time.monotonic() < deadline, "it calls for ever"
        event.clear()


@contextmanager
def told(log: EventLog) -> Iterator[threading.Event]:
    """Set whenever the log says that it has grown."""
    event = threading.Event()
    growth = log.growth(event.set)
    try:
        assert event.wait(60), "it also calls when it begins"
        settle(event)
        yield event
    finally:
        growth.stop()


def test_growth_is_told_across_connections(dsn: str, log: EventLog) -> None:
    with told(log) as grown, closing(open_log(dsn)) as other:
        for number in range(1, 4):
            insert(other, number)
            assert grown.wait(60)
            settle(grown)
    insert(log, 1)
    assert not grown.wait(0.4)


def test_growth_is_told_across_processes(dsn: str, log: EventLog) -> None:
    seen: list[int] = []
    growth = log.growth(lambda: seen.append(log.head()))
    process = writer(dsn, uuid4(), 1)
    process.communicate()
    assert process.returncode == 0
    wait_until(lambda: bool(seen) and seen[-1] == log.head() > 0)
    growth.stop()


def writer(dsn: str, stream: UUID, transactions: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.contract.writer", dsn, str(stream), str(transactions)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_follower_misses_nothing_of_writers_at_once(dsn: str, log: EventLog) -> None:
    streams = [uuid4(), uuid4()]
    processes = [writer(dsn, stream, 50) for stream in streams]
    # Two more in this process: together they keep the log busy.
    here = [uuid4(), uuid4()]
    followed: list[Notification] = []

    def follow(until: Callable[[], bool]) -> None:
        position = 0
        while True:
            done = until()
            page = log.select_notifications(position, 7, inclusive_of_start=False)
            followed.extend(page)
            if page:
                assert page[-1].id <= log.head()
                position = page[-1].id
            elif done:
                return

    def write(stream: UUID) -> None:
        with closing(open_log(dsn)) as own:
            for number in range(50):
                insert(own, *range(number * 3 + 1, number * 3 + 4), stream=stream)

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, stream) for stream in here]

        def finished() -> bool:
            return all(f.done() for f in writing) and all(p.poll() is not None for p in processes)

        pool.submit(follow, finished).result(120)
        for future in writing:
            future.result()
    counts = dict.fromkeys(here, 150)
    for stream, process in zip(streams, processes, strict=True):
        out, _ = process.communicate()
        assert process.returncode == 0
        counts[stream] = int(out)
    assert positions(followed) == sorted(set(positions(followed)))
    for stream, count in counts.items():
        versions = [n.originator_version for n in followed if n.originator_id == stream]
        assert versions == list(range(1, count + 1))


# ---- opening -----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "RING_"])
def test_only_the_dsn_says_how_the_log_is_opened(
    dsn: str, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    for name, value in {
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
        "POSTGRES_DBNAME": "elsewhere",
        "POSTGRES_SCHEMA": "elsewhere",
        "SQLITE_DBNAME": "elsewhere",
        "PERSISTENCE_MODULE": "eventsourcing.popo",
        "PROCESS_RECORDER_TOPIC": "eventsourcing.popo:POPOProcessRecorder",
        "CREATE_TABLE": "n",
    }.items():
        monkeypatch.setenv(prefix + name, value)
    ring = Ring(dsn)
    try:
        insert(ring.event_log, 1)
        datastore: Any = ring.event_log.datastore  # type: ignore[attr-defined]
        assert not getattr(datastore, "enable_db_functions", False)
        with closing(open_log(dsn)) as log:
            assert not getattr(datastore, "enable_db_functions", False)
            assert log.log_id == ring.event_log.log_id
            assert log.head() == ring.event_log.head() == 1
    finally:
        ring.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "events.sqlite",
        "sqlite:///",
        "mysql://localhost/ring",
        "postgresql://localhost/ring?colour=blue",
    ],
)
def test_what_is_no_dsn_is_refused_in_one_line(dsn: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^RING_EVENT_STORE.*$"):
        open_log(dsn)


def test_a_store_that_can_not_be_opened_is_named_in_one_line(tmp_path: Any) -> None:
    nobody = f"postgresql:///ring?host={tmp_path}&password=secret"
    with pytest.raises(Unavailable, match=r"^RING_EVENT_STORE can't be opened: .*$") as caught:
        open_log(nobody)
    assert "secret" not in str(caught.value)
    with pytest.raises(Unavailable, match=r"^RING_EVENT_STORE can't be opened: .*$"):
        open_log(f"sqlite:///{tmp_path}")


# ---- who writes --------------------------------------------------------------------


def test_one_at_a_time_may_claim_to_write(dsn: str, log: EventLog) -> None:
    log.claim()
    with closing(open_log(dsn)) as other:
        with pytest.raises(StateForbids, match="another server writes to this event log"):
            other.claim()
        assert insert(other, 1)  # it keeps servers apart, not restores or commands
    log.close()
    with closing(open_log(dsn)) as other:
        other.claim()


def test_a_closed_log_makes_nobody_wait(log: EventLog) -> None:
    log.head()
    log.close()
    began = time.monotonic()
    with pytest.raises((PersistenceError, ConnectionPoolClosedError)):
        insert(log, 1)
    assert time.monotonic() - began < 10
