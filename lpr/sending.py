"""Joins a session to the server: each read into the spool, the uplink in a thread of its own.

Always true here: the camera side never waits for the network, nor for the disk; when the run ends,
what the server has not acknowledged is in the spool, and somebody was told.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from functools import partial

import grpc

from lpr.errors import SpoolError, UplinkError
from lpr.holding import Holding
from lpr.output import say
from lpr.pipeline import jpeg
from lpr.reading import CapturedRead, to_plate_read
from lpr.session import Session
from lpr.spool import Appended, Spool
from lpr.uplink import Uplink

LAST_WORDS = 5.0
"""Seconds a camera's reader, or one that is interrupted, may take to deliver the rest."""


class UplinkThread:
    """An uplink that runs in a thread. `failed` is called from it when it ends with an error."""

    def __init__(self, uplink: Uplink, *, wait: float | None, failed: Callable[[], None]) -> None:
        self._uplink = uplink
        self._wait = wait
        self._failed = failed
        self._error: BaseException | None = None
        self._stop: Callable[[], object] = lambda: None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="uplink", daemon=True)
        self._thread.start()
        self._started.wait()

    def check(self) -> None:
        """Raises what ended the uplink, if anything did."""
        if self._error is not None:
            raise self._error

    def finish(self, limit: float | None = None) -> bool:
        """Delivers the rest, for at most `limit` seconds. False where the time was too short."""
        self._uplink.finish()
        self._thread.join(limit)
        if not self._thread.is_alive():
            return True
        self._stop()
        self._thread.join()
        return False

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except asyncio.CancelledError:
            return
        except BaseException as error:
            self._error = error
            self._failed()
        finally:
            self._started.set()

    async def _run(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        self._started.set()
        await self._uplink.run(wait=self._wait)


class Line:
    """From the camera side to the server: what is given to `send` is kept, then delivered.

    wait: for a finite source, how long the server may stay silent at the end, in seconds.
    credentials: plaintext where there are none.
    """

    def __init__(
        self,
        session: Session,
        spool: Spool,
        *,
        server: str,
        wait: float,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._spool = spool
        self._live = session.live
        self._wait = wait
        self.holding = Holding(spool, patient=not session.live)
        self.uplink = Uplink(spool, server, health=session.health, credentials=credentials)

        def failed() -> None:
            self.holding.hurry()
            session.stop()

        self._thread = UplinkThread(self.uplink, wait=None if self._live else wait, failed=failed)

    def send(self, one: CapturedRead, lane: str, stored: Callable[[Appended], None]) -> None:
        """Keeps a read, and calls `stored` once it is on disk. Raises what ended the uplink."""
        crop = jpeg(one.crop)
        sha256 = hashlib.sha256(crop).digest() if crop else b""
        self.holding.put(to_plate_read(one, lane=lane, crop_sha256=sha256), crop, stored)
        self._thread.check()

    def close(self, *, whole: bool) -> bool:
        """Delivers the rest; what can't be is told. False where a read could not even be kept.

        whole: a finite source has come to its end; else there is no time to wait.
        """
        kept = True
        try:
            self.holding.close(self._wait if whole else LAST_WORDS)
        except SpoolError as error:
            say(str(error), error=True)
            kept = False
        finally:
            if not self._thread.finish(None if whole else LAST_WORDS) and self._spool.depth():
                say(_kept(self._spool))
        return kept

    def check(self) -> None:
        """Raises what ended the uplink, with how many reads wait."""
        try:
            self._thread.check()
        except UplinkError as error:
            raise type(error)(f"{error}; {_kept(self._spool)}") from error


def deliver(
    session: Session,
    line: Line,
    *,
    lane: str,
    show: Callable[[CapturedRead, Appended], None],
) -> bool:
    """Runs a session to its end, and its reads to the server.

    show: called with each read and its place, once it is in the spool. Returns whether every read
    was kept. Raises what ended the uplink; the reads are in the spool then.
    """
    whole = kept = False
    try:
        for one in session.reads():
            line.send(one, lane, partial(show, one))
        whole = not session.live
    except UplinkError:
        pass  # Told below, once it is known how many reads are kept.
    finally:
        kept = line.close(whole=whole)
    line.check()
    return kept


def _kept(spool: Spool) -> str:
    depth = spool.depth()
    return f"{depth} read{'' if depth == 1 else 's'} kept in {spool.path}, to be sent next time"
