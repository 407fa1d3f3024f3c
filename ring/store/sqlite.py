"""The event log on SQLite: the embedded default.

Always true here: one process writes, any number read; a commit is on the disk before it is
reported (WAL with synchronous=FULL).
"""

import fcntl
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

# The library takes the only factory class it finds in this module.
import eventsourcing.sqlite as library
from eventsourcing.persistence import (
    IntegrityError,
    Notification,
    OperationalError,
    PersistenceError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
)
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteProcessRecorder,
)
from eventsourcing.utils import retry

from ring.errors import StateForbids, Unavailable
from ring.store.log import CLAIMED, EventLog, Growth, NoRoomError
from ring.store.statements import statements

_SQL = statements("sqlite")
_READ = "ring.read"
_END = 2**63 - 1
_POLL_SECONDS = 0.02
_PAGE_BYTES = 4096
_FULL = sqlite3.SQLITE_FULL


class _Pool(SQLiteConnectionPool):
    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA cache_size=-65536")
        return connection


class SQLiteEventLog(SQLiteProcessRecorder, EventLog):
    """The adapter. Made by `Factory`, or alone by `open_log`."""

    def __init__(self, datastore: SQLiteDatastore, *, events_table_name: str = "stored_events"):
        super().__init__(datastore, events_table_name=events_table_name)
        self._inserting = threading.Lock()
        self._log_id: str | None = None
        self._path: str = datastore.pool.db_name
        self._claim: TextIO | None = None
        self._max_bytes = 0

    def construct_create_table_statements(self) -> list[str]:
        """The schema: the library's tracking table, our own events table."""
        inherited = super().construct_create_table_statements()
        tracking = [s for s in inherited if "stored_events" not in s]
        ours = ("create_events", "create_topic_index", "create_identity")
        return tracking + [_SQL[name] for name in ours]

    @retry((IntegrityError, OperationalError), max_attempts=40, wait=0.05)
    def create_table(self) -> None:
        """The schema, and the log's identity where it has none."""
        # Tried again, for somebody else may be making it: SQLite does not wait for the change to
        # WAL, and the library not for the tracking table.
        super().create_table()

    def _create_table(self, c: SQLiteCursor) -> None:
        super()._create_table(c)
        c.execute(_SQL["identify"], (str(uuid4()),))

    @property
    def log_id(self) -> str:
        """UUID of this log."""
        if self._log_id is None:
            with self.datastore.transaction(commit=False) as c:
                c.execute(_SQL["select_identity"])
                self._log_id = str(c.fetchone()[0])
        return self._log_id

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """One transaction. NoRoomError on a full disk, or at the limit."""
        try:
            with self._inserting:
                self.check_filled()
                return super().insert_events(stored_events, **kwargs)
        except OperationalError as error:
            # Told when the rows are written, or only by the commit.
            cause = error.__cause__
            if not isinstance(cause, sqlite3.Error) or cause.sqlite_errorcode != _FULL:
                raise
        way = ", or raise RING_EVENT_STORE_MAX_MIB" if self._max_bytes else ""
        raise NoRoomError(f"no room for the event log: make room on its disk{way}")

    def limit(self, max_bytes: int) -> None:
        """By SQLite's own count of pages."""
        self._max_bytes = max_bytes

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int]:
        # One statement for the whole group. In one transaction of the only writer,
        # AUTOINCREMENT numbers rows one after the other, so the last number tells all.
        count = len(stored_events)
        positions: Sequence[int] = ()
        if count:
            if self._max_bytes:
                c.execute(f"PRAGMA max_page_count={self._max_bytes // _PAGE_BYTES}")
            try:
                c.executemany(_SQL["insert_event"], _rows(stored_events))
            except sqlite3.IntegrityError as error:
                raise IntegrityError(error) from error
            c.execute(_SQL["select_last_position"])
            last = int(c.fetchone()[0])
            positions = range(last - count + 1, last + 1)
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return positions

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """As the library's, by position; topics other than ring.read by their own index."""
        params: dict[str, Any] = {
            "start": 0 if start is None else start + (not inclusive_of_start),
            "stop": _END if stop is None else stop,
            "limit": limit,
        }
        name = "select_page"
        if topics:
            params["topics"] = json.dumps(list(topics))
            name = "select_page_of_topics" + ("_with_reads" if _READ in topics else "")
        return self._select(name, params)

    def select_states(
        self, after: int, limit: int, stop: int | None = None
    ) -> list[tuple[int, str, bytes]]:
        """(position, topic, state) of the events after a position."""
        params = {"after": after, "stop": _END if stop is None else stop, "limit": limit}
        with self.datastore.transaction(commit=False) as cursor:
            # Plain tuples: the library's rows cost as much again as the reading.
            cursor.sqlite_cursor.row_factory = None
            cursor.execute(_SQL["select_states"], params)
            found: list[tuple[int, str, bytes]] = cursor.fetchall()
            return found

    def select_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions."""
        return self._select("select_positions", {"positions": json.dumps(list(positions))})

    def _select(self, name: str, params: dict[str, Any]) -> list[Notification]:
        with self.datastore.transaction(commit=False) as c:
            c.execute(_SQL[name], params)
            return [
                Notification(
                    id=row[0],
                    originator_id=UUID(hex=row[1]),
                    originator_version=row[2],
                    topic=row[3],
                    state=row[4],
                )
                for row in c.fetchall()
            ]

    def select_known(self, originator_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the streams that have an event."""
        with self.datastore.transaction(commit=False) as c:
            ids = json.dumps([id_.hex for id_ in originator_ids])
            c.execute(_SQL["select_known"], {"originator_ids": ids})
            return {UUID(hex=row[0]) for row in c.fetchall()}

    def head(self) -> int:
        """The highest position ever given."""
        with self.datastore.transaction(commit=False) as c:
            c.execute(_SQL["select_head"])
            row = c.fetchone()
            return int(row[0]) if row else 0

    def max_notification_id(self) -> int:
        """As `head`."""
        return self.head()

    def adopt(self, events: Sequence[Notification]) -> None:
        """Stores events of another log at the positions they had there."""
        rows = [
            (e.id, e.originator_id.hex, e.originator_version, e.topic, e.state)  # type: ignore[union-attr]
            for e in events
        ]
        with self.datastore.transaction(commit=True) as c:
            c.executemany(_SQL["adopt_event"], rows)

    def growth(self, on_growth: Callable[[], None]) -> Growth:
        """SQLite tells nobody: looks every few milliseconds."""
        return _Poller(self, on_growth)

    def claim(self) -> None:
        """A lock on a file beside the database; it goes with the process."""
        self._claim = Path(f"{self._path}.lock").open("w")  # noqa: SIM115 - held until `close`
        try:
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateForbids(CLAIMED) from None

    def close(self) -> None:
        """Closes every connection, and gives up the claim."""
        self.datastore.close()
        if self._claim is not None:
            self._claim.close()


def _rows(events: Sequence[StoredEvent]) -> Iterator[tuple[str, int, str, bytes]]:
    # Events of one stream come together, and an id's digits take a while.
    id_, digits = None, ""
    for event in events:
        if event.originator_id is not id_:
            id_ = event.originator_id
            digits = id_.hex  # type: ignore[union-attr]
        yield digits, event.originator_version, event.topic, event.state


class _Poller(Growth):
    def __init__(self, log: SQLiteEventLog, on_growth: Callable[[], None]) -> None:
        self._log = log
        self._on_growth = on_growth
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log poller", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        seen = -1
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                head = self._log.head()
            except PersistenceError:
                continue  # who reads the log meets the same error, and tells of it
            if head != seen:
                seen = head
                self._on_growth()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join()


class Factory(library.SQLiteFactory):
    """What `PERSISTENCE_MODULE=ring.store.sqlite` brings."""

    process_recorder_class = SQLiteEventLog

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.datastore.close()
        self.datastore = datastore_of(str(self.env.get("SQLITE_DBNAME")))

    def process_recorder(self) -> ProcessRecorder:
        """The log, with its schema. Unavailable where it can't be made."""
        try:
            return super().process_recorder()
        except PersistenceError as error:
            self.close()
            raise Unavailable(f"RING_EVENT_STORE can't be opened: {error}") from error


def opened_copy(path: Path) -> SQLiteEventLog:
    """A log that nobody writes to, opened for reading. Its folder may be one for reading only."""
    return SQLiteEventLog(datastore_of(f"{path.as_uri()}?mode=ro&immutable=1"))


def datastore_of(path: str) -> SQLiteDatastore:
    """A datastore whose commits are durable. `path`: of the file, or an URI of SQLite's."""
    datastore = SQLiteDatastore(path, lock_timeout=30, pool_size=4, max_overflow=60)
    pool = datastore.pool
    datastore.pool = _Pool(
        db_name=path, lock_timeout=30, pool_size=4, max_overflow=60, pool_timeout=30
    )
    pool.close()
    return datastore
