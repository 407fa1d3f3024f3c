"""A reader without a camera, in a process of its own, to be killed, copied and starved of disk.

    python -m tests.faults.feeding_reader SPOOL ADDRESS READER --plates A --count 500

Appends reads numbered 1 to COUNT by the reader's own modules, going on behind what the spool's
current epoch has counted, and ends when all is acknowledged. Says `epoch` and its UUID at first,
and `spooled` and how many pictures were dropped once all is in the spool.
"""

import argparse
import asyncio
import logging
import resource
import sys
from pathlib import Path

from lpr import logs
from lpr.holding import Holding
from lpr.spool import Spool
from lpr.uplink import Pace, Uplink
from proto.ring.v1.ingest_pb2 import PlateRead

START = 1_767_225_600
"""2026-01-01T00:00:00Z: when read 0 was captured."""
PICTURE_BYTES = 8000


def plate(prefix: str, number: int) -> str:
    return f"{prefix}{number:06d}"


def read(prefix: str, number: int, every: float, bulk: int) -> PlateRead:
    """The same read in every process that asks."""
    made = PlateRead(plate=plate(prefix, number), confidence=0.9)
    made.captured_at.FromMilliseconds(int((START + number * every) * 1000))
    made.vehicle.make = "x" * bulk
    return made


def picture(number: int) -> bytes:
    return number.to_bytes(4, "big") * (PICTURE_BYTES // 4)


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("spool", type=Path)
    parser.add_argument("address")
    parser.add_argument("reader")
    parser.add_argument("--plates", default="A")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--chunk", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between captures")
    parser.add_argument("--bulk", type=int, default=0, help="bytes more of each read")
    parser.add_argument("--pictures", type=int, default=0, help="the first so many have one")
    parser.add_argument("--max-mib", type=int, default=0)
    parser.add_argument("--file-limit", type=int, default=0, help="bytes that any file may have")
    parser.add_argument("--no-uplink", action="store_true")
    given = parser.parse_args()
    logs.configure("json")
    if given.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_limit, given.file_limit))

    with Spool(given.spool, given.reader, max_bytes=given.max_mib * 1024 * 1024 or None) as spool:
        print("epoch", spool.epoch, flush=True)
        holding = Holding(spool, patient=True, retry=0.1)
        uplink = Uplink(spool, given.address, pace=Pace(delay=0.02))
        delivering = None if given.no_uplink else asyncio.create_task(uplink.run())

        def append(numbers: list[int]) -> None:
            if given.pictures or given.max_mib or given.file_limit:
                # As a camera's reads come: one by one, and held where there is no room.
                for number in numbers:
                    shot = picture(number) if number <= given.pictures else b""
                    one = read(given.plates, number, given.every, given.bulk)
                    holding.put(one, shot, lambda _: None)
            else:
                spool.append([read(given.plates, n, given.every, given.bulk) for n in numbers])

        for first in range(spool.last_sequence + 1, given.count + 1, given.chunk):
            last = min(first + given.chunk - 1, given.count)
            await asyncio.to_thread(append, list(range(first, last + 1)))
            await asyncio.sleep(given.pause)
            if delivering is not None and delivering.done():
                break
        if not given.no_uplink:
            await asyncio.to_thread(holding.close, 60.0)
        print("spooled", spool.pictures_dropped(), flush=True)
        uplink.finish()
        if delivering is not None:
            await delivering
    return 0


if __name__ == "__main__":
    logging.captureWarnings(True)
    sys.exit(asyncio.run(main()))
