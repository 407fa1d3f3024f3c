"""The load generator: streams prepared reads as fast as they are acknowledged, in its own process.

    python -m tests.benchmarks.load ADDRESS --reads N --batch B --streams S [--rate READS_A_SECOND]
        [--pictures] [--until TIME]

Prints one JSON object: reads, seconds until the last acknowledgement.

A plain read has a confidence of 0.93 and no posterior. With --pictures reads are like those of
pictures: four in five are surer than 0.95, the others go down to 0.4; and one that is no surer than
0.99 has a posterior of three candidates a place, whose doubt lies in few places, on what the model
of confusions has behind a character.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cache
from uuid import uuid4

import grpc.aio

from proto.ring.v1 import ingest_pb2 as pb
from ring.confusion import measured

_METHOD = "/ring.v1.IngestService/StreamReads"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What a place says beside its character: how much of what is left each candidate has.
_RIVALS = (0.7, 0.25)


def prepared(
    stream: int,
    reads: int,
    batch: int,
    plates: int,
    *,
    pictures: bool = False,
    until: float = 0,
) -> Iterator[bytes]:
    """Serialised batches of one stream, capture times rising over the hour before `until`.

    Seconds since 1970; 0: now.
    """
    rng = random.Random(stream)
    start = int((until or time.time()) * 1_000_000) - 3_600_000_000
    message = pb.StreamReadsRequest()
    for first in range(1, reads + 1, batch):
        message.Clear()
        rows = message.batch.reads
        for sequence in range(first, min(first + batch, reads + 1)):
            at = start + sequence * 3_600_000_000 // (reads + 1)
            row = rows.add(
                sequence=sequence, plate=plate(rng.randrange(plates)), confidence=0.93, region="AR"
            )
            row.captured_at.seconds, micros = divmod(at, 1_000_000)
            row.captured_at.nanos = micros * 1000
            if pictures:
                doubt(row, rng)
        yield message.SerializeToString()


def doubt(read: pb.PlateRead, rng: random.Random) -> None:
    """Gives a read the confidence, and the posterior, that it might have from a picture."""
    read.confidence = rng.uniform(0.95, 1.0) if rng.random() < 0.8 else rng.uniform(0.4, 0.95)
    if read.confidence >= 0.99:
        return
    doubts = [rng.expovariate(1.0) ** 4 for _ in read.plate]
    whole = sum(doubts)
    for character, part in zip(read.plate, doubts, strict=True):
        share = read.confidence ** (part / whole)
        others = rng.sample(_alike(character), len(_RIVALS))
        read.posterior.add(
            characters="".join((character, *others)),
            probabilities=[round(share, 4), *(round((1 - share) * r, 4) for r in _RIVALS)],
        )


@cache
def _alike(character: str) -> list[str]:
    """The four likeliest to be true where it is read; "_": none."""
    behind = measured().behind[character]
    return [other or "_" for other in sorted(behind, key=behind.__getitem__, reverse=True)[:4]]


def plate(number: int) -> str:
    """The plate of a vehicle: Mercosur form, one to one."""
    number, d = divmod(number, 26)
    number, c = divmod(number, 26)
    number, digits = divmod(number, 1000)
    b, a = number % 26, number // 26 % 26
    return f"{_LETTERS[a]}{_LETTERS[b]}{digits:03d}{_LETTERS[c]}{_LETTERS[d]}"


async def stream(
    address: str, reader: str, requests: Iterable[bytes], total: int, rate: float = 0
) -> None:
    """Sends everything of one stream, `rate` requests a second (0: as fast as they are taken).

    Waits for its last acknowledgement.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        hello = pb.StreamReadsRequest(
            hello=pb.ReaderHello(reader_id=reader, epoch=str(uuid4()), software_version="bench")
        ).SerializeToString()

        async def outgoing() -> AsyncIterator[bytes]:
            yield hello
            began = time.perf_counter()
            for number, request in enumerate(requests):
                if rate:
                    await asyncio.sleep(began + number / rate - time.perf_counter())
                yield request

        call = channel.stream_stream(
            _METHOD, response_deserializer=pb.StreamReadsResponse.FromString
        )(outgoing())
        committed = 0
        async for response in call:
            committed = response.committed_sequence
        assert committed == total, (reader, committed, total)


async def run(options: argparse.Namespace) -> None:
    each = options.reads // options.streams
    readers = options.readers.split(",") if options.readers else []
    rate = options.rate / options.streams / options.batch
    work: list[Iterable[bytes]] = [
        prepared(
            number,
            each,
            options.batch,
            options.plates,
            pictures=options.pictures,
            until=options.until,
        )
        for number in range(options.streams)
    ]
    if not options.rate:
        # Made before the clock starts.
        work = [list(requests) for requests in work]
    began = time.perf_counter()
    await asyncio.gather(
        *(
            stream(
                options.address,
                readers[number] if readers else f"bench-{number}",
                requests,
                each,
                rate,
            )
            for number, requests in enumerate(work)
        )
    )
    seconds = time.perf_counter() - began
    print(json.dumps({"reads": each * options.streams, "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--reads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--plates", type=int, default=1_000_000)
    parser.add_argument(
        "--rate", type=float, default=0, help="reads/s; 0: as fast as they are taken"
    )
    parser.add_argument("--pictures", action="store_true", help="reads like those of pictures")
    parser.add_argument(
        "--until", type=float, default=0, help="end of the hour of capture, s since 1970; 0: now"
    )
    parser.add_argument("--readers", default="", help="one a stream, with commas between")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
