"""All live entries as of a position of the log, and which of them a read hits.

Always true here: the index is the fold of the lists' events in the log's order and of nothing else,
so folded up to the same position it gives the same matches for a read, whenever and wherever; a
list's matches depend on that list and on its own agency's allow-lists, never on another agency's.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple
from uuid import UUID

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import (
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
    HotlistPolicyChanged,
    StoredRead,
)
from proto.ring.v1.hotlist_pb2 import HOTLIST_KIND_ALLOW
from ring.entry import is_pattern
from ring.likelihood import plausible, probability, weight
from ring.pattern_index import PatternIndex
from ring.policy import Policy
from ring.reads import seen_at
from ring.validity import in_force
from ring.values import hotlist_id, micros


class Match(NamedTuple):
    """A read hits an entry.

    probability: that the vehicle's plate is the entry's. plate: the likeliest one by which it is;
    the read's own on an exact match.
    """

    hotlist: HotlistCreated
    version: int
    entry: HotlistEntry
    probability: float
    plate: str


@dataclass(slots=True)
class _List:
    created: HotlistCreated
    policy: Policy
    version: int = 0
    entries: int = 0
    lowest: float = 1.0
    weight: float = 1.0

    @property
    def allows(self) -> bool:
        """Whether it is an allow-list."""
        return self.created.kind == HOTLIST_KIND_ALLOW

    def settle(self) -> None:
        """What follows from the rest."""
        self.lowest = self.policy.lowest
        self.weight = weight(self.policy.listed_share, self.entries)


# A list's number, a serialised entry, list's number, ...: a million entries are to fit, so they
# stay bytes until one of them matches.
_Entries = tuple[int | bytes, ...]
# What the sum of a few dozen probabilities may be wrong by.
_ROUNDING = 1e-9


class _Found(NamedTuple):
    """Entries whose plate or pattern (`text`) a likely plate is; `said`: how likely it is."""

    text: str
    plate: str
    said: float
    entries: _Entries


class HotlistIndex:
    """Empty at first; give it every event of the lists in the log's order, then ask.

    zone: of the hours of watch orders (RING_TIME_ZONE). Not for two threads at a time.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._lists: list[_List] = []
        self._numbers: dict[UUID, int] = {}
        self._by_plate: dict[str, _Entries] = {}
        self._patterns = PatternIndex()
        self._allowing = False
        # What a probability must exceed at least for a near match.
        self._lowest = 1.0

    def __len__(self) -> int:
        """How many different plates and patterns there are."""
        return len(self._by_plate)

    def create(self, created: HotlistCreated) -> None:
        """A new list."""
        self._numbers[hotlist_id(created.agency, created.name)] = len(self._lists)
        made = _List(created, Policy.at_first(created))
        made.settle()
        self._lists.append(made)
        self._allowing |= made.allows
        self._settle()

    def has_list(self, agency: str, name: str) -> bool:
        """It has been created."""
        return hotlist_id(agency, name) in self._numbers

    def change_policy(self, changed: HotlistPolicyChanged) -> None:
        """A list's policy is another one from here on."""
        hotlist = self._lists[self._numbers[hotlist_id(changed.agency, changed.name)]]
        hotlist.policy = Policy.of(changed.policy)
        hotlist.version = changed.version
        hotlist.settle()
        self._settle()

    def _settle(self) -> None:
        self._lowest = min((one.lowest for one in self._lists if not one.allows), default=1.0)

    def activate(self, activated: EntriesActivated, staged: Sequence[EntriesStaged]) -> None:
        """A list's import is live from here on."""
        number = self._numbers[hotlist_id(activated.agency, activated.name)]
        hotlist = self._lists[number]
        hotlist.version, hotlist.entries = activated.version, activated.entries
        hotlist.settle()
        index = self._by_plate
        for chunk in staged:
            for gone in chunk.removed:
                left: list[int | bytes] = []
                for list_number, entry in _pairs(index.get(gone.plate, ())):
                    if (
                        list_number != number
                        or HotlistEntry.FromString(entry).entry_id != gone.entry_id
                    ):
                        left += (list_number, entry)
                if left:
                    index[gone.plate] = tuple(left)
                else:
                    index.pop(gone.plate, None)
                    self._patterns.discard(gone.plate)
            for added in chunk.added:
                one: _Entries = (number, added.SerializeToString())
                there = index.get(added.plate)
                index[added.plate] = there + one if there else one
                if not there and is_pattern(added.plate):
                    self._patterns.add(added.plate)

    def match(self, stored: StoredRead) -> Iterator[Match]:
        """The entries that a read hits, each once, with the plate read first.

        An entry is hit where it is in force at the read's time and place, and either it is the
        plate read, and the read no less sure than its list's floor; or its probability is above
        the threshold of its priority, else of its list. A read whose plate is allowed by a list of
        an agency hits no entry of that agency.
        """
        read = stored.read
        # All other plates together have what the confidence leaves: most reads are surer than any
        # near match allows, and then need not be asked what else they may be.
        above = 0.0
        if not self._has(read.plate):
            if 1.0 - read.confidence <= self._lowest - _ROUNDING:
                return iter(())
            if not self._patterns:  # which have the sum of many plates
                above = self._lowest - _ROUNDING
        likely = plausible(read, above)
        found = [
            _Found(plate, plate, said, entries)
            for plate, said in likely.items()
            if (entries := self._by_plate.get(plate))
        ]
        if self._patterns:
            found += self._by_pattern(likely)
        return self._matches(stored, found) if found else iter(())

    def _has(self, plate: str) -> bool:
        """Whether the plate is an entry's, or matches one's pattern."""
        return plate in self._by_plate or (
            bool(self._patterns) and any(True for _ in self._patterns.matching(plate))
        )

    def _by_pattern(self, likely: dict[str, float]) -> Iterator[_Found]:
        best: dict[str, str] = {}
        said: defaultdict[str, float] = defaultdict(float)
        for plate, share in likely.items():
            for pattern in self._patterns.matching(plate):
                said[pattern] += share
                if share > likely.get(best.get(pattern, ""), -1.0):
                    best[pattern] = plate
        for pattern, plate in best.items():
            yield _Found(pattern, plate, min(1.0, said[pattern]), self._by_plate[pattern])

    def _matches(self, stored: StoredRead, found: Sequence[_Found]) -> Iterator[Match]:
        read, at = stored.read, micros(seen_at(stored))
        allowed = self._allowed(stored, found, at) if self._allowing else ()
        listed: defaultdict[int, float] = defaultdict(float)
        for one in found:
            if not is_pattern(one.text):
                for number in {number for number, _ in _pairs(one.entries)}:
                    listed[number] += one.said
        for one in found:
            exact = one.plate == read.plate
            for number, raw in _pairs(one.entries):
                hotlist = self._lists[number]
                if hotlist.allows or hotlist.created.agency in allowed:
                    continue
                # A pattern's plates are as common as any others.
                likely = (
                    one.said
                    if is_pattern(one.text)
                    else probability(one.said, listed[number], hotlist.weight)
                )
                if (
                    read.confidence < hotlist.policy.confidence_floor
                    if exact
                    else (likely <= hotlist.lowest)
                ):
                    continue
                entry = HotlistEntry.FromString(raw)
                if not exact and likely <= hotlist.policy.threshold_of(entry.priority):
                    continue
                if in_force(entry, at, stored.checkpoint, self._zone):
                    yield Match(hotlist.created, hotlist.version, entry, likely, one.plate)

    def _allowed(self, stored: StoredRead, found: Sequence[_Found], at: int) -> set[str]:
        """The agencies that know the vehicle: the plate read is on an allow-list of theirs."""
        return {
            self._lists[number].created.agency
            for one in found
            if one.plate == stored.read.plate
            for number, raw in _pairs(one.entries)
            if self._lists[number].allows
            and stored.read.confidence >= self._lists[number].policy.confidence_floor
            and in_force(HotlistEntry.FromString(raw), at, stored.checkpoint, self._zone)
        }


def _pairs(flat: _Entries) -> Iterator[tuple[int, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)  # type: ignore[arg-type]
