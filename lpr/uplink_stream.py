"""One stream to the server: one epoch, from hello to the end.

Always true here:
 - the resume point is no acknowledgement. Reads at or below it that still wait are sent again, one
   batch at a time, and forgotten only when the server has gone past their batch or ended the stream
   with OK: until then it may still answer that it knows other reads by these numbers. Once it has
   answered that, each goes on a stream of its own, so that the conflict's place is known exactly;
 - reads above it are forgotten as far as they were both sent on this stream and acknowledged;
 - at most `Pace.window` batches are unacknowledged; pictures go when no read waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

import grpc
import grpc.aio

from lpr.delivery import Delivery, Health, Pace
from lpr.errors import SpoolFullError
from lpr.spool import BATCH_READS, Spool
from proto.ring.v1.ingest_pb2 import (
    PictureUpload,
    PlateRead,
    ReadBatch,
    ReaderHello,
    ReaderStatus,
    StreamReadsRequest,
    StreamReadsResponse,
)

RESEND_BATCH = 100
FULL_PAUSE = 1.0
"""Seconds until a full disk is tried again."""
PICTURES_OUT = 4
"""Pictures that may be on their way at a time."""


_log = logging.getLogger("lpr.uplink")


class StalledError(Exception):
    """The server has stopped answering."""


Call = grpc.aio.StreamStreamCall[StreamReadsRequest, StreamReadsResponse]


class Stream:
    """One call of StreamReads. After `run`, the flags say how far it came."""

    def __init__(
        self,
        spool: Spool,
        epoch: str,
        call: Call,
        *,
        pace: Pace,
        health: Callable[[], Health],
        delivery: Delivery,
        wake: asyncio.Event,
        finishing: Callable[[], bool],
        one_by_one: bool,
        software: str,
    ) -> None:
        self._spool, self.epoch, self._call = spool, epoch, call
        self._pace, self._health, self._delivery = pace, health, delivery
        self._wake, self._finishing = wake, finishing
        self._one_by_one = one_by_one
        self._software = software
        self._resume = -1
        self._responses = 0
        self._sent = 0
        self._acknowledged = 0
        self._forgotten = 0
        self._acks = asyncio.Event()
        self._ended = False
        self._out: deque[tuple[int, float]] = deque()
        self._pictures_out: set[bytes] = set()
        self._resent = 0
        self._heard = time.monotonic()
        self.resending = False
        self.half_closed = False
        self.advanced = False

    @property
    def greeted(self) -> bool:
        """Whether the server answered the hello."""
        return self._resume >= 0

    async def run(self) -> None:
        """Streams until the epoch is drained, or all is and the reader is finishing.

        Raises grpc.aio.AioRpcError with the server's status, or StalledError.
        """
        receiving = asyncio.create_task(self._receive())
        sending = asyncio.create_task(self._send())
        flushing = asyncio.create_task(self._flush())
        tasks = (receiving, sending)
        try:
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                self._raise_unless_broken(sending)
                await self._end_of(receiving)
            await receiving
            if self._resent and self.half_closed:
                await self._forget(self._resent)
        finally:
            for task in tasks:
                task.cancel()
            self._call.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._ended = True
            self._acks.set()
            await flushing
            await asyncio.to_thread(self._delivery.note, self._spool)

    @staticmethod
    def _raise_unless_broken(sending: asyncio.Task[None]) -> None:
        """A write on a stream that has ended says nothing; its status does."""
        error = sending.exception()
        if error and not isinstance(error, grpc.aio.AioRpcError | asyncio.InvalidStateError):
            raise error

    async def _end_of(self, receiving: asyncio.Task[None]) -> None:
        """Waits for the server's last words, as long as they keep coming."""
        self._heard = time.monotonic()
        while not receiving.done():
            left = self._heard + self._pace.patience - time.monotonic()
            if left <= 0:
                raise StalledError("the server does not end the stream")
            await asyncio.wait({receiving}, timeout=left)

    # ---- to the server -----------------------------------------------------

    async def _send(self) -> None:
        hello = ReaderHello(
            reader_id=self._spool.reader_id,
            epoch=self.epoch,
            software_version=self._software,
            acknowledged_sequence=await asyncio.to_thread(self._spool.acknowledged_of, self.epoch),
        )
        self._hello_at = time.time()
        await self._call.write(StreamReadsRequest(hello=hello))
        await self._answer_after(0)
        self._delivery.connected = True
        self._delivery.streams += 1
        _log.info("connected as %s, epoch %s", self._spool.reader_id, self.epoch)
        current = self.epoch == self._spool.epoch
        if current and self._resume > self._spool.last_sequence_of(self.epoch):
            await asyncio.to_thread(self._spool.start_epoch, "the server is ahead of the counter")
        if await self._pending(0, self._resume, 1):
            self.resending = True
            await self._resend()
        else:
            await self._stream()
        await self._call.done_writing()
        self.half_closed = True

    async def _resend(self) -> None:
        """Reads at or below the resume point: in lock step, or one alone and then the end."""
        most = 1 if self._one_by_one else RESEND_BATCH
        while reads := await self._pending(self._resent, self._resume, most):
            before = self._responses
            await self._write(reads)
            await self._answer_after(before)
            if self._resent:
                await self._forget(self._resent)
            self._resent = reads[-1].sequence
            if self._one_by_one:
                return

    async def _stream(self) -> None:
        """Reads above the resume point, a window of batches at a time, and pictures."""
        self._sent = self._resume
        picture = 0
        waiting_since = status_at = 0.0
        while True:
            self._wake.clear()
            now = time.monotonic()
            tired = max(self._out[0][1], self._heard) + self._pace.patience if self._out else None
            if tired is not None and now >= tired:
                raise StalledError("the server does not acknowledge")
            if now >= status_at:
                status_at = now + self._pace.status_every
                await self._status()
            draining = self.epoch != self._spool.epoch or self._finishing()
            backlog = self._spool.last_sequence_of(self.epoch) - self._sent
            if backlog <= 0:
                waiting_since = 0.0
                if self.epoch == self._spool.epoch and self._spool.last_picture > picture:
                    if len(self._pictures_out) < PICTURES_OUT:
                        picture = await self._send_picture(picture)
                        continue
                elif draining:
                    return
            elif len(self._out) < self._pace.window:
                waiting_since = waiting_since or now
                due = waiting_since + self._pace.delay
                if draining or backlog >= self._pace.size or now >= due:
                    waiting_since = 0.0
                    await self._send_batch()
                    continue
                await self._change(min(due, status_at) - now)
                continue
            await self._change(min(status_at, tired or status_at) - now)

    async def _send_batch(self) -> None:
        reads = await self._pending(self._sent, None, BATCH_READS)
        if not reads:
            # Sequences that are nowhere: they were given, and moved or dropped.
            self._sent = self._spool.last_sequence_of(self.epoch)
            return
        self._sent = reads[-1].sequence
        self._out.append((self._sent, time.monotonic()))
        await self._write(reads)

    async def _send_picture(self, after: int) -> int:
        found = await asyncio.to_thread(self._spool.pictures, after)
        if not found:
            return self._spool.last_picture
        place, sha256, jpeg = found[0]
        self._pictures_out.add(sha256)
        await self._call.write(StreamReadsRequest(picture=PictureUpload(sha256=sha256, jpeg=jpeg)))
        return place

    async def _status(self) -> None:
        health = self._health()
        status = ReaderStatus(
            spool_depth=self._spool.depth(),
            frames_per_second=health.frames_per_second,
            dropped_frames=health.dropped_frames,
        )
        status.clock.GetCurrentTime()
        await self._call.write(StreamReadsRequest(status=status))
        await asyncio.to_thread(self._delivery.note, self._spool)

    async def _write(self, reads: list[PlateRead]) -> None:
        self._delivery.sent += len(reads)
        await self._call.write(StreamReadsRequest(batch=ReadBatch(reads=reads)))

    async def _pending(self, after: int, upto: int | None, most: int) -> list[PlateRead]:
        if upto is None:
            return await asyncio.to_thread(self._spool.pending, self.epoch, after=after, most=most)
        return await asyncio.to_thread(self._spool.pending, self.epoch, after, upto, most)

    async def _change(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, seconds))
        except TimeoutError:
            return

    # ---- from the server ---------------------------------------------------

    async def _receive(self) -> None:
        while True:
            response = await self._call.read()
            if isinstance(response, StreamReadsResponse):
                await self._take(response)
            else:
                return

    async def _take(self, response: StreamReadsResponse) -> None:
        self._heard = time.monotonic()
        received = time.time()
        if response.HasField("position"):
            self._delivery.position = response.position
        self._delivery.rejected += len(response.rejected)
        sent = 0.0
        if not self.greeted:
            self._resume = response.committed_sequence
            sent = self._hello_at
        elif not self.resending:
            known = min(response.committed_sequence, self._sent)
            if known > self._resume:
                self._acknowledged = max(self._acknowledged, known)
            while self._out and self._out[0][0] <= self._acknowledged:
                sent = received - (self._heard - self._out.popleft()[1])
            self._acks.set()
        if sent and response.HasField("server_time"):
            time_there = response.server_time.seconds + response.server_time.nanos / 1e9
            self._delivery.heard_clock(time_there, sent, received)
        stored = set(response.stored_pictures)
        refused = {picture.sha256 for picture in response.rejected_pictures}
        if stored or refused:
            self._delivery.pictures_stored += len(stored)
            self._delivery.pictures_rejected += len(refused)
            await asyncio.to_thread(self._spool.forget_pictures, stored | refused)
            self._pictures_out -= stored | refused
            self._delivery.progressed = time.monotonic()
            self.advanced = True
        self._responses += 1
        self._wake.set()

    async def _answer_after(self, responses: int) -> None:
        """Waits for a response beyond the first so many."""
        until = time.monotonic() + self._pace.patience
        while self._responses <= responses:
            self._wake.clear()
            if time.monotonic() >= until:
                raise StalledError("the server does not answer")
            await self._change(until - time.monotonic())

    async def _flush(self) -> None:
        """Forgets what is acknowledged; acknowledgements that come meanwhile go together."""
        told = False
        while not self._ended:
            await self._acks.wait()
            self._acks.clear()
            if self._acknowledged > self._forgotten:
                try:
                    await self._forget(self._acknowledged)
                except SpoolFullError as error:
                    if not told:
                        _log.warning("%s; what the server has is forgotten later", error)
                    told = True
                    asyncio.get_running_loop().call_later(FULL_PAUSE, self._acks.set)

    async def _forget(self, upto: int) -> None:
        gone = await asyncio.to_thread(self._spool.forget, self.epoch, upto)
        self._delivery.acknowledged += gone
        self._forgotten = max(self._forgotten, upto)
        self._delivery.progressed = time.monotonic()
        self.advanced = True
