"""IngestService in memory, by the protocol's rules, with faults on demand."""

import contextlib
import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from proto.ring.v1 import ingest_pb2_grpc
from proto.ring.v1.ingest_pb2 import (
    PlateRead,
    ReaderStatus,
    RejectedPicture,
    RejectedRead,
    StreamReadsRequest,
    StreamReadsResponse,
)


@dataclass
class Log:
    """What one (reader, epoch) has sent."""

    committed: int = 0
    stored: dict[int, bytes] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)
    newest: int = 0


class MemoryIngest(ingest_pb2_grpc.IngestServiceServicer):
    """StreamReads as the protocol says, with faults on demand."""

    def __init__(self) -> None:
        self.readers = {"R1", "R2"}
        self.revoked: set[str] = set()
        self.logs: dict[tuple[str, str], Log] = defaultdict(Log)
        self.pictures: dict[bytes, bytes] = {}
        self.statuses: list[ReaderStatus] = []
        self.batches: list[int] = []
        self.order: list[str] = []
        self.hellos: list[str] = []
        self.acknowledged: list[int] = []
        self.drop: Callable[[], bool] = lambda: False
        self.mute = False
        self.clock_ahead = 0.0

    def plates(self, reader: str = "R1") -> list[str]:
        """Plates stored for a reader, sorted, with repeats."""
        return sorted(
            PlateRead.FromString(body).plate
            for (who, _), log in self.logs.items()
            if who == reader
            for body in log.stored.values()
        )

    async def StreamReads(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[StreamReadsRequest], context: Any
    ) -> None:
        hello = (await anext(request_iterator)).hello
        self.hellos.append(hello.epoch)
        self.acknowledged.append(hello.acknowledged_sequence)
        uuid.UUID(hello.epoch)
        if hello.reader_id not in self.readers:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no reader {hello.reader_id}")
        if hello.reader_id in self.revoked:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "revoked")
        log = self.logs[hello.reader_id, hello.epoch]
        log.newest += 1
        mine = log.newest
        await context.write(self._response(log))
        async for request in request_iterator:
            if log.newest != mine:
                await context.abort(grpc.StatusCode.ABORTED, "a newer stream took over")
            if self.drop():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone before it was stored")
            kind = request.WhichOneof("message")
            self.order.append(str(kind))
            response = None
            if kind == "batch":
                response = await self._batch(log, list(request.batch.reads), context)
            elif kind == "picture":
                response = self._picture(log, request.picture)
            elif kind == "status":
                self.statuses.append(request.status)
            if self.drop():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone before it was told")
            if response is not None and not self.mute:
                await context.write(response)

    async def _batch(self, log: Log, reads: list[PlateRead], context: Any) -> StreamReadsResponse:
        assert 1 <= len(reads) <= 1000
        assert sum(read.ByteSize() for read in reads) <= 3 * 1024 * 1024
        self.batches.append(len(reads))
        bodies = {read.sequence: read.SerializeToString(deterministic=True) for read in reads}
        if any(log.stored.get(number, body) != body for number, body in bodies.items()):
            # As the ring's server does: what it knows first, then the refusal.
            await context.write(self._response(log))
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "new epoch needed: conflict")
        fresh = []
        for number, body in sorted(bodies.items()):
            assert number > 0
            if number in log.stored or number in log.rejected:
                continue
            plate = PlateRead.FromString(body).plate
            if number <= log.committed:
                log.rejected[number] = "out of order"
            elif not plate:
                log.rejected[number] = "no plate"
            else:
                log.stored[number] = body
                continue
            fresh.append(RejectedRead(sequence=number, reason=log.rejected[number]))
        log.committed = max(log.committed, *bodies)
        return self._response(log, rejected=fresh)

    def _picture(self, log: Log, picture: Any) -> StreamReadsResponse:
        if hashlib.sha256(picture.jpeg).digest() != picture.sha256 or picture.jpeg == b"bad":
            refused = RejectedPicture(sha256=picture.sha256, reason="not wanted")
            return self._response(log, rejected_pictures=[refused])
        self.pictures[picture.sha256] = picture.jpeg
        return self._response(log, stored_pictures=[picture.sha256])

    def _response(self, log: Log, **fields: Any) -> StreamReadsResponse:
        response = StreamReadsResponse(committed_sequence=log.committed, **fields)
        response.server_time.FromNanoseconds(int((time.time() + self.clock_ahead) * 1e9))
        response.position.position = sum(len(one.stored) for one in self.logs.values())
        return response


@contextlib.asynccontextmanager
async def serving(service: MemoryIngest, port: int = 0) -> AsyncIterator[str]:
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
