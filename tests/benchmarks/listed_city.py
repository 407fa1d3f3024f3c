"""A city whose vehicles have plates like those of the pictures, some of them listed.

Always true here: a plate outside the patterns of the pictures' plates is on no vehicle; the lists
are drawn with a seed; the product's own index matches, nothing else does.
"""

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC
from random import Random
from typing import Any

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import EntriesActivated, EntriesStaged, HotlistCreated, StoredRead
from proto.ring.v1.ingest_pb2 import PlateRead
from ring.hotlist_index import HotlistIndex
from ring.likelihood import plausible
from ring.policy import Policy
from tests.benchmarks.passages import Passage

VEHICLES = 15_000_000
"""On the road in and around a city like Buenos Aires."""
_KINDS = str.maketrans(
    string.ascii_uppercase + string.digits, "A" * len(string.ascii_uppercase) + "9" * 10
)


def pattern_of(plate: str) -> str:
    """A plate with A for every letter and 9 for every digit."""
    return plate.translate(_KINDS)


def plates_of(pattern: str) -> int:
    """How many plates a pattern has."""
    letters = pattern.count("A")
    return int(26**letters * 10 ** (len(pattern) - letters))


class City:
    """Vehicles that have each pattern as often as these plates do, which are the pictures'.

    crowded: numbers are given out in sequence, so all plates near one on the road are too; else a
    pattern's plates are spread evenly over all that it has. The truth lies between: Argentina's
    AA999AA has come to AH, and where a plate starts with AA to AH every end of it was given out.
    """

    def __init__(
        self, plates: Iterable[str], vehicles: int = VEHICLES, *, crowded: bool = False
    ) -> None:
        self.vehicles, self.crowded = vehicles, crowded
        counts = Counter(map(pattern_of, plates))
        self._density = {
            pattern: 1.0
            if crowded
            else min(1.0, count / counts.total() * vehicles / plates_of(pattern))
            for pattern, count in counts.items()
        }

    def density(self, plate: str) -> float:
        """The chance that a plate which is not the vehicle's own is on the road."""
        return self._density.get(pattern_of(plate), 0.0)

    def chance(self, listed: int) -> float:
        """The share of its vehicles that are listed where so many are."""
        return listed / self.vehicles


def simulated(
    seen: Sequence[Passage], entries: int, reads: int, seed: int = 1, common: str = "AAA999"
) -> dict[str, Any]:
    """Reads of made-up vehicles through the product's own index, beside what is expected of them.

    Of the pattern `common`, that of the smallest space, so that there are false alerts to count.
    Each read is a real one in which letters have changed places, and digits have: text, posterior
    and label alike, so that it doubts and errs as the real one does, at another plate. First they
    pass with a list drawn at random, then one in ten of them with a list that has them all.
    """
    rng = Random(seed)
    real = [one for one in seen if one.read is not None and pattern_of(one.plate) == common]
    made = [_changed(rng.choice(real), rng) for _ in range(reads)]
    listed: set[str] = set()
    while len(listed) < entries:
        listed.add(_drawn(common, rng))
    chance = entries / plates_of(common)
    index = listing(sorted(listed))
    false, expected = Counter[str](), Counter[str]()
    for plate, read in made:
        could = {"exact": {read.plate}, "ours": alerting(read)}
        for way, plates in could.items():
            expected[way] += sum(pattern_of(other) == common for other in plates - {plate})
        false["exact"] += len(({read.plate} & listed) - {plate})
        false["ours"] += len(_hits(index, read) - {plate})
    wanted = made[: reads // 10]
    index = listing(sorted({plate for plate, _ in wanted}))
    return {
        "reads": reads,
        "entries": entries,
        "false": dict(false),
        "expected": {way: round(count * chance, 1) for way, count in expected.items()},
        "listed_passed": len(wanted),
        "found": sum(plate in _hits(index, read) for plate, read in wanted),
        "found_expected": sum(plate in alerting(read) for plate, read in wanted),
        "found_exactly": sum(plate == read.plate for plate, read in wanted),
    }


def alerting(read: PlateRead) -> set[str]:
    """The plates that would alert were they listed, under the default policy."""
    policy = Policy()
    return {
        plate
        for plate, said in plausible(read).items()
        if (
            read.confidence >= policy.confidence_floor
            if plate == read.plate
            else said > policy.threshold
        )
    }


def _hits(index: HotlistIndex, read: PlateRead) -> set[str]:
    return {match.entry.plate for match in index.match(StoredRead(read=read))}


def listing(plates: Sequence[str]) -> HotlistIndex:
    """The index of one list of these plates, under the default policy."""
    index = HotlistIndex(UTC)
    index.create(HotlistCreated(agency="police", name="stolen", confidence_floor=0.5))
    for start in range(0, len(plates), 5000):
        added = [
            HotlistEntry(plate=plate, entry_id=str(start + number))
            for number, plate in enumerate(plates[start : start + 5000])
        ]
        live = EntriesActivated(agency="police", name="stolen", entries=start + len(added))
        index.activate(live, [EntriesStaged(added=added)])
    return index


def _changed(one: Passage, rng: Random) -> tuple[str, PlateRead]:
    """A plate and its read like a real one's, with other letters and digits."""
    assert one.read is not None
    kinds = (string.ascii_uppercase, string.digits)
    table = str.maketrans(
        "".join(kinds), "".join("".join(rng.sample(kind, len(kind))) for kind in kinds)
    )
    read = PlateRead()
    read.CopyFrom(one.read)
    read.plate = read.plate.translate(table)
    for row in read.posterior:
        row.characters = row.characters.translate(table)
    return one.plate.translate(table), read


def _drawn(pattern: str, rng: Random) -> str:
    return "".join(
        rng.choice(string.ascii_uppercase if kind == "A" else string.digits) for kind in pattern
    )
