"""A reader as a vendor would write it from the .proto files: one stream, message by message."""

import contextlib
import queue
import time

import grpc

from proto.ring.v1 import ingest_pb2_grpc
from proto.ring.v1.ingest_pb2 import (
    PlateRead,
    ReadBatch,
    ReaderHello,
    StreamReadsRequest,
    StreamReadsResponse,
)
from tests.conftest import Server

NOW = int(time.time())


class Client:
    """One stream, message by message."""

    def __init__(
        self,
        server: Server,
        reader: str,
        epoch: str,
        *,
        hello: bool = True,
        acknowledged: int = 0,
        timeout: float = 20,
    ) -> None:
        self._out: queue.SimpleQueue[StreamReadsRequest | None] = queue.SimpleQueue()
        self.channel = server.channel()
        stub = ingest_pb2_grpc.IngestServiceStub(self.channel)
        self.call = stub.StreamReads(iter(self._out.get, None), timeout=timeout)
        if hello:
            said = ReaderHello(
                reader_id=reader,
                epoch=epoch,
                software_version="test",
                acknowledged_sequence=acknowledged,
            )
            self.send(hello=said)
            self.resume = self.next().committed_sequence

    def send(self, **message: object) -> None:
        self._out.put(StreamReadsRequest(**message))

    def batch(self, *reads: PlateRead) -> None:
        self.send(batch=ReadBatch(reads=reads))

    def next(self) -> StreamReadsResponse:
        return next(self.call)

    def until(self, committed: int) -> list[StreamReadsResponse]:
        responses = [self.next()]
        while responses[-1].committed_sequence < committed:
            responses.append(self.next())
        return responses

    def close(self) -> grpc.StatusCode:
        """Half-closes; the status that the stream ended with."""
        self._out.put(None)
        with contextlib.suppress(grpc.RpcError):
            self.rest = list(self.call)
        code = self.call.code()
        self.channel.close()
        return code

    def failure(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ends by itself; what came before is in `rest`."""
        self.rest = []
        with contextlib.suppress(grpc.RpcError):
            for response in self.call:
                self.rest.append(response)
        self._out.put(None)
        result = self.call.code(), self.call.details()
        self.channel.close()
        return result


def read(sequence: int, plate: str = "AB123CD", **fields: object) -> PlateRead:
    result = PlateRead(sequence=sequence, plate=plate, confidence=0.9)
    result.captured_at.FromSeconds(NOW)
    for name, value in fields.items():
        if name == "captured_at":
            result.captured_at.CopyFrom(value)
        else:
            setattr(result, name, value)
    return result
