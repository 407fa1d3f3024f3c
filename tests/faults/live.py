"""Readers that send single reads at a steady rate, and how long each read is not acknowledged.

Always true here: a read is sent when it is due, whether or not those before it were acknowledged;
so a wait of the server delays no measurement.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import uuid4

import grpc.aio

from proto.ring.v1 import ingest_pb2, ingest_pb2_grpc


class Lived(NamedTuple):
    """What came of one stream. `waits`: seconds until each of its reads was acknowledged."""

    reader: str
    epoch: str
    waits: list[float]


async def live(
    address: str,
    readers: Iterable[str],
    rate: float,
    going: Callable[[int], bool],
    plate: Callable[[int, int], str],
) -> list[Lived]:
    """Each reader sends `rate` reads/s while `going(sequence)`; all is acknowledged at the end.

    `plate(n, sequence)`: what reader n reads. Each has a connection and an epoch of its own.
    """
    names = list(readers)
    return await asyncio.gather(
        *(
            _reader(address, name, rate, number / len(names), going, plate, number)
            for number, name in enumerate(names)
        )
    )


async def _reader(
    address: str,
    name: str,
    rate: float,
    phase: float,
    going: Callable[[int], bool],
    plate: Callable[[int, int], str],
    number: int,
) -> Lived:
    sent: list[float] = []
    waits: list[float] = []
    epoch = str(uuid4())
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        call = ingest_pb2_grpc.IngestServiceStub(channel).StreamReads()
        hello = ingest_pb2.ReaderHello(reader_id=name, epoch=epoch)
        await call.write(ingest_pb2.StreamReadsRequest(hello=hello))
        await call.read()

        async def acknowledged() -> None:
            while (response := await call.read()) is not grpc.aio.EOF:
                now = time.perf_counter()
                waits.extend(now - at for at in sent[len(waits) : response.committed_sequence])

        listening = asyncio.create_task(acknowledged())
        began = time.perf_counter()
        while going(sequence := len(sent) + 1):
            due = began + (sequence + phase) / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            read = ingest_pb2.PlateRead(
                sequence=sequence, plate=plate(number, sequence), confidence=0.9
            )
            read.captured_at.GetCurrentTime()
            sent.append(time.perf_counter())
            batch = ingest_pb2.ReadBatch(reads=[read])
            await call.write(ingest_pb2.StreamReadsRequest(batch=batch))
        await call.done_writing()
        await listening
        assert len(waits) == len(sent), await call.details()
    return Lived(name, epoch, waits)
