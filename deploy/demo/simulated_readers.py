"""Many readers in one process, each with its own stream, as the protocol asks of a reader.

It knows the server by `proto/ring/v1` alone. A day of the city goes by in --seconds; with --live
the city goes on for ever after it. Standard output: one JSON object a line, the last one the sum.

    {"clock": "08:00", "acknowledged": 1200}
    {"day": "over"}                                   with --live alone
    {"sent": 5000, "acknowledged": 5000, "rejected": 3, "resent": 40, "position": "LOG:5210"}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import uuid
from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import grpc
from city import CAMERA_READER, ZONE, City, Seen, reader_rows

from proto.ring.v1.common_pb2 import Direction, LogPosition
from proto.ring.v1.ingest_pb2 import (
    PlateRead,
    ReadBatch,
    ReaderHello,
    ReaderStatus,
    StreamReadsRequest,
    StreamReadsResponse,
)
from proto.ring.v1.ingest_pb2_grpc import IngestServiceStub

Call: TypeAlias = "grpc.aio.StreamStreamCall[StreamReadsRequest, StreamReadsResponse]"

UNLUCKY = 7
"""One in so many readers loses its connection at noon before it noted any acknowledgement."""
BATCH = 100
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED)
_DIRECTIONS = {"entry": Direction.DIRECTION_ENTRY, "exit": Direction.DIRECTION_EXIT}


class Tally:
    """What all readers together did, and the city's time of day."""

    def __init__(self) -> None:
        self.clock = ""
        self.sent = self.acknowledged = self.rejected = self.resent = 0
        self.position = LogPosition()

    def take(self, answer: StreamReadsResponse) -> None:
        self.rejected += len(answer.rejected)
        if answer.position.position > self.position.position:
            self.position.CopyFrom(answer.position)

    async def tell(self) -> None:
        """A line a second, until cancelled."""
        while True:
            await asyncio.sleep(1)
            self.say({"clock": self.clock, "acknowledged": self.acknowledged})

    def say(self, what: dict[str, object]) -> None:
        print(json.dumps(what), flush=True)


class Reader:
    """One reader: what it saw waits here until the server says that it is durable."""

    def __init__(
        self, stub: IngestServiceStub, reader_id: str, tally: Tally, unlucky: bool
    ) -> None:
        self.reader_id = reader_id
        self._stub = stub
        self._tally = tally
        self._epoch = str(uuid.uuid4())
        self._sequence = 0
        self._waiting: deque[PlateRead] = deque()
        self._sent_up_to = 0
        self._unlucky = unlucky
        self._noon = False
        self._done = False
        self._news = asyncio.Event()

    def see(self, seen: Seen) -> None:
        """Takes one read into the spool."""
        self._sequence += 1
        read = PlateRead(
            sequence=self._sequence,
            plate=seen.plate,
            confidence=seen.confidence,
            region="AR",
            direction=_DIRECTIONS[seen.direction],
        )
        read.captured_at.FromDatetime(seen.captured_at.astimezone(UTC))
        self._waiting.append(read)
        self._tally.sent += 1
        self._news.set()

    def noon(self) -> None:
        """The time of day at which the unlucky lose their connection."""
        self._noon = True
        self._news.set()

    def finish(self) -> None:
        """No more will be seen."""
        self._done = True
        self._news.set()

    async def run(self) -> None:
        """Streams until everything seen is acknowledged, whatever becomes of the connection."""
        while not (self._done and not self._waiting):
            call = self._stub.StreamReads()
            try:
                await self._stream(call)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _PASSING:
                    raise
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                # Of the call, by itself: come back. Of this task: end.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
            finally:
                call.cancel()

    async def _stream(self, call: Call) -> None:
        hello = ReaderHello(
            reader_id=self.reader_id, epoch=self._epoch, software_version="simulated 1"
        )
        await call.write(StreamReadsRequest(hello=hello))
        sending = asyncio.create_task(self._send(call, await self._resume(call)))
        try:
            while isinstance(answer := await call.read(), StreamReadsResponse):
                self._take(answer)
            await _check(call)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await sending

    async def _resume(self, call: Call) -> int:
        """Up to which sequence nothing need be sent."""
        first = await call.read()
        if not isinstance(first, StreamReadsResponse):
            await _check(call)
            raise RuntimeError(f"{self.reader_id}: the server ended the stream without an answer")
        if self._unlucky and self._noon:
            # It never noted these as acknowledged: sending them again must change nothing.
            self._unlucky = False
            self._tally.resent += sum(r.sequence <= first.committed_sequence for r in self._waiting)
            return 0
        self._take(first)
        return int(first.committed_sequence)

    def _take(self, answer: StreamReadsResponse) -> None:
        self._tally.take(answer)
        if self._unlucky:
            return
        while self._waiting and self._waiting[0].sequence <= answer.committed_sequence:
            self._waiting.popleft()
            self._tally.acknowledged += 1

    async def _send(self, call: Call, sent_up_to: int) -> None:
        """Everything that waits, in batches, until the end or until the connection is lost."""
        while True:
            fresh = [read for read in self._waiting if read.sequence > sent_up_to]
            for start in range(0, len(fresh), BATCH):
                batch = fresh[start : start + BATCH]
                await call.write(StreamReadsRequest(batch=ReadBatch(reads=batch)))
                sent_up_to = batch[-1].sequence
            if self._unlucky and self._noon:
                call.cancel()
                return
            if fresh:
                status = ReaderStatus(spool_depth=len(self._waiting))
                status.clock.FromDatetime(datetime.now(UTC))
                await call.write(StreamReadsRequest(status=status))
            elif self._done:
                await call.done_writing()
                return
            else:
                self._news.clear()
                await self._news.wait()
                await asyncio.sleep(0.05)  # what comes together goes together


async def _check(call: Call) -> None:
    """Raises AioRpcError where the server ended the stream with an error."""
    if await call.code() is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            await call.code(),
            await call.initial_metadata(),
            await call.trailing_metadata(),
            details=await call.details(),
        )


async def _play(
    city: City, day: date, seconds: float, readers: dict[str, Reader], tally: Tally
) -> None:
    """A day of the city in so many seconds, told to the readers as it happens."""
    reads = city.day(day)
    noon: datetime | None = datetime.combine(day, time(12), ZoneInfo(ZONE))
    # Nobody wants to watch the night go by.
    begins = reads[0].captured_at
    pace = max((reads[-1].captured_at - begins) / timedelta(seconds=seconds), 1e-9)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for read in reads:
        wait = start + (read.captured_at - begins).total_seconds() / pace - loop.time()
        if wait > 0.02:
            await asyncio.sleep(wait)
        if noon and read.captured_at >= noon:
            noon = None
            for reader in readers.values():
                reader.noon()
        tally.clock = read.captured_at.strftime("%H:%M")
        readers[read.reader_id].see(read)


async def _live(city: City, readers: dict[str, Reader], tally: Tally) -> None:
    """The city as it is now, for ever."""
    for pause, seen in city.live():
        await asyncio.sleep(pause)
        for read in seen:
            tally.clock = read.captured_at.strftime("%H:%M")
            readers[read.reader_id].see(read)


async def _work(arguments: argparse.Namespace, stub: IngestServiceStub, tally: Tally) -> None:
    names = [reader_id for reader_id, *_ in reader_rows() if reader_id != CAMERA_READER]
    readers = {
        name: Reader(stub, name, tally, unlucky=number % UNLUCKY == 0)
        for number, name in enumerate(names)
    }
    city = City(arguments.seed)
    async with asyncio.TaskGroup() as group:
        streams = [group.create_task(reader.run()) for reader in readers.values()]
        telling = group.create_task(tally.tell())
        await _play(city, date.fromisoformat(arguments.day), arguments.seconds, readers, tally)
        if arguments.live:
            tally.say({"day": "over"})
            await _live(city, readers, tally)
        for reader in readers.values():
            reader.finish()
        await asyncio.wait(streams)
        telling.cancel()


async def _main(arguments: argparse.Namespace) -> None:
    tally = Tally()
    options = (("grpc.enable_http_proxy", 0),)
    async with grpc.aio.insecure_channel(arguments.server, options=options) as channel:
        work = asyncio.create_task(_work(arguments, IngestServiceStub(channel), tally))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
    fields = ("sent", "acknowledged", "rejected", "resent")
    place = f"{tally.position.log_id}:{tally.position.position}"
    tally.say({name: getattr(tally, name) for name in fields} | {"position": place})


def main() -> None:
    parser = argparse.ArgumentParser(description="The city's readers, all but one.")
    parser.add_argument("--server", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--day", required=True, help="the day that is simulated, YYYY-MM-DD")
    parser.add_argument("--seconds", type=float, required=True, help="how long the day takes")
    parser.add_argument("--live", action="store_true", help="go on after the day, for ever")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
