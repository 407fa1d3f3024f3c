"""Delivers a spool to the server and forgets what the server has made durable, nothing else.

Always true here:
 - older epochs go first, one stream an epoch;
 - whatever ends a stream, the next one sends again all that was not acknowledged;
 - nothing but a newer stream of the same reader ends a patient uplink; an impatient one (a wait
   was given) also ends when it is refused, or has had no answer for that long once finishing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from lpr.delivery import Delivery, Health, Pace, idle
from lpr.errors import RefusedError, SpoolFullError, SupersededError, UndeliveredError
from lpr.spool import Spool
from lpr.uplink_stream import StalledError, Stream
from proto.ring.v1.ingest_pb2_grpc import IngestServiceStub

if TYPE_CHECKING:
    from proto.ring.v1.ingest_pb2_grpc import IngestServiceAsyncStub

__all__ = ["Delivery", "Health", "Pace", "Uplink"]

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between attempts: doubled each time, then shortened by up to half at random."""
REFUSED_PAUSE = 30.0
"""Seconds a patient uplink waits after it was refused: a person has to act first."""
_OPTIONS = [
    # The ring is reached directly: a proxy that a machine has for the web knows no way to it.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5000),
]
_REFUSALS = {
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.OUT_OF_RANGE,
}
_log = logging.getLogger("lpr.uplink")


class _Refused(Exception):  # noqa: N818 - a turn of the road, no error
    """The server said no; a person has to act before it is of use to ask again."""


class Uplink:
    """One reader's way to the server.

    server: HOST:PORT. credentials: plaintext where there are none. health: asked whenever a
    status is sent. `run` in an event loop; `finish` from anywhere.
    """

    def __init__(
        self,
        spool: Spool,
        server: str,
        *,
        pace: Pace | None = None,
        health: Callable[[], Health] = idle,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._spool = spool
        self._server = server
        self._pace = pace or Pace()
        self._health = health
        self._credentials = credentials
        self._finishing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._finish_asked = asyncio.Event()
        self._careful: set[str] = set()
        self._pictures_offered = False
        self._trouble = ""
        self.delivery = Delivery()
        """What has been delivered, kept current while running."""

    def finish(self) -> None:
        """No more reads will come: deliver what is left, then let `run` return. Thread-safe."""
        self._finishing = True
        self._nudge(self._finish_asked)

    async def run(self, *, wait: float | None = None) -> None:
        """Delivers until `finish` was called and all is acknowledged.

        wait: None is patient: it tries for ever, whatever the server says. A number of seconds
        is how long it may take, after `finish`, without an acknowledgement; then
        UndeliveredError. With a number, RefusedError is raised as soon as the server says no.
        SupersededError always. Whatever is raised, the spool still holds what was not delivered.
        """
        self._loop = asyncio.get_running_loop()
        if self._finishing:
            self._finish_asked.set()
        undo = self._spool.on_append(lambda: self._nudge(self._wake))
        delivering = asyncio.create_task(self._deliver(patient=wait is None))
        patience = asyncio.create_task(self._patience(wait))
        try:
            await asyncio.wait({delivering, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not delivering.done():
                raise UndeliveredError(
                    f"no answer from {self._server} in {wait:g} s"
                    f"{f' ({self._trouble})' if self._trouble else ''}: start the server, "
                    "or give more time with --wait"
                )
            await delivering
        finally:
            undo()
            for task in (delivering, patience):
                task.cancel()
            await asyncio.gather(delivering, patience, return_exceptions=True)
            self._loop = None

    # ---- one stream after another ------------------------------------------

    async def _deliver(self, *, patient: bool) -> None:
        pause = FIRST_PAUSE
        async with self._channel() as channel:
            stub = IngestServiceStub(channel)
            while not self._all_delivered():
                stream = self._stream(stub)
                full = False
                try:
                    if await self._advance(stream, patient=patient):
                        pause = FIRST_PAUSE
                        continue
                except _Refused:
                    pause = max(pause, REFUSED_PAUSE)
                except SpoolFullError as error:
                    # Nothing is acknowledged that is not forgotten: it is sent again.
                    self._say(str(error))
                    full = True
                finally:
                    self.delivery.connected = False
                if stream.greeted and not full:
                    self._trouble, pause = "", min(pause, FIRST_PAUSE)
                await self._rest(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads readers
                pause = min(LONGEST_PAUSE, pause * 2)

    def _stream(self, stub: IngestServiceAsyncStub) -> Stream:
        """A stream of the epoch to deliver next."""
        epoch = self._spool.oldest_epoch_with_reads() or self._spool.epoch
        return Stream(
            self._spool,
            epoch,
            stub.StreamReads(),
            pace=self._pace,
            health=self._health,
            delivery=self.delivery,
            wake=self._wake,
            finishing=lambda: self._finishing,
            one_by_one=epoch in self._careful,
            software=software(),
        )

    async def _advance(self, stream: Stream, *, patient: bool) -> bool:
        """Runs a stream to its end; whether to go on at once. Raises what ends the uplink."""
        finishing = self._finishing
        try:
            await stream.run()
            if finishing and stream.half_closed and not stream.resending:
                self._pictures_offered = stream.epoch == self._spool.epoch
            if stream.advanced:
                return True
            if not stream.half_closed:
                self._say("the server closed the stream")
        except StalledError as error:
            self._say(str(error))
        except grpc.aio.AioRpcError as error:
            if self._conflicted(error, stream.epoch, resending=stream.resending):
                return True
            self._judge(error, patient=patient)
        return False

    def _channel(self) -> grpc.aio.Channel:
        if self._credentials is not None:
            return grpc.aio.secure_channel(self._server, self._credentials, options=_OPTIONS)
        return grpc.aio.insecure_channel(self._server, options=_OPTIONS)

    def _all_delivered(self) -> bool:
        if not self._finishing or self._spool.depth():
            return False
        return self._pictures_offered or not self._spool.picture_count()

    def _conflicted(self, error: grpc.aio.AioRpcError, epoch: str, *, resending: bool) -> bool:
        """Deals with reads that the server knows otherwise; False where it was not that.

        First the reads are sent again one by one, so that those the server has are
        acknowledged; what is left, from the conflict on, then goes to a new epoch.
        """
        if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
            return False
        if "new epoch" not in (error.details() or "").lower():
            return False
        if resending and epoch not in self._careful:
            self._careful.add(epoch)
            return True
        self._careful.discard(epoch)
        self._spool.move_to_new_epoch(epoch, "conflict with what the server has")
        _log.warning("the server knows other reads by these numbers: a new epoch begins")
        return True

    def _judge(self, error: grpc.aio.AioRpcError, *, patient: bool) -> None:
        """Raises what ends the uplink, and _Refused where it was refused but goes on."""
        said = " ".join((error.details() or error.code().name).split())
        if error.code() == grpc.StatusCode.ABORTED:
            raise SupersededError(
                f"another process now streams as reader {self._spool.reader_id} ({said}): "
                "stop one of the two"
            )
        if error.code() not in _REFUSALS:
            self._say(said)
            return
        text = f"refuses reader {self._spool.reader_id}: {said}"
        if error.code() == grpc.StatusCode.NOT_FOUND and "import" not in said:
            text += " (register it with 'ring readers import')"
        if not patient:
            raise RefusedError(f"{self._server} {text}")
        self._say(text)
        raise _Refused

    async def _rest(self, seconds: float) -> None:
        """Waits before the next attempt; `finish` cuts it short once."""
        if self._finishing:
            await asyncio.sleep(min(seconds, 1.0))
            return
        try:
            await asyncio.wait_for(self._finish_asked.wait(), seconds)
        except TimeoutError:
            return

    async def _patience(self, wait: float | None) -> None:
        """Returns when it has been too long."""
        await self._finish_asked.wait()
        asked = time.monotonic()
        while True:  # the deadline moves with every acknowledgement
            left = max(asked, self.delivery.progressed) + (wait or 0.0) - time.monotonic()
            if wait is not None and left <= 0:
                return
            await asyncio.sleep(3600.0 if wait is None else left)

    # ---- words -------------------------------------------------------------

    def _say(self, trouble: str) -> None:
        """Logs a trouble when it begins or changes, not at every attempt."""
        if trouble != self._trouble:
            _log.warning(
                "%s: %s; trying again, %d reads are kept in %s",
                self._server,
                trouble,
                self._spool.depth(),
                self._spool.path,
            )
        self._trouble = trouble

    def _nudge(self, event: asyncio.Event) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._set, event)
        except RuntimeError:
            return  # The loop has ended; nothing is lost, the spool has it.

    def _set(self, event: asyncio.Event) -> None:
        event.set()
        self._wake.set()


def software() -> str:
    """As the reader introduces itself."""
    try:
        return f"lpr {version('digital-ring')}"
    except PackageNotFoundError:
        return "lpr"
