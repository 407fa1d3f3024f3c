"""What the log on PostgreSQL outlives: cut connections, a restart, groups of any size."""

import contextlib
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking

from proto.ring.v1.alert_pb2 import HotlistEntry
from ring.access import EVERY_ROLE
from ring.application import Ring
from ring.errors import Unavailable
from ring.importing import EntriesImport, remove_entries
from ring.rpc.clock import now
from ring.store import EventLog, open_log
from tests.conftest import Postgres


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def log(dsn: str) -> Iterator[EventLog]:
    with closing(open_log(dsn)) as log:
        yield log


def insert(log: EventLog, size: int = 1) -> int:
    (position,) = log.insert_events([StoredEvent(uuid4(), 1, "ring.read", bytes(size))]) or [0]
    return position


def run(dsn: str, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(statement).fetchall()


def cut(dsn: str, which: str = "true") -> int:
    """Ends connections of others to the database; how many."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    done = run(
        dsn, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others} AND {which}"
    )
    return len(done)


class Told:
    """Counts the calls of `growth`."""

    def __init__(self, log: EventLog) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self.growth = log.growth(self._call)
        self.wait(0)

    def _call(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float = 60.0) -> int:
        """Waits for more calls than `seen`; how many there were."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count > seen, seconds)
            return self._count

    def settle(self) -> int:
        time.sleep(0.3)
        return self._count


def test_the_listener_listens_again_when_its_connection_was_cut(dsn: str, log: EventLog) -> None:
    told = Told(log)
    for _ in range(2):
        before = told.settle()
        assert cut(dsn, "query ILIKE 'LISTEN%'") == 1
        # It calls out, for it may have missed something; then it hears of what comes.
        told.wait(before)
        before = told.settle()
        insert(log)
        told.wait(before)
    told.growth.stop()
    assert run(dsn, "SELECT 1 FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'") == []


def test_reading_and_writing_go_on_when_every_connection_was_cut(dsn: str, log: EventLog) -> None:
    first = insert(log)
    assert cut(dsn) >= 1
    second = insert(log)
    assert cut(dsn) >= 1
    assert [n.id for n in log.select_notifications(0, 10)] == [first, second]
    assert cut(dsn) >= 1
    log.insert_tracking(Tracking("somebody", 1))
    assert cut(dsn) >= 1
    assert log.head() == second
    assert log.max_tracking_id("somebody") == 1


def test_the_log_works_again_after_a_restart(postgres: Postgres, dsn: str, log: EventLog) -> None:
    told = Told(log)
    first = insert(log)
    identity = log.log_id
    postgres.stop()
    try:
        with pytest.raises(Unavailable, match="RING_EVENT_STORE can't be opened"):
            open_log(dsn)
        with ThreadPoolExecutor(2) as pool:
            writing, reading = pool.submit(insert, log), pool.submit(log.head)
            time.sleep(1)
            assert not writing.done()
            assert not reading.done()
            before = told.settle()
            postgres.start()
            # What was asked meanwhile waited.
            assert writing.result(20) > first
            assert reading.result(20) >= first
    finally:
        postgres.start()
    told.wait(before)
    before = told.settle()
    second = insert(log)
    told.wait(before)
    told.growth.stop()
    assert log.head() == second
    with closing(open_log(dsn)) as again:
        assert again.log_id == identity


class Forgetful:
    """Stands before PostgreSQL, on a socket of its own; once `armed`, the next commit is done, but
    whoever asked for it never hears of it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        there = psycopg.conninfo.conninfo_to_dict(dsn)
        name = f".s.PGSQL.{there.get('port', 5432)}"
        self._there = str(Path(str(there["host"])) / name)
        self.dsn = dsn.replace(str(there["host"]), str(folder))
        self.armed = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / name))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._there)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for end, other in ((client, server), (server, client)):
                    if end not in ready:
                        continue
                    if not (data := end.recv(1 << 16)):
                        return
                    other.sendall(data)
                    if self.armed and end is client and b"COMMIT" in data:
                        self.armed = False
                        server.recv(1 << 16)
                        return


def test_a_commit_that_nobody_heard_of_is_known_for_ones_own(dsn: str) -> None:
    # Under /tmp: the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="ring-pg-") as folder:
        between = Forgetful(dsn, Path(folder))
        with closing(Ring(between.dsn)) as ring:

            def begin() -> EntriesImport:
                return EntriesImport(
                    ring, EVERY_ROLE, "", "stolen", replace=True, create=True, now=now
                )

            importing, late = begin(), begin()
            importing.add([HotlistEntry(plate="AB123CD")])
            late.add([HotlistEntry(plate="ZZ999ZZ")])
            between.armed = True
            summary = importing.finish()
            assert not between.armed
            assert (summary.added, summary.position) == (1, ring.event_log.head())
            # What somebody else stored is not taken for one's own.
            with pytest.raises(IntegrityError):
                late.finish()
            hotlist = ring.find_hotlist("default", "stolen")
            assert hotlist is not None
            assert hotlist.entries == 1
            between.armed = True
            gone = remove_entries(ring, EVERY_ROLE, "", "stolen", set(), {"AB123CD"}, now)
            assert (gone.removed, gone.position) == (1, ring.event_log.head())
        between.close()


@pytest.mark.parametrize(("count", "size"), [(12_001, 300), (8, 1_000_000)])
def test_a_group_of_any_size_is_one_transaction(log: EventLog, count: int, size: int) -> None:
    stream = uuid4()
    group = [StoredEvent(stream, n, "ring.read", bytes(size)) for n in range(1, count + 1)]
    given = log.insert_events(group) or []
    assert list(given) == list(range(given[0], given[0] + count))
    again = [StoredEvent(uuid4(), 1, "ring.read", bytes(size)) for _ in range(count)]
    # Refused at its very end, nothing of it stays.
    with pytest.raises(Exception, match="duplicate key"):
        log.insert_events([*again, group[-1]])
    assert len(log.select_notifications(0, 100_000)) == count


def test_a_database_that_is_not_there_is_named(dsn: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with pytest.raises(Unavailable, match=r'"nowhere".*see that it runs there'):
        open_log(dsn.replace(f"/{name}?", "/nowhere?"))


def test_a_user_who_may_only_read_is_told_what_is_needed(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE reads_only LOGIN")
    try:
        for odd in ("user=reads_only", "options=-c%20default_transaction_read_only%3Don"):
            other = dsn.replace("postgres:@/", "/") if odd[:4] == "user" else dsn
            with pytest.raises(Unavailable, match="createdb --owner"):
                open_log(f"{other}&{odd}")
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP ROLE reads_only")


def test_everything_that_the_dsn_says_is_used(dsn: str) -> None:
    with closing(open_log(f"{dsn}&application_name=night_shift")):
        names = run(dsn, "SELECT DISTINCT application_name FROM pg_stat_activity")
        assert {"application_name": "night_shift"} in names


def test_the_few_other_events_are_read_by_their_index(dsn: str, log: EventLog) -> None:
    group = [StoredEvent(uuid4(), 1, "ring.read", b"x") for _ in range(5000)]
    group.append(StoredEvent(uuid4(), 1, "ring.alert.raised", b"x"))
    log.insert_events(group)
    for prepare in ("", "ANALYZE ring_events"):
        if prepare:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(prepare)
        plan = run(
            dsn,
            "EXPLAIN SELECT * FROM ring_events WHERE topic = ANY(ARRAY['ring.alert.raised']) "
            "AND topic <> 'ring.read' AND notification_id >= 0 ORDER BY notification_id LIMIT 9",
        )
        assert "ring_events_other" in str(plan)


def test_nothing_that_inserts_without_the_lock_lies_in_the_database(
    dsn: str, log: EventLog
) -> None:
    insert(log)
    functions = "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace"
    assert run(dsn, f"{functions} WHERE nspname = 'public'") == []


def test_a_claim_outlives_its_session(dsn: str, log: EventLog) -> None:
    log.claim()
    assert cut(dsn, "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')") == 1

    def holds() -> bool:
        return bool(run(dsn, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"))

    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
