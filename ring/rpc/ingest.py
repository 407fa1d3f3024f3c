"""IngestService: reads in, acknowledged once they are durable.

Always true here: a stream's answers come in the order of its messages, and a failure is told only
after everything before it was; a stream has a bounded number of messages in hand, so a reader that
sends faster than the log commits is slowed by gRPC's own flow control.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from proto.ring.v1 import ingest_pb2_grpc
from proto.ring.v1.ingest_pb2 import (
    PictureUpload,
    RejectedPicture,
    RejectedRead,
    StreamReadsRequest,
    StreamReadsResponse,
)
from ring.application import Ring
from ring.errors import InvalidRequest, RingError, StateForbids, Unavailable
from ring.ingest import Committer
from ring.pictures import Pictures
from ring.reads import MAX_BATCH, MAX_BATCH_BYTES
from ring.rpc.readers import Readers
from ring.stream import Answer, Stream
from ring.values import code_of, epoch_of

# Messages of one stream that may be in hand at a time.
_WINDOW = 16


class IngestService(ingest_pb2_grpc.IngestServiceServicer):
    """The servicer. `stop` ends every stream, so that the server can."""

    def __init__(
        self, ring: Ring, committer: Committer, pictures: Pictures, readers: Readers
    ) -> None:
        self.ring = ring
        self.committer = committer
        self.pictures = pictures
        self.readers = readers
        self._sessions: set[_Session] = set()
        # What keeps pictures from being stored; empty while they can be.
        self.picture_trouble = ""

    @property
    def streams(self) -> int:
        """Streams that are open now."""
        return len(self._sessions)

    async def StreamReads(  # type: ignore[override] # noqa: N802 - writes by its context
        self, request_iterator: AsyncIterator[StreamReadsRequest], context: Any
    ) -> None:
        """One stream, from hello to its end."""
        session = _Session(self, request_iterator, context)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def stop(self) -> None:
        """Ends every stream: the server goes away."""
        for session in self._sessions:
            session.end(Unavailable("the server is stopping: reconnect and go on"))


class _Session:
    def __init__(self, service: IngestService, requests: Any, context: Any) -> None:
        self._service = service
        self._requests = requests
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._stream: Stream | None = None
        self._window = asyncio.Semaphore(_WINDOW)
        self._changed = asyncio.Event()
        self._in_hand = 0
        self._answers: list[Answer] = []
        self._stored: list[bytes] = []
        self._refused: list[RejectedPicture] = []
        self._finished: BaseException | None = None  # StopAsyncIteration: half-closed
        self._ended: RingError | None = None
        self._uploads: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                done = self._finished is not None and self._in_hand == 0
                await self._respond()
                if self._ended is not None:
                    raise self._ended
                if done:
                    if isinstance(self._finished, StopAsyncIteration):
                        return
                    assert self._finished is not None
                    raise self._finished
        finally:
            reading.cancel()
            for upload in self._uploads:
                upload.cancel()
            if self._stream is not None:
                self._service.committer.closed(self._stream)
                self._service.readers.closed(self._stream.reader_id)

    def end(self, error: RingError) -> None:
        """Ends the stream from outside; in the event loop's thread."""
        self._ended = self._ended or error
        self._changed.set()

    # ---- in ---------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for request in self._requests:
                await self._take(request)
            self._finished = StopAsyncIteration()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._finished = error
        self._changed.set()

    async def _take(self, request: StreamReadsRequest) -> None:
        # A message that has to wait for its turn was received before it did.
        received = time.time()
        kind = request.WhichOneof("message")
        if self._stream is None:
            if kind != "hello":
                raise InvalidRequest("the first message of a stream must be a hello")
            self._greet(request)
            return
        reader_id = self._stream.reader_id
        if kind == "batch":
            reads = request.batch.reads
            if not 1 <= len(reads) <= MAX_BATCH:
                raise InvalidRequest(f"a batch has 1 to {MAX_BATCH} reads, not {len(reads)}")
            if request.batch.ByteSize() > MAX_BATCH_BYTES:
                raise InvalidRequest("a batch has at most 3 MiB: send fewer reads at a time")
            await self._window.acquire()
            self._in_hand += 1
            self._service.readers.sent_reads(reader_id)
            self._service.committer.submit(self._stream, reads, received, self._answered)
        elif kind == "picture":
            await self._window.acquire()
            self._in_hand += 1
            upload = asyncio.create_task(self._store_picture(request.picture))
            self._uploads.add(upload)
            upload.add_done_callback(self._uploads.discard)
        elif kind == "status":
            self._service.readers.sent_status(reader_id, request.status)
        elif kind == "hello":
            raise InvalidRequest("a stream has one hello: open another stream for another epoch")
        # A message of a newer reader that this version does not know: let it pass.

    def _greet(self, request: StreamReadsRequest) -> None:
        hello = request.hello
        stream = Stream(
            code_of(hello.reader_id, "reader id"), epoch_of(hello.epoch), self._from_outside
        )
        self._stream = stream
        self._in_hand += 1
        self._window = asyncio.Semaphore(_WINDOW - 1)
        self._service.readers.opened(stream.reader_id, hello.software_version)
        self._service.committer.hello(
            stream, partial(self._resumed, stream, hello.acknowledged_sequence)
        )

    async def _store_picture(self, picture: PictureUpload) -> None:
        try:
            await asyncio.to_thread(self._service.pictures.store, picture.sha256, picture.jpeg)
            self._stored.append(picture.sha256)
            self._service.picture_trouble = ""
        except InvalidRequest as error:
            self._refused.append(RejectedPicture(sha256=picture.sha256, reason=str(error)))
        except OSError as error:
            # Not acknowledged: the reader sends it again. Reads go on.
            self._service.picture_trouble = f"can't be stored: {error.strerror}"
            self.end(Unavailable(f"pictures can't be stored just now: {error.strerror}"))
        finally:
            self._in_hand -= 1
            self._window.release()
            self._changed.set()

    # ---- out --------------------------------------------------------------------

    def _from_outside(self, error: RingError) -> None:
        self._loop.call_soon_threadsafe(self.end, error)

    def _resumed(self, stream: Stream, acknowledged: int, answer: Answer) -> None:
        if answer.error is None:
            self._service.readers.resumed(
                stream.reader_id, stream.epoch, answer.committed, acknowledged
            )
        self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        self._in_hand -= 1
        self._window.release()
        self._answers.append(answer)
        self._changed.set()

    async def _respond(self) -> None:
        """One cumulative response for all that was answered meanwhile."""
        if self._position is None and not self._answers:
            return  # the first response is the resume point, even where a picture was quicker
        answers, self._answers = self._answers, []
        response = StreamReadsResponse(
            stored_pictures=self._stored, rejected_pictures=self._refused
        )
        self._stored, self._refused = [], []
        told = bool(response.stored_pictures or response.rejected_pictures)
        failed: RingError | None = None
        for answer in answers:
            if answer.error is not None and not isinstance(answer.error, StateForbids):
                failed = answer.error
                break
            told = True
            response.committed_sequence = answer.committed
            response.position.CopyFrom(self._service.ring.position(answer.position))
            response.rejected.extend(
                RejectedRead(sequence=sequence, reason=reason)
                for sequence, reason in answer.rejected
            )
            self._last = answer.committed
            if answer.error is not None:
                failed = answer.error
                break
        if told:
            if not response.HasField("position"):
                response.committed_sequence = self._last
                response.position.CopyFrom(self._position)
            self._position = response.position
            response.server_time.GetCurrentTime()
            await self._context.write(response)
        if failed is not None:
            raise failed

    _last = 0
    _position: Any = None
