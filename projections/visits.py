"""A plate's passages and visits, as the views of sql/schema/06_timelines.sql give them.

Always true here: which reads are one passage and which passages one visit is decided there; what is
told of them here is what was missed between visits, and how far what is known of one reaches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

ENTRY, EXIT = 1, 2
MISSED_ENTRY, MISSED_EXIT = "missed-entry", "missed-exit"


@dataclass
class PassageOf:
    """One passage of a plate. Times in microseconds.

    key: the first 64 bits of its first read's id; until: its last read's time; counts: False where
    it is taken for a misread of another plate.
    """

    at: int
    key: int
    until: int
    checkpoint: str
    direction: int
    reads: int
    anomalies: list[str] = field(default_factory=list)
    counts: bool = True


@dataclass(frozen=True)
class Stay:
    """A visit: None is what was not seen. begins and ends bound it by what is known.

    An entry that was missed came after the exit before, an exit that was missed before the next
    entry (`after`, which is None where the exit was seen); None where nothing bounds it.
    """

    entry: PassageOf | None
    exit: PassageOf | None
    begins: int | None
    ends: int | None
    after: PassageOf | None = None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether what is known of it overlaps [start, end)."""
        return (self.begins is None or self.begins < end) and (
            self.ends is None or self.ends >= start
        )


@dataclass(frozen=True)
class Timeline:
    """One plate's passages and visits, both in order of time."""

    passages: Sequence[PassageOf]
    stays: Sequence[Stay]


NOTHING = Timeline((), ())


def passages_in(rows: Iterable[Sequence[Any]]) -> list[PassageOf]:
    """What plate_passages has of one plate."""
    return [PassageOf(*row) for row in rows]


def timeline_in(
    passages: Iterable[Sequence[Any]], visits: Iterable[Sequence[Sequence[Any]]]
) -> Timeline:
    """What timelines has of one plate, with what was missed between its visits.

    missed-exit: an entry after an entry; missed-entry: an exit after an exit.
    """
    found = passages_in(passages)
    known = {(p.at, p.key): p for p in found}
    seen = [[known[row[0], row[1]] for row in visit] for visit in visits]
    for before, visit in pairwise(seen):
        if before[-1].direction == visit[0].direction == ENTRY:
            visit[0].anomalies.append(MISSED_EXIT)
        elif visit[0].direction == EXIT:
            visit[0].anomalies.append(MISSED_ENTRY)
    lasts = [None, *(visit[-1] for visit in seen)]
    nexts = [*(visit[0] for visit in seen[1:]), None]
    return Timeline(found, [_stay(*around) for around in zip(lasts, seen, nexts, strict=False)])


def _stay(before: PassageOf | None, visit: Sequence[PassageOf], after: PassageOf | None) -> Stay:
    entry = visit[0] if visit[0].direction == ENTRY else None
    left = visit[-1] if visit[-1].direction == EXIT else None
    begins = entry or before
    ends = left or after
    return Stay(
        entry,
        left,
        begins.at if begins else None,
        ends.at if ends else None,
        None if left else after,
    )
