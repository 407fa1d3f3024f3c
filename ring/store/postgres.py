"""The event log on PostgreSQL.

Always true here: inserts lock the table as the library's do, so positions become visible in order
(its "database functions" skip that lock and are never made); an insert that is tried again after
its connection broke either stores everything or meets its own first attempt as an IntegrityError.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

# The library takes the only factory class it finds in this module.
import eventsourcing.postgres as library
import psycopg
from eventsourcing.persistence import (
    InterfaceError,
    Notification,
    OperationalError,
    PersistenceError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from eventsourcing.utils import retry
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DiskFull
from psycopg.rows import dict_row, tuple_row
from psycopg.sql import SQL, Composed

from ring.errors import InvalidRequest, Unavailable
from ring.store.log import EventLog, Growth, NoRoomError
from ring.store.postgres_sessions import Claim, Listener, line
from ring.store.statements import statements

_SQL = statements("postgres")
_READ = "ring.read"
_END = 2**63 - 1
# Events of one statement: bounds what a statement holds in memory at both ends.
_CHUNK = 5000
_again = retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
# How long one of ten attempts waits for a connection, and how long the pool goes on with one of
# its own: short, for its pauses double, and nobody should wait for them once the database is back.
_CONNECTION_SECONDS = 1
_SEE = (
    "see that it runs there, and that user, password and database are right (in a password %40 is "
    "written for @, %3A for :, %2F for /, %23 for #, %25 for %)"
)
_NOT_ALLOWED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
_OWN = "it must be a database that may be written to, of the user's own: createdb --owner USER NAME"
# A host that went away without a word is noticed within a minute. The DSN may say otherwise.
_DEFAULTS: dict[str, Any] = {
    "application_name": "ring",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def persistence_env(dsn: str) -> dict[str, str]:
    """The environment of the library's factory. InvalidRequest on what is no DSN."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error as error:
        raise InvalidRequest(f"RING_EVENT_STORE: {line(error)}") from None
    return {
        "PERSISTENCE_MODULE": "ring.store.postgres",
        "POSTGRES_DSN": dsn,
        # Required by the library; `Factory` puts the DSN's own in their place.
        "POSTGRES_DBNAME": "",
        "POSTGRES_HOST": "",
        "POSTGRES_USER": "",
        "POSTGRES_PASSWORD": "",
        "POSTGRES_POOL_SIZE": "2",
        "POSTGRES_MAX_OVERFLOW": "30",
        "POSTGRES_CONNECT_TIMEOUT": str(_CONNECTION_SECONDS),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "n",
        "POSTGRES_SCHEMA": "public",
    }


class PostgresEventLog(PostgresProcessRecorder, EventLog):
    """The adapter. Made by `Factory`."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self._inserting = threading.Lock()
        self._log_id = ""
        self._claim: Claim | None = None
        # Whoever inserted through it would not take the lock.
        self.sql_create_statements.remove(self.sql_create_pg_function_insert_events)
        for name in ("create_other_index", "create_identity"):
            self.sql_create_statements.append(Composed([SQL(_SQL[name])]))

    def create_table(self) -> None:
        """The schema, and the log's identity where it has none."""
        # IF NOT EXISTS does not help two processes that come to an empty database at once.
        with self.datastore.get_connection() as connection:
            connection.execute(_SQL["lock_schema"])
            try:
                super().create_table()
                connection.execute(_SQL["identify"], {"log_id": str(uuid4())})
                row = connection.execute(_SQL["select_identity"]).fetchone()
            finally:
                connection.execute(_SQL["unlock_schema"])
        assert row is not None
        self._log_id = row["log_id"]

    @property
    def log_id(self) -> str:
        """UUID of this log."""
        return self._log_id

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """One transaction, without the library's pipeline: that hangs where much is sent.

        NoRoomError on a full disk.
        """
        with self._inserting:
            self.check_filled()
            positions: Sequence[int] = self._try_insert(stored_events, kwargs)
            return positions

    @_again
    def _try_insert(
        self, stored_events: Sequence[StoredEvent], kwargs: Mapping[str, Any]
    ) -> Sequence[int]:
        try:
            return self._insert_in_transaction(stored_events, kwargs)
        except OperationalError as error:
            if not isinstance(error.__cause__, DiskFull):
                raise
        # Of a kind that is not tried again: its readers do that, and are told why.
        raise NoRoomError("no room for the event log: make room on the database's disk")

    def _insert_in_transaction(
        self, stored_events: Sequence[StoredEvent], kwargs: Mapping[str, Any]
    ) -> Sequence[int]:
        positions: list[int] = []
        tracking: Tracking | None = kwargs.get("tracking")
        with self.datastore.transaction(commit=True) as cursor:
            if tracking is not None:
                self._insert_tracking(cursor, tracking)
            if stored_events:
                cursor.execute(_SQL["lock_events"])
            for start in range(0, len(stored_events), _CHUNK):
                chunk = stored_events[start : start + _CHUNK]
                columns = {
                    "ids": [event.originator_id for event in chunk],
                    "versions": [event.originator_version for event in chunk],
                    "topics": [event.topic for event in chunk],
                    "states": [event.state for event in chunk],
                }
                cursor.execute(_SQL["insert_events"], columns, prepare=True)
                positions += [row["notification_id"] for row in cursor]
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
        """As the library's; topics other than ring.read by their own index."""
        params: dict[str, Any] = {
            "start": 0 if start is None else start + (not inclusive_of_start),
            "stop": _END if stop is None else stop,
            "limit": limit,
        }
        name = "select_page"
        if topics:
            params["topics"] = list(topics)
            name = "select_page_of_topics" + ("_with_reads" if _READ in topics else "")
        return self._select(name, params)

    @_again
    def select_states(
        self, after: int, limit: int, stop: int | None = None
    ) -> list[tuple[int, str, bytes]]:
        """(position, topic, state) of the events after a position."""
        params = {"after": after, "stop": _END if stop is None else stop, "limit": limit}
        with (
            self.datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            cursor.execute(_SQL["select_states"], params, prepare=True)
            return cursor.fetchall()

    def select_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions."""
        return self._select("select_positions", {"positions": list(positions)})

    def _select(self, name: str, params: dict[str, Any]) -> list[Notification]:
        found: list[Notification] = self._try_select(name, params)
        return found

    @_again
    def _try_select(self, name: str, params: dict[str, Any]) -> list[Notification]:
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(_SQL[name], params, prepare=True)
            return [
                Notification(
                    id=row["notification_id"],
                    originator_id=row["originator_id"],
                    originator_version=row["originator_version"],
                    topic=row["topic"],
                    state=bytes(row["state"]),
                )
                for row in cursor.fetchall()
            ]

    @_again
    def select_known(self, originator_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the streams that have an event."""
        with self.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute(_SQL["select_known"], {"originator_ids": list(originator_ids)})
            return {row["originator_id"] for row in cursor.fetchall()}

    def head(self) -> int:
        """The highest position that can be seen.

        Not the sequence's last value: that may belong to an insert which is not committed, and a
        follower that believed it would pass over its events.
        """
        return self.max_notification_id() or 0

    def adopt(self, events: Sequence[Notification]) -> None:
        """Stores events of another log at the positions they had there."""
        with self.datastore.transaction(commit=True) as cursor:
            with cursor.copy(_SQL["adopt_events"]) as copy:
                for e in events:
                    copy.write_row((e.id, e.originator_id, e.originator_version, e.topic, e.state))
            cursor.execute(_SQL["adopt_position"])

    def growth(self, on_growth: Callable[[], None]) -> Growth:
        """LISTENs on a connection of its own."""
        return Listener(self._arguments(), on_growth)

    def limit(self, max_bytes: int) -> None:
        """Not here: a database's own quotas are for that."""
        raise InvalidRequest(
            "RING_EVENT_STORE_MAX_MIB is for SQLite: leave it out, and limit the database's disk"
        )

    def claim(self) -> None:
        """An advisory lock of a session of its own."""
        try:
            self._claim = Claim(self._arguments())
        except psycopg.Error as error:
            raise Unavailable(f"RING_EVENT_STORE can't be opened: {line(error)}") from None

    def _arguments(self) -> dict[str, Any]:
        arguments = self.datastore.pool.kwargs
        assert isinstance(arguments, dict)
        return arguments

    def close(self) -> None:
        """Closes every connection, and gives up the claim."""
        self.datastore.close()
        if self._claim is not None:
            self._claim.release()


class _Datastore(PostgresDatastore):
    """Closed, it makes nobody wait: what waits for a database that is away fails at once."""

    closed = False

    @contextmanager
    def get_connection(self) -> Iterator[psycopg.Connection[Any]]:
        if self.closed:
            # Of a kind that is not tried again.
            raise PersistenceError("the event log was closed")
        with super().get_connection() as connection:
            yield connection

    def close(self) -> None:
        self.closed = True
        super().close()


class Factory(library.PostgresFactory):
    """What `PERSISTENCE_MODULE=ring.store.postgres` brings."""

    process_recorder_class = PostgresEventLog

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.datastore.__class__ = _Datastore
        dsn = str(self.env.get("POSTGRES_DSN"))
        arguments = _DEFAULTS | conninfo_to_dict(dsn) | {"row_factory": dict_row}
        self.datastore.pool.kwargs = arguments
        self.datastore.pool.reconnect_timeout = _CONNECTION_SECONDS
        try:
            # The pool would try for a while, and not say what was wrong.
            psycopg.connect(**arguments).close()
        except psycopg.Error as error:
            raise Unavailable(f"RING_EVENT_STORE can't be opened: {line(error)}; {_SEE}") from None

    def process_recorder(self) -> ProcessRecorder:
        """The log, with its schema. Unavailable where it can't be made."""
        try:
            return super().process_recorder()
        except PersistenceError as error:
            self.close()
            way = f"; {_OWN}" if isinstance(error.__cause__, _NOT_ALLOWED) else ""
            raise Unavailable(f"RING_EVENT_STORE can't be opened: {line(error)}{way}") from error
