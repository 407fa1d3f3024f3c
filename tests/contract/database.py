"""The database under an event log, as another client of it sees it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg


class Database:
    """One connection that commits each statement, unless it is in `uncommitted_insert`."""

    def __init__(self, dsn: str) -> None:
        self._sqlite = dsn.startswith("sqlite:///")
        if self._sqlite:
            path = dsn.removeprefix("sqlite:///")
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
            self._table, self._position = "stored_events", "position"
        else:
            self._connection = psycopg.connect(dsn, autocommit=True)
            self._table, self._position = "ring_events", "notification_id"

    def close(self) -> None:
        self._connection.close()

    def delete(self, position: int) -> None:
        """Removes the event at a position."""
        self._run(f"DELETE FROM {self._table} WHERE {self._position} = {position}")

    def delete_from(self, position: int) -> None:
        """Removes a tail of the log."""
        self._run(f"DELETE FROM {self._table} WHERE {self._position} >= {position}")

    @contextmanager
    def uncommitted_insert(self) -> Iterator[Callable[[], int]]:
        """An event that has its position and is not committed; rolled back where it never is.

        Yields a function that tells its position.
        """
        self._run("BEGIN")
        stream = uuid4().hex if self._sqlite else str(uuid4())
        try:
            cursor = self._run(
                f"INSERT INTO {self._table} (originator_id, originator_version, topic, state) "
                f"VALUES ('{stream}', 1, 'ring.read', 'x') RETURNING {self._position}"
            )
            position = cursor.fetchone()[0]
            yield lambda: position
        finally:
            if self._open():
                self._run("ROLLBACK")

    def commit(self) -> None:
        """Commits what is open."""
        self._run("COMMIT")

    def _open(self) -> bool:
        if isinstance(self._connection, sqlite3.Connection):
            return self._connection.in_transaction
        return self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def _run(self, statement: str):
        return self._connection.execute(statement)
