"""Passages and visits, out of the set of a plate's reads.

Always true here: what comes out depends on the set alone, not on its order. A passage is reads at
one checkpoint and direction, each at most 60 s after the one before; its time is its first read's,
ties are broken by the read's id. A visit goes from an entry to the next exit; a passage of unknown
direction, and one that is taken for a misread of another plate (`counts` is False), opens and
closes none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

ENTRY, EXIT = 1, 2
_GAP = 60_000_000
MISSED_ENTRY, MISSED_EXIT = "missed-entry", "missed-exit"


@dataclass
class PassageOf:
    """One passage of a plate. Times in microseconds; until: its last read's."""

    checkpoint: str
    direction: int
    at: int
    reads: int
    until: int
    anomalies: list[str] = field(default_factory=list)
    counts: bool = True


@dataclass(frozen=True)
class Stay:
    """A visit: None is what was not seen. begins and ends bound it by what is known.

    An entry that was missed came after the exit before, an exit that was missed before the next
    entry; None where nothing bounds it.
    """

    entry: PassageOf | None
    exit: PassageOf | None
    begins: int | None
    ends: int | None

    def overlaps(self, start: int, end: int) -> bool:
        """Whether what is known of it overlaps [start, end)."""
        return (self.begins is None or self.begins < end) and (
            self.ends is None or self.ends >= start
        )


def passages_in(reads: Iterable[tuple[str, int, int, int]]) -> list[PassageOf]:
    """In order of time. A read: checkpoint, direction, microseconds, the key that orders ties."""
    passages: list[tuple[int, int, PassageOf]] = []
    place, until = ("", 0), 0
    for checkpoint, direction, at, key in sorted(reads):
        if (checkpoint, direction) == place and at <= until + _GAP:
            passages[-1][2].reads += 1
            passages[-1][2].until = at
        else:
            passages.append((at, key, PassageOf(checkpoint, direction, at, 1, at)))
        place, until = (checkpoint, direction), at
    return [passage for _, _, passage in sorted(passages, key=itemgetter(0, 1))]


def crossings_of(passages: Sequence[PassageOf]) -> list[PassageOf]:
    """Those that tell whether the vehicle is inside."""
    return [p for p in passages if p.counts and p.direction in (ENTRY, EXIT)]


def note_missed(passages: Sequence[PassageOf]) -> None:
    """Adds missed-exit to an entry after an entry, missed-entry to an exit after an exit."""
    crossings = crossings_of(passages)
    for before, passage in pairwise(crossings):
        if before.direction == passage.direction:
            passage.anomalies.append(MISSED_EXIT if passage.direction == ENTRY else MISSED_ENTRY)


def visits_of(passages: Sequence[PassageOf]) -> list[Stay]:
    """In order of time."""
    crossings = crossings_of(passages)
    stays = []
    for number, passage in enumerate(crossings):
        before = crossings[number - 1] if number else None
        next_ = crossings[number + 1] if number + 1 < len(crossings) else None
        if passage.direction == ENTRY:
            left = next_ if next_ and next_.direction == EXIT else None
            stays.append(Stay(passage, left, passage.at, next_.at if next_ else None))
        elif before is None or before.direction == EXIT:
            stays.append(Stay(None, passage, before.at if before else None, passage.at))
    return stays
