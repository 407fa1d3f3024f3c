"""The spool's file: one process at a time, durable transactions, named statements.

Always true here: the folder's lock is held while the file is open; every transaction is on disk
when it returns (WAL, synchronous=FULL); what is removed is overwritten; an SQLite error leaves as
a SpoolError of one line, and a lack of room as a SpoolFullError. A reserve lies beside the database
while the disk has room for it, larger than the write-ahead file grows: on a full disk even dropping
something has to be written first, and letting go of the reserve makes the room for that.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpr.errors import SpoolError, SpoolFullError

DATABASE = "spool.sqlite"
RESERVE, RESERVE_BYTES = "reserve", 2 * 1024 * 1024
"""A file that is there to be let go of, and its size."""
CHECKPOINT_PAGES = 128
"""Pages of 4 KiB in the write-ahead file after which they go into the database."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
# A quota and a limit on files reach us as SQLITE_IOERR_WRITE: SQLite knows ENOSPC alone.
_ALL_PAGES = 2**32 - 2
"""The most that SQLite allows."""
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
            self._has_reserve = (folder / RESERVE).exists()
            try:
                self._connection = self._connect(folder)
            except SpoolFullError:
                self.release_reserve()
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
        except (sqlite3.Error, OSError) as error:
            if _is_full(error):
                raise self._full(error) from error
            raise SpoolError(
                f"the spool {self.path.parent} can't be written ({error}); look at its disk and "
                "who may write there, nothing that it holds is lost"
            ) from error

    def close(self) -> None:
        """Closes the file, then lets go of the folder."""
        self._connection.close()
        self._lock.close()

    # ---- room --------------------------------------------------------------

    def limit(self, size: int | None, slack: int = 0) -> None:
        """The most bytes that the file may take; None: as many as the disk has, 0: no more.

        slack: pages beyond that. A file that is larger already stays so, and grows no further.
        What the process may write to a file (RLIMIT_FSIZE) is a limit too.
        """
        page = self._pragma("page_size")
        pages = _ALL_PAGES if size is None else size // page or self._pragma("page_count")
        soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if soft != resource.RLIM_INFINITY:
            pages = min(pages, max(1, soft // page))
        self._connection.execute(f"PRAGMA max_page_count = {min(pages + slack, _ALL_PAGES)}")

    def at_limit(self) -> bool:
        """Whether the file is as large as `limit` allows."""
        return self._pragma("page_count") >= self._pragma("max_page_count")

    def checkpoint(self) -> None:
        """Has the write-ahead file begin anew, as far as that can be."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def keep_reserve(self) -> bool:
        """Makes the reserve where it is missing; False where the disk has no room for it."""
        if self._has_reserve:
            return True
        path = self.path.with_name(RESERVE)
        try:
            space = os.statvfs(path.parent)
            if space.f_bavail * space.f_frsize < 2 * RESERVE_BYTES:
                return False
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            self._has_reserve = True
        except OSError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return self._has_reserve

    def release_reserve(self) -> None:
        """Lets the disk have the reserve's room."""
        with suppress(OSError):
            self.path.with_name(RESERVE).unlink()
        self._has_reserve = False

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _full(self, error: Exception) -> SpoolFullError:
        """The one line that a person sees."""
        return SpoolFullError(
            f"the spool {self.path.parent} is full ({error}): make room on its disk, or raise "
            "LPR_SPOOL_MAX_MIB; nothing that it holds is lost"
        )

    # ---- within ------------------------------------------------------------

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
        with suppress(OSError):  # For people's eyes only: a full disk may do without.
            os.ftruncate(self._lock.fileno(), 0)
            os.write(self._lock.fileno(), str(os.getpid()).encode())

    def _connect(self, folder: Path) -> sqlite3.Connection:
        connection = None
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {RESERVE_BYTES // 2}")
            connection.executescript(SQL["schema"])
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            if _is_full(error):
                raise self._full(error) from error
            raise SpoolError(
                f"the spool {folder} can't be opened ({error}); move the folder aside, "
                "keep it as evidence, and start again"
            ) from error
        return connection


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _FULL or code & 0xFF == sqlite3.SQLITE_FULL


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
