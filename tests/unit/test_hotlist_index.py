"""Which entries a read hits, beside a reference that looks at every entry of every list."""

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from proto.ring.v1.events_pb2 import (
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
    HotlistPolicyChanged,
    RemovedEntry,
    StoredRead,
)
from proto.ring.v1.hotlist_pb2 import HOTLIST_KIND_ALERT, HOTLIST_KIND_ALLOW, HotlistPolicy
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.hotlist_index import HotlistIndex, Match
from ring.likelihood import plausible
from ring.pattern_index import PatternIndex

AT = 1_800_000_000
ZONE = ZoneInfo("America/Argentina/Buenos_Aires")


def stored(
    plate: str,
    confidence: float = 0.9,
    *rows: dict[str, float],
    at: int = AT,
    checkpoint: str = "GP-01",
) -> StoredRead:
    read = PlateRead(
        plate=plate,
        confidence=confidence,
        posterior=[
            CharacterCandidates(characters="".join(row), probabilities=list(row.values()))
            for row in rows
        ],
    )
    read.captured_at.FromSeconds(at)
    return StoredRead(read=read, checkpoint=checkpoint)


def unsure(plate: str, place: int, other: str, share: float) -> StoredRead:
    """Read sharply but for one place (from 1), where another character has a share."""
    rows = [{c: 1.0} for c in plate]
    rows[place - 1] = {plate[place - 1]: 1 - share, other: share}
    return stored(plate, 1 - share, *rows)


@dataclass
class Lists:
    """An index, and the same lists kept plainly."""

    index: HotlistIndex = field(default_factory=lambda: HotlistIndex(ZONE))
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    policies: dict[tuple[str, str], HotlistPolicy] = field(default_factory=dict)
    entries: dict[tuple[str, str], dict[str, HotlistEntry]] = field(default_factory=dict)
    count: int = 0

    def create(self, agency: str, name: str, kind: int = 0, **policy: object) -> None:
        asked = HotlistPolicy(**policy)
        self.kinds[agency, name], self.policies[agency, name] = kind, asked
        self.entries[agency, name] = {}
        self.index.create(HotlistCreated(agency=agency, name=name, kind=kind, policy=asked))

    def change(self, agency: str, name: str, **policy: object) -> None:
        asked = self.policies[agency, name] = HotlistPolicy(**policy)
        self.index.change_policy(HotlistPolicyChanged(agency=agency, name=name, policy=asked))

    def add(self, agency: str, name: str, *entries: HotlistEntry) -> list[str]:
        live = self.entries[agency, name]
        for entry in entries:
            self.count += 1
            entry.entry_id = f"e{self.count}"
            live[entry.entry_id] = entry
        self._activate(agency, name, EntriesStaged(added=entries))
        return [entry.entry_id for entry in entries]

    def remove(self, agency: str, name: str, *ids: str) -> None:
        live = self.entries[agency, name]
        gone = [RemovedEntry(entry_id=i, plate=live.pop(i).plate) for i in ids]
        self._activate(agency, name, EntriesStaged(removed=gone))

    def _activate(self, agency: str, name: str, staged: EntriesStaged) -> None:
        entries = len(self.entries[agency, name])
        activated = EntriesActivated(agency=agency, name=name, entries=entries)
        self.index.activate(activated, [staged])

    def expected(self, read: StoredRead) -> dict[str, float]:
        """Entry ids and probabilities, every entry looked at by itself."""
        likely = plausible(read.read)
        plate, found = read.read.plate, {}
        for (agency, name), entries in self.entries.items():
            policy = self.policies[agency, name]
            floor = policy.confidence_floor if policy.HasField("confidence_floor") else 0.5
            threshold = policy.threshold if policy.HasField("threshold") else 0.2
            share = policy.listed_share if policy.HasField("listed_share") else 0.002
            allowed = any(
                fits(entry.plate, plate) and read.read.confidence >= self.floor(owner, other)
                for (owner, other), known in self.entries.items()
                if owner == agency and self.kinds[owner, other] == HOTLIST_KIND_ALLOW
                for entry in known.values()
            )
            if allowed or self.kinds[agency, name] == HOTLIST_KIND_ALLOW:
                continue
            plates = {e.plate for e in entries.values()}
            w = min(1.0, share * 1e8 / max(1, len(entries)))
            listed = min(1.0, sum(p for x, p in likely.items() if x in plates))
            for entry in entries.values():
                said = sum(p for x, p in likely.items() if fits(entry.plate, x))
                if {"?", "*"}.isdisjoint(entry.plate):
                    said = said * w / (1 - (1 - w) * listed)
                limit = policy.priority_thresholds.get(entry.priority, threshold)
                if read.read.confidence >= floor if fits(entry.plate, plate) else said > limit:
                    found[entry.entry_id] = min(1.0, said)
        return found

    def floor(self, agency: str, name: str) -> float:
        policy = self.policies[agency, name]
        return policy.confidence_floor if policy.HasField("confidence_floor") else 0.5

    def hits(self, read: StoredRead) -> list[Match]:
        return list(self.index.match(read))


def fits(pattern: str, plate: str) -> bool:
    expression = pattern.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*")
    return re.fullmatch(expression, plate) is not None


def entries(*plates: str, **fields: str) -> list[HotlistEntry]:
    return [HotlistEntry(plate=plate, **fields) for plate in plates]


PLATES = st.text(alphabet="O0B8", min_size=2, max_size=3)
PATTERNS = st.text(alphabet="O0?*", min_size=1, max_size=4).filter(lambda t: set(t) & set("O0"))
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.sampled_from([0.02, 0.1, 0.3, 1.0]),
        "confidence_floor": st.sampled_from([0.0, 0.5, 0.9]),
        "priority_thresholds": st.just({"high": 0.05}),
        "listed_share": st.sampled_from([1e-8, 1e-7, 0.002]),
    },
)
LISTS = [("police", "stolen"), ("police", "own"), ("customs", "wanted"), ("customs", "known")]
STEPS = st.one_of(
    st.tuples(
        st.just("add"),
        st.sampled_from(LISTS),
        st.lists(st.tuples(st.one_of(PLATES, PATTERNS), st.sampled_from(["", "high"])), max_size=4),
    ),
    st.tuples(st.just("remove"), st.sampled_from(LISTS), st.integers(0, 5)),
    st.tuples(st.just("change"), st.sampled_from(LISTS), POLICIES),
)
ROWS = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


@settings(max_examples=200, deadline=None)
@given(
    allowing=st.sets(st.sampled_from(LISTS), max_size=2),
    steps=st.lists(STEPS, max_size=12),
    rows=st.lists(ROWS, min_size=2, max_size=3),
    sure=st.floats(0, 1),
)
def test_a_read_hits_what_looking_at_every_entry_finds(
    allowing: set[tuple[str, str]], steps: list[tuple], rows: list[list[int]], sure: float
) -> None:
    lists = Lists()
    for agency, name in LISTS:
        kind = HOTLIST_KIND_ALLOW if (agency, name) in allowing else HOTLIST_KIND_ALERT
        lists.create(agency, name, kind)
    for what, (agency, name), argument in steps:
        if what == "add":
            made = [HotlistEntry(plate=plate, priority=priority) for plate, priority in argument]
            lists.add(agency, name, *made)
        elif what == "remove":
            lists.remove(agency, name, *list(lists.entries[agency, name])[:argument])
        else:
            lists.change(agency, name, **argument)
    shares = [{c: n / sum(row) for c, n in zip("O0B8", row, strict=True) if n} for row in rows]
    best = "".join(max(row, key=row.__getitem__) for row in shares)
    for read in (stored(best, sure, *shares), stored(best, sure), stored(best, 0.9)):
        hits = lists.hits(read)
        got = {hit.entry.entry_id: hit.probability for hit in hits}
        assert got == pytest.approx(lists.expected(read), abs=1e-6)
        assert len(got) == len(hits)
        for hit in hits:
            assert fits(hit.entry.plate, hit.plate)
            assert 0 <= hit.probability <= 1


@given(patterns=st.sets(PATTERNS, max_size=8), gone=st.sets(PATTERNS, max_size=3), plate=PLATES)
def test_patterns_are_found_as_one_by_one(patterns: set[str], gone: set[str], plate: str) -> None:
    index = PatternIndex()
    for pattern in [*patterns, *gone, *patterns]:
        index.add(pattern)
    for pattern in [*gone, *gone]:
        index.discard(pattern)
    left = patterns - gone
    assert len(index) == len(left)
    assert sorted(index.matching(plate)) == sorted(p for p in left if fits(p, plate))


def test_a_plate_costs_little_more_however_many_patterns_there_are() -> None:
    rng = Random(1)

    def plate() -> str:
        return "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", k=7))

    def some(count: int) -> PatternIndex:
        index = PatternIndex()
        while len(index) < count:
            text = plate()
            shapes = (f"{text[:3]}*", f"*{text[3:]}", f"*{text[2:5]}*", f"{text[:2]}?*{text[5:]}")
            index.add(rng.choice(shapes))
        return index

    def cost(index: PatternIndex) -> float:
        started = time.process_time()
        for text in plates:
            list(index.matching(text))
        return time.process_time() - started

    plates = [plate() for _ in range(1000)]
    few, many = some(100), some(5000)
    # The quickest of some rounds; one by one, fifty times as many cost fifty times as much.
    assert min(cost(many) for _ in range(5)) < 10 * min(cost(few) for _ in range(5))


def test_a_near_match_is_hit_above_the_threshold_of_its_priority_or_else_its_list() -> None:
    lists = Lists()
    lists.create("police", "stolen", priority_thresholds={"high": 0.05, "low": 0.4})
    lists.add("police", "stolen", *entries("AB120CD"), *entries("AB120CD", priority="high"))
    lists.add("police", "stolen", *entries("AB120CD", priority="low"))
    for share, expected in ((0.04, 0), (0.1, 1), (0.25, 2), (0.45, 3)):
        hits = lists.hits(unsure("AB12OCD", 5, "0", share))
        assert [round(hit.probability, 2) for hit in hits] == [share] * expected
        assert {hit.plate for hit in hits} <= {"AB120CD"}
    lists.change("police", "stolen", threshold=1.0)
    assert not lists.hits(unsure("AB12OCD", 5, "0", 0.5))
    assert len(lists.hits(unsure("AB120CD", 5, "O", 0.5))) == 3  # exact matches alert as ever


def test_a_list_is_matched_the_same_whatever_others_hold() -> None:
    alone, beside = Lists(), Lists()
    for lists in (alone, beside):
        lists.create("police", "stolen", listed_share=1e-8)
        lists.add("police", "stolen", *entries("AB120CD", "XX11111", "XX11112"))
    beside.create("customs", "wanted", threshold=0.02)
    beside.add("customs", "wanted", *entries("AB12OCD", "AB12DCD", "AB1????", "*0CD"))
    beside.create("customs", "known", HOTLIST_KIND_ALLOW)
    beside.add("customs", "known", *entries("AB12OCD"))
    for share in (0.1, 0.3, 0.45):
        read = unsure("AB12OCD", 5, "0", share)
        ours = [hit for hit in beside.hits(read) if hit.hotlist.agency == "police"]
        assert [(h.probability, h.plate) for h in ours] == [
            (h.probability, h.plate) for h in alone.hits(read)
        ]


def test_known_vehicles_raise_no_alert_of_their_agency() -> None:
    lists = Lists()
    lists.create("police", "stolen")
    lists.create("police", "patrol cars", HOTLIST_KIND_ALLOW)
    lists.create("customs", "wanted")
    lists.add("police", "stolen", *entries("AB1*", "AB120CD"))
    lists.add("customs", "wanted", *entries("AB1*"))
    known = HotlistEntry(plate="AB12OCD")
    known.expires_at.FromSeconds(AT + 10)
    lists.add("police", "patrol cars", known)

    def agencies(read: StoredRead) -> list[str]:
        return [hit.hotlist.agency for hit in lists.hits(read)]

    rows = [{c: 1.0} for c in "AB12"] + [{"O": 0.6, "0": 0.4}] + [{c: 1.0} for c in "CD"]
    assert agencies(stored("AB12OCD", 0.6, *rows)) == ["customs"]
    # What is read less surely than the allow-list's floor is not taken for the known vehicle.
    assert sorted(agencies(stored("AB12OCD", 0.49, *rows))) == ["police"]
    # A near match of a known vehicle means nothing, and neither does an entry out of force.
    assert agencies(unsure("AB120CD", 5, "O", 0.4)).count("police") == 2
    assert agencies(stored("AB12OCD", 0.6, *rows, at=AT + 10)).count("police") == 2


def local(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC).timestamp())


@pytest.mark.parametrize(
    ("weekdays", "begins", "ends", "inside", "outside"),
    [
        # 2026-11-16 is a Monday.
        ([1], 480, 1080, ["2026-11-16T08:00", "2026-11-16T17:59:59"],
         ["2026-11-16T07:59:59", "2026-11-16T18:00", "2026-11-17T08:00"]),
        ([5, 6], 1320, 360, ["2026-11-20T22:00", "2026-11-21T05:59", "2026-11-22T05:59"],
         ["2026-11-20T05:59", "2026-11-22T22:00", "2026-11-21T06:00"]),
        ([7], 1380, 60, ["2026-11-22T23:30", "2026-11-23T00:30"], ["2026-11-22T00:30"]),
        ([1], 0, 0, ["2026-11-16T00:00", "2026-11-16T23:59"], ["2026-11-17T00:00"]),
        ([1], 1200, 1440, ["2026-11-16T23:59"], ["2026-11-17T00:00", "2026-11-16T19:59"]),
        ([], 600, 660, ["2026-11-16T10:30", "2026-11-22T10:30"], ["2026-11-16T11:00"]),
    ],
)  # fmt: skip
def test_a_watch_order_is_for_its_hours_in_the_zone_of_peoples_days(
    weekdays: list[int], begins: int, ends: int, inside: list[str], outside: list[str]
) -> None:
    lists = Lists()
    lists.create("police", "watched")
    hours = WeeklyHours(weekdays=weekdays, from_minute=begins, to_minute=ends)
    lists.add("police", "watched", HotlistEntry(plate="AB123CD", hours=[hours]))
    for text in inside:
        assert lists.hits(stored("AB123CD", at=local(text))), text
    for text in outside:
        assert not lists.hits(stored("AB123CD", at=local(text))), text


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        # Berlin's clocks go from 02:00 to 03:00 on Sunday 2026-03-29, and on 2026-10-25 through the
        # hour from 02:00 twice. Times here are UTC.
        (([7], 90, 210), ["2026-03-29T00:30", "2026-03-29T01:29"],
         ["2026-03-29T00:29", "2026-03-29T01:30"]),
        (([7], 120, 180), ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T01:59"],
         ["2026-03-29T00:59", "2026-03-29T01:00", "2026-10-24T23:59", "2026-10-25T02:00"]),
        # Saturday, 22:00 to 06:00: seven hours long in March, nine in October.
        (([6], 1320, 360), ["2026-03-28T21:00", "2026-03-29T03:59", "2026-10-24T20:00",
         "2026-10-25T04:59"], ["2026-03-28T20:59", "2026-03-29T04:00", "2026-10-25T05:00"]),
    ],
)  # fmt: skip
def test_the_hours_of_a_watch_order_are_those_that_the_clocks_show(
    hours: tuple[list[int], int, int], inside: list[str], outside: list[str]
) -> None:
    lists = Lists(index=HotlistIndex(ZoneInfo("Europe/Berlin")))
    lists.create("police", "watched")
    weekdays, begins, ends = hours
    weekly = WeeklyHours(weekdays=weekdays, from_minute=begins, to_minute=ends)
    lists.add("police", "watched", HotlistEntry(plate="AB123CD", hours=[weekly]))

    def hit(text: str) -> bool:
        at = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        return bool(lists.hits(stored("AB123CD", at=at)))

    assert [text for text in inside if not hit(text)] == []
    assert [text for text in outside if hit(text)] == []


def test_a_watch_order_is_for_its_checkpoints_and_validity() -> None:
    lists = Lists()
    lists.create("police", "watched")
    entry = HotlistEntry(plate="AB123CD", checkpoints=["GP-01", "GP-03"])
    entry.valid_from.FromSeconds(AT)
    entry.expires_at.FromSeconds(AT + 100)
    lists.add("police", "watched", entry)
    assert lists.hits(stored("AB123CD"))
    assert not lists.hits(stored("AB123CD", checkpoint="GP-02"))
    assert lists.hits(stored("AB123CD", checkpoint="GP-03", at=AT + 99))
    assert not lists.hits(stored("AB123CD", at=AT - 1))
    assert not lists.hits(stored("AB123CD", at=AT + 100))
