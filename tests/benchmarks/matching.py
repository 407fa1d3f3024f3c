"""What matching costs a read against a long hotlist, beside one look-up of its plate.

Reads are made up after the real ones of the pictures in ../shared/data/plates: their confidences
have the same quantiles, and the doubt falls on what the model of confusions has behind a character.
"""

import gc
import itertools
import random
import time
from bisect import bisect
from collections.abc import Callable, Iterable
from typing import Any
from zoneinfo import ZoneInfo

import psutil

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import EntriesActivated, EntriesStaged, HotlistCreated, StoredRead
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import measured
from ring.hotlist_index import HotlistIndex
from ring.likelihood import plausible
from tests.benchmarks.load import plate

# Of the hub's model.
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_CONFIDENCES = (0.324, 0.689, 0.894, 0.974, 0.992, 0.996, 0.998)
# What a reader leaves out of a posterior.
_KEPT = 0.002
_PATTERNS = 1000


def matching(entries: int = 1_000_000, reads: int = 20_000, rounds: int = 5) -> dict[str, Any]:
    """Microseconds a read of a look-up, of the likely plates alone, and of matching.

    Processor time; they take turns, and the fastest round of each counts, so that what else the
    machine does weighs on all alike. One read in 500 is of a listed plate. Patterns are matched in
    a list of their own: what they add to a list is what they cost beyond the likely plates.
    """
    rng = random.Random(1)
    before = psutil.Process().memory_info().rss
    index = index_of(entries)
    memory = psutil.Process().memory_info().rss - before
    wild = HotlistIndex(ZoneInfo("UTC"))
    _activate(wild, _patterns(rng))
    known = {plate(entries + n): n for n in range(entries)}
    sure = [_read(rng, entries) for _ in range(reads)]
    bare = [_without_posterior(stored) for stored in sure]
    plates = [stored.read.plate for stored in sure]
    ways: dict[str, Callable[[], object]] = {
        "look_up": lambda: [known.get(plate) for plate in plates],
        "likely_plates": lambda: [plausible(stored.read) for stored in sure],
        "match": lambda: sum(len(list(index.match(stored))) for stored in sure),
        "match_without_posterior": lambda: sum(len(list(index.match(s))) for s in bare),
        "match_patterns": lambda: sum(len(list(wild.match(stored))) for stored in sure),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            started = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - started)
    each = {f"{name}_us": round(seconds / reads * 1e6, 2) for name, seconds in best.items()}
    return {
        "hotlist_entries": entries,
        "reads": reads,
        **each,
        "look_ups": round(best["match"] / best["look_up"], 1),
        "matches": sum(len(list(index.match(stored))) for stored in sure),
        "index_mib": memory >> 20,
        "patterns": _PATTERNS,
    }


def index_of(entries: int) -> HotlistIndex:
    """An index with one list of so many entries."""
    index = HotlistIndex(ZoneInfo("UTC"))
    _activate(index, (plate(n) for n in range(entries)))
    return index


def _activate(index: HotlistIndex, plates: Iterable[str]) -> None:
    """One list of these plates or patterns."""
    index.create(HotlistCreated(agency="police", name="stolen", confidence_floor=0.5))
    numbered = enumerate(plates)
    while some := list(itertools.islice(numbered, 5000)):
        added = [HotlistEntry(plate=p, reason="stolen", entry_id=f"{n:036d}") for n, p in some]
        live = EntriesActivated(agency="police", name="stolen", entries=some[-1][0] + 1)
        index.activate(live, [EntriesStaged(added=added)])


def _patterns(rng: random.Random) -> list[str]:
    """What is known of a plate: its beginning, its end, its middle, both ends, all but some."""
    found: dict[str, None] = {}
    while len(found) < _PATTERNS:
        text = plate(rng.randrange(10_000_000))
        start, some = rng.randint(1, 3), rng.randint(3, 4)
        unknown = rng.sample(range(len(text)), rng.randint(1, 3))
        masked = "".join("?" if n in unknown else c for n, c in enumerate(text))
        shapes = (
            f"{text[:some]}*",
            f"*{text[-some:]}",
            f"*{text[start : start + some]}*",
            f"{text[:start]}*{text[-3:]}",
            f"{masked[:5]}*",
            f"*{masked[2:]}",
            f"{text[0]}*{text[start + 1 : start + 3]}*",
            masked,
        )
        found[rng.choice(shapes)] = None
    return list(found)


def _read(rng: random.Random, entries: int) -> StoredRead:
    """A read; its doubt lies in few of its places, and falls on what those are confused with."""
    listed = rng.random() < 1 / 500
    text = plate(rng.randrange(entries) + (0 if listed else entries))
    confidence = _confidence(rng.random())
    doubts = [rng.expovariate(1.0) ** 4 for _ in text]
    read = PlateRead(plate=text, confidence=confidence)
    for character, doubt in zip(text, doubts, strict=True):
        share = confidence ** (doubt / sum(doubts))
        rivals = sorted(measured().behind[character].items(), key=lambda r: -r[1])[:5]
        whole = sum(ratio for _, ratio in rivals)
        said = {character: share} | {
            rival or "_": (1 - share) * ratio / whole
            for rival, ratio in rivals
            if (1 - share) * ratio / whole >= _KEPT
        }
        row = sorted(said.items(), key=lambda r: -r[1])
        read.posterior.append(
            CharacterCandidates(
                characters="".join(c for c, _ in row), probabilities=[p for _, p in row]
            )
        )
    read.captured_at.FromSeconds(1_800_000_000)
    return _parsed(StoredRead(read=read, checkpoint="GP-01"))


def _without_posterior(stored: StoredRead) -> StoredRead:
    bare = _parsed(stored)
    del bare.read.posterior[:]
    return bare


def _parsed(stored: StoredRead) -> StoredRead:
    """As the matcher has it from the log."""
    return StoredRead.FromString(stored.SerializeToString())


def _confidence(share: float) -> float:
    """The confidence that this share of reads is below."""
    after = min(max(bisect(_QUANTILES, share), 1), len(_QUANTILES) - 1)
    (low, high), (least, most) = (
        _QUANTILES[after - 1 : after + 1],
        _CONFIDENCES[after - 1 : after + 1],
    )
    return least + (most - least) * (share - low) / (high - low)


if __name__ == "__main__":
    print(matching())
