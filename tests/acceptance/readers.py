"""Some readers of the acceptance run in one process, to be killed at any moment and started again.

    python -m tests.acceptance.readers FOLDER ADDRESS NUMBER...

Each has a spool in FOLDER and goes on behind what it holds. Beyond SOON of its reads it says one at
a time, so that there is something to say for as long as the kills take, until the file HURRY is in
FOLDER. Ends when all is acknowledged.
"""

import asyncio
import logging
import sys
from itertools import islice
from pathlib import Path

from lpr.spool import Spool
from lpr.uplink import Pace, Uplink
from tests.acceptance.city import EACH, reads_of

HURRY = "hurry"
SOON = 0.6
_CHUNK = 25
_PAUSE = 0.35


async def run(folder: Path, address: str, number: int) -> None:
    with Spool(folder / f"reader-{number}", f"reader-{number}") as spool:
        uplink = Uplink(spool, address, pace=Pace(delay=0.02))
        delivering = asyncio.create_task(uplink.run())
        rest = islice(reads_of(number), spool.last_sequence, None)

        def said() -> int:
            hurries = (folder / HURRY).exists() or spool.last_sequence < SOON * EACH
            return _CHUNK if hurries else 1

        while chunk := list(islice(rest, said())):
            await asyncio.to_thread(spool.append, chunk)
            await asyncio.sleep(_PAUSE)
        assert spool.last_sequence == EACH
        uplink.finish()
        await delivering


async def main() -> None:
    logging.disable()  # a server that is away is no news here
    folder, address, *numbers = sys.argv[1:]
    await asyncio.gather(*(run(Path(folder), address, int(number)) for number in numbers))


if __name__ == "__main__":
    asyncio.run(main())
