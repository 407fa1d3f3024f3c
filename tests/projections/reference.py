"""Timelines as slowly and plainly as they can be computed, to compare with."""

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.projections.world import ENTRY, EXIT, SECOND, UNKNOWN, Seen


@dataclass
class ReferencePassage:
    """Reads of one plate at one checkpoint and direction, each at most 60 s after the last."""

    reads: list[Seen]
    anomalies: list[str] = field(default_factory=list)

    @property
    def first(self) -> Seen:
        return self.reads[0]


@dataclass
class ReferenceVisit:
    """What is known of one stay; None where it is not known."""

    entry: Seen | None
    exit: Seen | None
    # The exit before a visit whose entry was missed, the entry after one whose exit was missed.
    exit_before: Seen | None = None
    entry_after: Seen | None = None


def in_order(reads: list[Seen]) -> list[Seen]:
    """By time of capture, ties by read_id."""
    return sorted(reads, key=lambda r: (r.at, r.read_id))


def one_apart(a: str, b: str) -> bool:
    """Whether one character makes the difference."""
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) == 1
    shorter, longer = sorted((a, b), key=len)
    return shorter in [longer[:n] + longer[n + 1 :] for n in range(len(longer))]


def folds(reads: list[Seen]) -> dict[str, Seen]:
    """What each read that folds folds into, by its read_id."""
    found = {}
    for read in reads:
        beside = [
            other
            for other in reads
            if (other.checkpoint, other.lane) == (read.checkpoint, read.lane)
            and abs(other.at - read.at) <= 2 * SECOND
            and one_apart(other.plate, read.plate)
            and max(other.confidence, read.confidence) < 0.9
        ]
        best = min([read, *beside], key=lambda r: (-r.confidence, r.read_id))
        if best is not read:
            found[read.read_id] = best
    return found


def passages(reads: list[Seen], folded: Collection[str] = ()) -> list[ReferencePassage]:
    """Of one plate. folded: read_ids; a passage of nothing else is between no others."""
    distinct = {r.read_id: r for r in reads}
    found: list[ReferencePassage] = []
    for read in in_order(list(distinct.values())):
        for passage in found:
            last = passage.reads[-1]
            same_place = (last.checkpoint, last.direction) == (read.checkpoint, read.direction)
            if same_place and read.at - last.at <= 60 * SECOND:
                passage.reads.append(read)
                break
        else:
            found.append(ReferencePassage([read]))
    found.sort(key=lambda p: (p.first.at, p.first.read_id))
    before = UNKNOWN
    for passage in found:
        direction = passage.first.direction
        if direction == UNKNOWN or all(r.read_id in folded for r in passage.reads):
            continue
        if direction == before == ENTRY:
            passage.anomalies.append("missed-exit")
        if direction == before == EXIT:
            passage.anomalies.append("missed-entry")
        before = direction
    return found


def visits(reads: list[Seen], folded: Collection[str] = ()) -> list[ReferenceVisit]:
    """Of one plate, without its passages of nothing but folded reads."""
    found: list[ReferenceVisit] = []
    inside: ReferenceVisit | None = None
    last_exit: Seen | None = None
    for passage in passages(reads, folded):
        read = passage.first
        if all(r.read_id in folded for r in passage.reads):
            continue
        if read.direction == ENTRY:
            if inside:
                inside.entry_after = read
            inside = ReferenceVisit(entry=read, exit=None)
            found.append(inside)
            last_exit = None
        elif read.direction == EXIT:
            if inside:
                inside.exit = read
                inside = None
            else:
                found.append(ReferenceVisit(entry=None, exit=read, exit_before=last_exit))
            last_exit = read
    return found


def overlaps(visit: ReferenceVisit, start: int, end: int) -> bool:
    """Whether what is known of a visit overlaps [start, end)."""
    if visit.entry:
        begins: float = visit.entry.at
    elif visit.exit_before:
        begins = visit.exit_before.at
    else:
        begins = float("-inf")
    if visit.exit:
        ends: float = visit.exit.at
    elif visit.entry_after:
        ends = visit.entry_after.at
    else:
        ends = float("inf")
    return begins < end and ends >= start
