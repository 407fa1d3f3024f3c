"""Between camera and spool: reads go straight through, or wait in memory while the disk is full.

Always true here: reads reach the spool in the order they came, each once; while any waits, it is
tried again every RETRY seconds, whether or not others come; how many wait is told when it begins,
every TELL_AGAIN seconds, and when it is over; a read that can't even wait is counted and told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lpr.errors import SpoolFullError
from lpr.spool import Appended, Spool
from proto.ring.v1.ingest_pb2 import PlateRead

MOST = 10_000
"""Reads that may wait in memory: a few MiB."""
RETRY = 1.0
TELL_AGAIN = 60.0
"""Seconds."""
_log = logging.getLogger("lpr.holding")


@dataclass(frozen=True)
class _Held:
    read: PlateRead
    stored: Callable[[Appended], None]


class Holding:
    """Takes reads for a spool, whatever room the spool has.

    patient: whether `put` waits for room once `most` reads are held, for a source that can be
    stopped (a file); else that read is lost, for a camera goes on. retry: seconds.
    """

    def __init__(
        self, spool: Spool, *, patient: bool, most: int = MOST, retry: float = RETRY
    ) -> None:
        self._spool = spool
        self._patient = patient
        self._most = most
        self._retry = retry
        self._held: deque[_Held] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._told = 0.0
        self._error: Exception | None = None
        self.lost = 0
        """Reads that could not be kept."""

    def __len__(self) -> int:
        return len(self._held)

    def put(self, read: PlateRead, picture: bytes, stored: Callable[[Appended], None]) -> None:
        """Stores a read, at once or as soon as there is room; then calls `stored` with its place.

        picture: its JPEG, or empty; it is not kept while there is no room. Raises SpoolError
        where the spool is ill otherwise.
        """
        with self._changed:
            self._check()
            if not self._held:
                try:
                    where = self._spool.append([read], [picture] if picture else [])
                except SpoolFullError as error:
                    self._told = time.monotonic()
                    _log.warning("%s; 1 read waiting in memory, it is tried again", error)
                else:
                    stored(where)
                    return
            while self._patient and len(self._held) >= self._most:
                self._changed.wait(self._retry)
                self._check()
            if len(self._held) >= self._most:
                self.lost += 1
                self._tell(at_once=self.lost == 1)
                return
            self._held.append(_Held(read, stored))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holding", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Nothing will make room any more: `put` waits no longer. Thread-safe."""
        self._patient = False

    def close(self, limit: float) -> None:
        """Waits for room for what is held, at most `limit` seconds.

        Raises SpoolFullError with how many reads are lost, where any is.
        """
        until = time.monotonic() + limit
        with self._changed:
            while self._held and self._error is None and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._closed = True
            self._changed.notify_all()
            self.lost += len(self._held)
            self._held.clear()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._check()
        if self.lost:
            raise SpoolFullError(
                f"{_many(self.lost)} lost: the spool {self._spool.path} had no room for so long; "
                "make room on its disk, or raise LPR_SPOOL_MAX_MIB"
            )

    # ---- within ------------------------------------------------------------

    def _run(self) -> None:
        """Tries until nothing is held."""
        went_in = 0
        with self._changed:
            while self._held and not self._closed:
                self._changed.wait(self._retry)
                try:
                    while self._held:
                        where = self._spool.append([self._held[0].read])
                        went_in += 1
                        self._held.popleft().stored(where)
                except SpoolFullError:
                    self._tell()
                except Exception as error:
                    self._error = error
                    break
                self._changed.notify_all()
            if went_in and not self._held and self._error is None:
                _log.warning(
                    "the spool %s has room again: %s from memory went in",
                    self._spool.path,
                    _many(went_in),
                )
            self._thread = None
            self._changed.notify_all()

    def _tell(self, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() < self._told + TELL_AGAIN:
            return
        self._told = time.monotonic()
        _log.warning(
            "the spool %s is full: %s waiting in memory%s; make room on its disk, or raise "
            "LPR_SPOOL_MAX_MIB",
            self._spool.path,
            _many(len(self._held)),
            f", {_many(self.lost)} lost" if self.lost else "",
        )

    def _check(self) -> None:
        if self._error is not None:
            raise self._error


def _many(reads: int) -> str:
    return f"{reads} read{'' if reads == 1 else 's'}"
