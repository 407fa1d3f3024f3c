"""The reads of the acceptance run: made from a seed, the same in every process that asks.

Reader n of READERS sends EACH reads. Their capture times are out of order; some are bad, some are
on the hotlist, some of those too poor to alert.
"""

import random
from collections.abc import Iterator

from proto.ring.v1.ingest_pb2 import PlateRead

READERS = 20
EACH = 1000
WANTED = [f"WANTED{n:02d}" for n in range(40)]
FLOOR = 0.5
_START = 1_767_225_600  # 2026-01-01T00:00:00Z


def reads_of(number: int) -> Iterator[PlateRead]:
    """The reads of one reader, in the order they are spooled; sequences are the spool's."""
    rng = random.Random(number)
    for _ in range(EACH):
        read = PlateRead(confidence=rng.choice((0.3, 0.7, 0.9, 0.99)), region="AR")
        read.captured_at.FromSeconds(_START + rng.randrange(30 * 86_400))
        kind = rng.random()
        if kind < 0.02:
            read.plate = rng.choice(("", "?", "much too long for a plate"))
        elif kind < 0.03:
            read.plate, read.confidence = "AB123CD", 1.5
        elif kind < 0.06:
            read.plate = rng.choice(WANTED)
        else:
            read.plate = f"P{rng.randrange(3000):04d}"
        yield read


def is_good(read: PlateRead) -> bool:
    """What the server must store."""
    return 2 <= len(read.plate) <= 12 and read.plate.isalnum() and read.confidence <= 1


def alerts_of(number: int) -> list[str]:
    """The plates that one reader's reads must alert on, once a read."""
    return [r.plate for r in reads_of(number) if r.plate in WANTED and r.confidence >= FLOOR]
