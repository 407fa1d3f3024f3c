"""Joins a session to the server: each read into the spool, the uplink in a thread of its own.

Always true here: the camera side never waits for the network; when the run ends, what the server
has not acknowledged is in the spool, and somebody was told.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from typing import Any

from lpr.errors import UplinkError
from lpr.output import say
from lpr.pipeline import jpeg
from lpr.reading import CapturedRead, to_plate_read
from lpr.session import Session
from lpr.spool import Spool
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


def deliver(
    session: Session,
    spool: Spool,
    *,
    server: str,
    lane: str,
    wait: float,
    show: Callable[[CapturedRead, dict[str, Any]], None],
) -> None:
    """Runs a session to its end, and its reads to the server.

    wait: for a finite source, how long the server may stay silent at the end, in seconds.
    Raises what ended the uplink; the reads are in the spool then.
    """
    uplink = Uplink(spool, server, health=session.health)
    line = UplinkThread(uplink, wait=None if session.live else wait, failed=session.stop)
    whole = False
    try:
        for one in session.reads():
            crop = jpeg(one.crop)
            message = to_plate_read(
                one, lane=lane, crop_sha256=hashlib.sha256(crop).digest() if crop else b""
            )
            where = spool.append([message], [crop] if crop else [])
            show(
                one,
                {
                    "reader": spool.reader_id,
                    "epoch": where.epoch,
                    "sequence": where.last,
                    "captured_at": one.captured_at.isoformat(),
                },
            )
            line.check()
        whole = not session.live
    except UplinkError:
        pass  # Told below, once it is known how many reads are kept.
    finally:
        if not line.finish(None if whole else LAST_WORDS) and spool.depth():
            say(_kept(spool))
    try:
        line.check()
    except UplinkError as error:
        raise type(error)(f"{error}; {_kept(spool)}") from error


def _kept(spool: Spool) -> str:
    depth = spool.depth()
    return f"{depth} read{'' if depth == 1 else 's'} kept in {spool.path}, to be sent next time"
