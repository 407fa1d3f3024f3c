"""Questions over many plates equal slow, obvious references, whatever order the reads arrive in."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from projections import flows
from projections.clones import clone_suspects, hunt_of
from projections.encounters import companions_of, travel_of
from projections.scenes import common_plates, places_of
from projections.travel import kilometres, speed
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from ring.errors import InvalidRequest
from ring.values import from_micros, micros
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.town import (
    DAY,
    MINUTE,
    NOW,
    PLACES,
    PLATES,
    READS,
    common,
    companions,
    passages_of,
    range_of,
    seen_after,
    suspects,
    town,
)
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, Seen, World

_examples = itertools.count(1)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    yield from town(make_world())


def met(reads: list[Seen], target: str, within: int) -> dict[str, tuple[int, int]]:
    """Encounters and checkpoints of every other plate."""
    ours = [p.first for p in passages_of(reads) if p.first.plate == target]
    found: dict[str, set[Seen]] = {}
    for other in (p.first for p in passages_of(reads)):
        for own in ours:
            near = other.checkpoint == own.checkpoint and abs(other.at - own.at) <= within
            if other.plate != target and near:
                found.setdefault(other.plate, set()).add(own)
    return {p: (len(owns), len({o.checkpoint for o in owns})) for p, owns in found.items()}


def impossible(reads: list[Seen]) -> set[tuple[str, str, str]]:
    """(plate, checkpoint, checkpoint) of neighbouring sure reads that are too far apart."""
    found = set()
    for plate in PLATES:
        sure = sorted(
            {(r.at, r.checkpoint) for r in reads if r.plate == plate and r.confidence >= 0.8}
        )
        for (at, here), (then, there) in itertools.pairwise(sure):
            # Two seconds are allowed for clocks; the earth is no sphere there.
            kmh = speed(kilometres(PLACES[here], PLACES[there]), then - at + 2 * SECOND)
            assume(not 198 < kmh < 202)
            if kmh > 200:
                found.add((plate, here, there))
    return found


@embedded_alone
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=READS, rng=st.randoms(use_true_random=False))
def test_any_arrival_order_with_repeats_and_late_reads_gives_the_same_answers(
    filled: Filled, drawn: list[tuple[int, str, str, Any, float]], rng: random.Random
) -> None:
    # Every example in months of its own: what is asked about one touches no other.
    begin = T0 + next(_examples) * 100 * DAY
    reads = seen_after(begin, drawn)
    end = reads[-1].at + 1
    too_fast = impossible(reads)
    rng.shuffle(reads)
    reads = [replace(read, sequence=i) for i, read in enumerate(reads, 1)]
    stored = [replace(r.stored(), originator_id=uuid4()) for r in reads]
    late = rng.randrange(len(stored))
    filled.world.insert(stored[: late + 1])
    before = filled.projection.position
    filled.apply(rng.randint(3, 14))
    everything = TimeRange(start_time=from_micros(begin), end_time=from_micros(end))
    # Counted too early: what comes late must be counted in.
    hours_in(filled, everything)
    if stored[late + 1 :]:
        filled.world.insert(stored[late + 1 :])
    filled.projection.position = before + rng.randrange(late + 1)
    filled.apply()

    for target in PLATES[:2]:
        within = rng.choice([1, 59 * SECOND, 2 * MINUTE, HOUR])
        travel = pb.FindCompanionsRequest(
            plate=target,
            range=everything,
            within=Duration(seconds=within // SECOND, nanos=within % SECOND * 1000),
            min_encounters=1,
        )
        assert {c.plate: (c.encounters, c.checkpoints) for c in companions(filled, travel)} == met(
            reads, target, within
        )

    times = [begin - 1, *(r.at for r in reads), end, end + 80 * HOUR]
    scenes = []
    for _ in range(3):
        first, last = sorted(rng.choices(times, k=2))
        scenes.append((rng.choice(list(PLACES)), first, last + 1))
    seen_at: dict[str, set[int]] = {}
    for read in reads:
        for number, (checkpoint, first, last) in enumerate(scenes):
            if read.checkpoint == checkpoint and first <= read.at < last:
                seen_at.setdefault(read.plate, set()).add(number)
    # An end that is left out is open.
    open_scene = pb.Scene(checkpoint="A", range=TimeRange(start_time=from_micros(begin)))
    at_a = common(filled, pb.FindCommonPlatesRequest(scenes=[open_scene]))
    assert {p.plate for p in at_a} >= {r.plate for r in reads if r.checkpoint == "A"}
    for least in (1, 2, 3):
        request = pb.FindCommonPlatesRequest(
            scenes=[pb.Scene(checkpoint=c, range=range_of(a, b)) for c, a, b in scenes],
            min_scenes=least,
        )
        found = common(filled, request)
        assert [(p.plate, list(p.seen_at)) for p in found] == sorted(
            ((p, sorted(s)) for p, s in seen_at.items() if len(s) >= least),
            key=lambda item: (-len(item[1]), item[0]),
        )

    clones = suspects(filled, pb.ListCloneSuspectsRequest(range=everything))
    assert {(c.plate, c.first.checkpoint, c.second.checkpoint) for c in clones} == too_fast
    assert not any(c.hint for c in clones)

    counted = Counter(
        (p.first.checkpoint, p.first.direction, p.first.at // HOUR * HOUR)
        for p in passages_of(reads)
    )
    assert hours_in(filled, everything) == counted


@pytest.fixture(autouse=True)
def _counts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "_WORTH_KEEPING", 1)


def hours_in(filled: Filled, range_: TimeRange) -> dict[tuple[str, int, int], int]:
    traffic = flows.traffic_of(pb.ListFlowsRequest(range=range_), ZoneInfo("UTC"), NOW)
    return {
        (f.checkpoint, f.direction, micros(f.hour)): f.passages
        for f in flows.flows_in(filled.client, traffic).flows
    }


def test_misreads_of_a_common_plate_are_no_common_plates(filled: Filled) -> None:
    at = T0 - 430 * DAY
    reads = []
    for place, then in (("A", at), ("B", at + HOUR)):
        reads += [
            Seen("COMMON1", then, place, confidence=0.85),
            # A misread of it at both; at one of them.
            Seen("COMMON7", then + SECOND, place, confidence=0.5),
            Seen("COMMONT", then, place, confidence=0.5, lane="1" if place == "A" else "2"),
        ]
    reads += [
        Seen("COMMONI", at + SECOND, "A", confidence=0.5),
        Seen("AAAAA12", at, "A", confidence=0.5),
        Seen("AAAAA13", at, "A", confidence=0.75),
        Seen("AAAAA12", at + HOUR, "B", confidence=0.5),
    ]
    filled.world.see(*reads)
    filled.apply()
    request = pb.FindCommonPlatesRequest(
        scenes=[
            pb.Scene(checkpoint="A", range=range_of(at - MINUTE, at + MINUTE)),
            pb.Scene(checkpoint="B", range=range_of(at, at + 2 * HOUR)),
        ]
    )
    # What was read right at one scene alone would be found at none without its misread.
    assert [p.plate for p in common(filled, request)] == ["AAAAA12", "COMMON1", "COMMONT"]
    request.min_scenes = 1
    expected = ["AAAAA12", "COMMON1", "COMMONT", "AAAAA13"]
    assert [p.plate for p in common(filled, request)] == expected
    for limit in (1, 3):
        request.limit = limit
        assert [p.plate for p in common(filled, request)] == expected[:limit]


def test_a_misread_is_told_though_the_limit_leaves_out_the_plate_that_was_misread(
    filled: Filled,
) -> None:
    at = T0 - 860 * DAY
    for n in range(6):
        # In order of plate the misread comes first, and what it was misread for last.
        filled.world.see(
            Seen(f"A{n}7LIM", at + n, "A", confidence=0.5, lane=str(n)),
            Seen(f"Z{n}7LIM", at + n, "A", confidence=0.75, lane=str(n)),
            Seen(f"M{n}8KEY", at + 10 * SECOND + n, "A", lane=str(n)),
        )
    # What it was misread for was not within the scene.
    filled.world.see(
        Seen("AA9OUT", at + MINUTE - 1, "A", confidence=0.5, lane="9"),
        Seen("ZA9OUT", at + MINUTE, "A", confidence=0.75, lane="9"),
    )
    filled.apply()
    scene = pb.Scene(checkpoint="A", range=range_of(at, at + MINUTE))
    expected = ["AA9OUT", *(f"M{n}8KEY" for n in range(6)), *(f"Z{n}7LIM" for n in range(6))]
    for limit in (1, 3, 8, 13, 100):
        request = pb.FindCommonPlatesRequest(scenes=[scene], limit=limit)
        assert [p.plate for p in common(filled, request)] == expected[:limit]


def test_filters_of_common_plates(filled: Filled) -> None:
    at = T0 - 470 * DAY
    for n, place in enumerate("AB"):
        filled.world.see(
            Seen("AB101CD", at + n * HOUR, place, ENTRY),
            Seen("AC202CD", at + n * HOUR, place, EXIT if n else ENTRY),
            Seen("AD303CD", at + n * HOUR, place, ENTRY, confidence=0.95 - n / 2),
            Seen("SBC6780", at + n * HOUR, place, ENTRY),
        )
    filled.apply()

    def there(**question: Any) -> list[str]:
        scenes = [pb.Scene(checkpoint=c, range=range_of(at, at + DAY)) for c in "AB"]
        request = pb.FindCommonPlatesRequest(scenes=scenes, **question)
        return [p.plate for p in common(filled, request)]

    assert there() == ["AB101CD", "AC202CD", "AD303CD", "SBC6780"]
    assert there(direction=ENTRY) == ["AB101CD", "AD303CD", "SBC6780"]
    assert there(min_confidence=0.9) == ["AB101CD", "AC202CD", "SBC6780"]
    assert there(region="UY") == ["SBC6780"]
    assert there(region="AR", direction=ENTRY, min_confidence=0.9) == ["AB101CD"]
    assert there(direction=EXIT, min_scenes=1) == ["AC202CD"]


def test_an_answer_says_that_its_limit_left_some_out(filled: Filled) -> None:
    at = T0 - 440 * DAY
    for n, place in ((0, "A"), (MINUTE, "B")):
        filled.world.see(*(Seen(f"CUT{i}{i}{i}", at + n + i, place) for i in range(4)))
    filled.apply()
    client, log, span = filled.client, filled.world.log, range_of(at, at + HOUR)
    scenes = [pb.Scene(checkpoint="A", range=span)]
    for limit in (1, 2, 3, 4):
        travel = pb.FindCompanionsRequest(plate="CUT000", range=span, limit=limit)
        met = companions_of(client, log, travel_of(travel))
        assert (len(met.companions), met.truncated) == (min(limit, 3), limit < 3)
        places = pb.FindCommonPlatesRequest(scenes=scenes, limit=limit)
        there = common_plates(client, log, places_of(places))
        assert (len(there.plates), there.truncated) == (limit, limit < 4)
        hunt = pb.ListCloneSuspectsRequest(range=span, limit=limit)
        clones = clone_suspects(client, log, hunt_of(hunt, Timestamp()))
        assert (len(clones.suspects), clones.truncated) == (limit, limit < 4)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: travel_of(pb.FindCompanionsRequest(plate="?")), "not a plate"),
        (
            lambda: travel_of(
                pb.FindCompanionsRequest(plate="AB123CD", within=Duration(seconds=-1))
            ),
            "within",
        ),
        (lambda: travel_of(pb.FindCompanionsRequest(plate="AB123CD", region="Q9")), "region"),
        (lambda: travel_of(pb.FindCompanionsRequest(plate="AB123CD", region="ZZ")), "formats"),
        (lambda: places_of(pb.FindCommonPlatesRequest()), "scenes"),
        (
            lambda: hunt_of(
                pb.ListCloneSuspectsRequest(range=range_of(T0, T0 + 100 * DAY)), Timestamp()
            ),
            "92 days",
        ),
        (
            lambda: hunt_of(pb.ListCloneSuspectsRequest(min_confidence=2), Timestamp(seconds=1)),
            "min_confidence",
        ),
        *(
            (
                lambda speed=speed: hunt_of(
                    pb.ListCloneSuspectsRequest(top_speed_kmh=speed), Timestamp(seconds=1)
                ),
                "top_speed_kmh",
            )
            for speed in (-1, 0.001, float("nan"), float("inf"))
        ),
    ],
)
def test_what_can_never_be_answered_is_refused(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        wrong()
