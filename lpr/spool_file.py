"""The spool's file: one process at a time, durable transactions, named statements.

Always true here: the folder's lock is held while the file is open; every transaction is on disk
when it returns (WAL, synchronous=FULL); an SQLite error leaves as a SpoolError of one line.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpr.errors import SpoolError

DATABASE = "spool.sqlite"
SQL = {
    name: text.strip()
    for name, text in re.findall(
        r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)",
        Path(__file__).with_name("spool.sql").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
}
"""The statements of spool.sql by name."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of a spool. waiting: reads not acknowledged; acknowledged: up to where."""

    uuid: str
    reason: str
    created_at: str
    last_sequence: int
    acknowledged: int
    waiting: int
    current: bool


class SpoolFile:
    """The open database of a spool. Not safe for threads by itself: the spool guards it.

    Raises SpoolError where the folder can't be made, is in use, or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise SpoolError(
                f"the spool {folder} can't be made ({error.strerror}); "
                "choose another folder with LPR_SPOOL"
            ) from error
        try:
            self._take_lock(folder)
            self._connection = self._connect(folder)
        except BaseException:
            self._lock.close()
            raise

    def run(self, name: str, **values: Any) -> sqlite3.Cursor:
        """One named statement."""
        return self._connection.execute(SQL[name], values)

    def many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """One named statement for each row."""
        self._connection.executemany(SQL[name], rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it durable, or none of it. Raises SpoolError where the disk won't have it."""
        try:
            self.run("begin")
            try:
                yield
                self.run("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self.run("rollback")
                raise
        except sqlite3.Error as error:
            raise SpoolError(
                f"the spool {self.path.parent} can't be written ({error}); "
                "make room on its disk, nothing that it holds is lost"
            ) from error

    def close(self) -> None:
        """Closes the file, then lets go of the folder."""
        self._connection.close()
        self._lock.close()

    def _take_lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise SpoolError(
                f"the spool {folder} is in use by process {holder}; stop that one, "
                "or give this reader its own id or LPR_SPOOL"
            ) from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _connect(self, folder: Path) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(SQL["schema"])
        except sqlite3.Error as error:
            raise SpoolError(
                f"the spool {folder} can't be opened ({error}); move the folder aside, "
                "keep it as evidence, and start again"
            ) from error
        return connection


@dataclass(frozen=True)
class SpoolState:
    """What a spool on disk holds, as `lpr status` shows it."""

    path: Path
    notes: dict[str, str]
    epochs: list[Epoch]
    depth: int
    pictures: int


def inspect(folder: Path) -> SpoolState:
    """Looks into a spool without opening it: also while a reader is using it.

    Raises SpoolError where there is none.
    """
    path = folder / DATABASE
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return SpoolState(
                path=folder,
                notes=dict(database.execute(SQL["all_notes"]).fetchall()),
                epochs=epochs_of(database.execute(SQL["epochs"])),
                depth=int(database.execute(SQL["depth"]).fetchone()[0]),
                pictures=int(database.execute(SQL["picture_totals"]).fetchone()[0]),
            )
    except sqlite3.Error as error:
        raise SpoolError(
            f"no spool can be read in {folder} ({error}); name it with --reader or LPR_SPOOL"
        ) from error


def epochs_of(rows: Iterable[tuple[Any, ...]]) -> list[Epoch]:
    """The rows of the statement `epochs`."""
    return [
        Epoch(name, reason, created_at, last_sequence, acknowledged, waiting, bool(current))
        for name, reason, created_at, last_sequence, acknowledged, waiting, current in rows
    ]
