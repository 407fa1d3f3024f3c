"""Misreads of one vehicle, told from what was captured beside them.

Always true here: what was captured is never changed; a fold is worked out anew with every question,
from the reads alone, so it is the same whatever order they came in.

Two reads are of one vehicle where they are of one checkpoint and lane, within 2 s, one character
apart (one more, one less, or another) and both under 0.9 sure. A read folds into the surest of
those beside it that are surer than itself, equally sure ones by read_id. One hop: where that read
folds into another by itself, it takes this one no further.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WITHIN = 2_000_000
SURE = float(np.float32(0.9))
"""As ClickHouse has it: confidences are single there and in the protocol."""


@dataclass(frozen=True)
class Read:
    """One read, as it is kept. at: microseconds; order: what equally sure reads go by."""

    plate: str
    checkpoint: str
    lane: str
    direction: int
    at: int
    confidence: float
    log: str
    position: int
    order: str = ""


def folds(reads: Iterable[Read]) -> dict[Read, Read]:
    """The reads that fold, each with the one it folds into."""
    lanes: dict[tuple[str, str], list[Read]] = {}
    for read in reads:
        if read.confidence < SURE:
            lanes.setdefault((read.checkpoint, read.lane), []).append(read)
    found = {}
    for beside in lanes.values():
        beside.sort(key=lambda r: r.at)
        first = 0
        for read in beside:
            while beside[first].at < read.at - WITHIN:
                first += 1
            best = read
            for other in beside[first:]:
                if other.at > read.at + WITHIN:
                    break
                if _rank(other) < _rank(best) and one_apart(read.plate, other.plate):
                    best = other
            if best is not read:
                found[read] = best
    return found


def one_apart(a: str, b: str) -> bool:
    """Whether one character makes the difference."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1 or a == b:
        return False
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    return a[same + (len(a) == len(b)) :] == b[same + 1 :]


def beside(reads: Sequence[Read], width: int) -> set[tuple[str, int]]:
    """(checkpoint, stretch of `width`) of everything that bears on the reads' folds."""
    return {
        (read.checkpoint, stretch)
        for read in reads
        if read.confidence < SURE
        # Twice: a read beside one of these may fold into a third.
        for stretch in range((read.at - 2 * WITHIN) // width, (read.at + 2 * WITHIN) // width + 1)
    }


def taken_in(found: Mapping[Read, Read], plate: str) -> dict[Read, list[Read]]:
    """The reads of other plates that fold into reads of this one, in order of capture."""
    into: dict[Read, list[Read]] = {}
    for read, best in sorted(found.items(), key=lambda item: _in_order(item[0])):
        if best.plate == plate and read.plate != plate:
            into.setdefault(best, []).append(read)
    return into


def _in_order(read: Read) -> tuple[int, float, str, str, str, int]:
    # Their places in the log last: what is equal up to there is equal to the eye.
    return read.at, -read.confidence, read.plate, read.lane, read.log, read.position


def _rank(read: Read) -> tuple[float, str, str, int]:
    return -read.confidence, read.order, read.log, read.position
