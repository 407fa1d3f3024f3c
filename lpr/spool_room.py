"""Transactions on a spool's file that find room for themselves: pictures go, reads never.

Always true here: a picture is dropped only to make room, oldest first, counted, and told at once
but at most once an hour; a transaction that finds no room leaves everything as it was; the file
grows only while the reserve is there. For pages that are committed but can't be moved into the
database, because the disk is full, would fill the write-ahead file too, and then nothing could be
forgotten any more: what the reserve makes room for is that they can.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from lpr.errors import SpoolFullError
from lpr.spool_file import SpoolFile

AT_ONCE = 128 * 1024
"""Bytes of pictures that are dropped at a time on a full disk."""
SLACK = 32
"""Pages that removing rows may take before it gives pages back: the trees are balanced."""
TELL_AGAIN = 3600.0
"""Seconds."""
_log = logging.getLogger("lpr.spool")
_T = TypeVar("_T")


class Room:
    """The room that a spool's file has.

    picture_bytes: the most that waiting pictures may take. max_bytes: the most that the file may
    take in all, None: as much as its disk has; it counts from `restrict` on.
    """

    def __init__(self, file: SpoolFile, *, picture_bytes: int, max_bytes: int | None) -> None:
        self._file = file
        self._picture_bytes = picture_bytes
        self._max_bytes = max_bytes
        self._restricted = self._frozen = False
        self._told = float("-inf")
        self._noted = 0
        self.dropped = 0
        """Pictures that went undelivered since the spool was opened."""

    def restrict(self) -> None:
        """From now on `max_bytes` counts, and nothing grows without the reserve."""
        self._restricted = True
        self._frozen = not self._file.keep_reserve()
        self._limit()

    def recover(self) -> bool:
        """Lets the file grow again where the disk has room again; whether it did."""
        if self._frozen:
            self.restrict()
            return not self._frozen
        return False

    def write(self, work: Callable[[], _T]) -> _T:
        """Runs `work` in a transaction, again after each thing that may have made room.

        Raises SpoolFullError where nothing is left to let go of.
        """
        ways = self._ways()
        while True:
            before = self.dropped
            try:
                with self._file.transaction():
                    done = work()
            except SpoolFullError:
                self.dropped = before
                if next(ways, None) is None:
                    raise
            else:
                self._tell()
                return done

    def write_less(self, work: Callable[[], _T], slack: int = SLACK) -> _T:
        """The same for what takes room only while it runs, and frees more: it gets some beyond."""
        self._limit(slack)
        try:
            return self.write(work)
        finally:
            self._limit()

    def trim_pictures(self) -> None:
        """Within a transaction: drops the oldest pictures beyond what pictures may take."""
        total = int(self._file.run("picture_totals").fetchone()[1])
        if total > self._picture_bytes:
            self._drop(total - self._picture_bytes)

    def gone(self, pictures: int) -> None:
        """Counts pictures that were not even taken."""
        self.dropped += pictures
        self._tell()

    # ---- within ------------------------------------------------------------

    def _ways(self) -> Iterator[str]:
        """Does one thing after another that may make room, gentlest first."""
        self._file.checkpoint()
        if self.recover():
            yield "the disk has room again"
        if not self._frozen and not self._file.at_limit():
            self._file.release_reserve()
            self._file.checkpoint()
            self._frozen = True
            self._limit()
        yield "the write-ahead file begins anew"
        while self._drop_some():
            yield "pictures dropped"

    def _limit(self, slack: int = 0) -> None:
        if self._restricted:
            self._file.limit(0 if self._frozen else self._max_bytes, slack)

    def _drop_some(self) -> bool:
        """Drops the oldest pictures; False where none went."""
        before = self.dropped
        self._limit(SLACK)
        try:
            with self._file.transaction():
                self._drop(AT_ONCE)
        except SpoolFullError:
            self.dropped = before
            return False
        finally:
            self._limit()
        self._file.checkpoint()
        return self.dropped > before

    def _drop(self, size: int) -> None:
        while size > 0:
            oldest = self._file.run("oldest_picture").fetchone()
            if oldest is None:
                return
            self._file.run("forget_picture", sha256=oldest[0])
            self.dropped += 1
            size -= int(oldest[1])

    def _tell(self) -> None:
        if self.dropped == self._noted or time.monotonic() < self._told + TELL_AGAIN:
            return
        self._told, self._noted = time.monotonic(), self.dropped
        _log.warning(
            "the spool %s is short of room: %d of the oldest waiting pictures dropped so far, "
            "reads are kept; make room on its disk, or raise LPR_SPOOL_PICTURE_MIB or "
            "LPR_SPOOL_MAX_MIB",
            self._file.path.parent,
            self.dropped,
        )
