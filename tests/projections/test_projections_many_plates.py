"""Questions over many plates equal slow, obvious references, whatever order the reads arrive in."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import comb, exp, log10
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
from projections.encounters import common_plates, companions_of, places_of, surprise, travel_of
from projections.travel import kilometres, speed
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.events_pb2 import CheckpointPlaced
from ring.errors import InvalidRequest
from ring.values import from_micros, micros
from tests.projections import reference
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World

DAY = 24 * HOUR
MINUTE = 60 * SECOND
# About 11 km from one to the next, and a kilometre from D to A.
PLACES = {"A": (-34.50, -58.5), "B": (-34.60, -58.5), "C": (-34.70, -58.5), "D": (-34.509, -58.5)}
# No two of them are one character apart: none is a misread of another.
PLATES = ["AB123CD", "AB123OO", "XYZ987", "ABC123"]
MAX_VISIT = 72 * HOUR
# After every read of these tests, most of which lie in 2022 to 2027.
NOW = Timestamp(seconds=2_000_000_000)
_examples = itertools.count(1)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    for code, (latitude, longitude) in PLACES.items():
        place = CheckpointPlaced(
            code=code, name=code, latitude=latitude, longitude=longitude, at=from_micros(T0)
        )
        filled.world.happen("ring.checkpoint.registered", place, f"checkpoint-{code}")
    filled.apply()
    yield filled
    filled.client.close()


def range_of(start: int, end: int) -> TimeRange:
    return TimeRange(start_time=from_micros(start), end_time=from_micros(end))


def companions(filled: Filled, request: pb.FindCompanionsRequest) -> list[pb.Companion]:
    return list(companions_of(filled.client, filled.world.log, travel_of(request)).companions)


def common(filled: Filled, request: pb.FindCommonPlatesRequest) -> list[pb.CommonPlate]:
    return list(common_plates(filled.client, filled.world.log, places_of(request)).plates)


def suspects(filled: Filled, request: pb.ListCloneSuspectsRequest) -> list[pb.CloneSuspect]:
    hunt = hunt_of(request, Timestamp())
    return list(clone_suspects(filled.client, filled.world.log, hunt).suspects)


def passages_of(reads: list[Seen]) -> list[reference.ReferencePassage]:
    return [
        p for plate in PLATES for p in reference.passages([r for r in reads if r.plate == plate])
    ]


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


GAPS = st.sampled_from([0, 1, 20 * SECOND, MINUTE, MINUTE + 1, 3 * MINUTE, HOUR, 40 * HOUR])
READS = st.lists(
    st.tuples(
        GAPS,
        st.sampled_from(PLATES),
        st.sampled_from(list(PLACES)),
        st.sampled_from([UNKNOWN, ENTRY, EXIT]),
        st.sampled_from([0.5, 0.95]),
    ),
    min_size=1,
    max_size=24,
)


def seen_after(begin: int, drawn: list[tuple[int, str, str, Any, float]]) -> list[Seen]:
    """The drawn reads, in order of time; none of their passages is long."""
    at, reads = begin, []
    for gap, plate, checkpoint, direction, confidence in drawn:
        at += gap
        reads.append(Seen(plate, at, checkpoint, direction, confidence=confidence))
    assume(all(p.reads[-1].at - p.first.at < 100 * SECOND for p in passages_of(reads)))
    return reads


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


def test_meetings_at_a_quiet_place_are_more_surprising_than_more_of_them_in_rush_hour(
    filled: Filled,
) -> None:
    at = T0 - 50 * DAY
    reads = []
    for day in range(4):
        morning = at + day * DAY
        reads.append(Seen("TARGET1", morning, "A"))
        reads.append(Seen("COMMUTE", morning + 30 * SECOND, "A"))
        reads += [Seen(f"RUSH{day}{i:03}", morning + i * SECOND, "A") for i in range(60)]
        if day < 3:
            reads.append(Seen("TARGET1", morning + 6 * HOUR, "B"))
            reads.append(Seen("CONVOY1", morning + 6 * HOUR + 40 * SECOND, "B"))
    filled.world.see(*reads)
    filled.apply()
    request = pb.FindCompanionsRequest(plate="TARGET1", range=range_of(at, at + 5 * DAY))
    first, second = companions(filled, request)
    assert (first.plate, first.encounters, first.checkpoints) == ("CONVOY1", 3, 1)
    assert (second.plate, second.encounters) == ("COMMUTE", 4)
    assert first.score > second.score + 2
    assert first.expected < second.expected
    request.checkpoints.append("A")
    assert [c.plate for c in companions(filled, request)] == ["COMMUTE"]


def test_the_targets_own_misreads_are_no_companions(filled: Filled) -> None:
    at = T0 - 420 * DAY
    for day in range(3):
        then = at + day * DAY
        filled.world.see(
            Seen("TARGET2", then, "A", confidence=0.85),
            Seen("TARGETZ", then + SECOND, "A", confidence=0.5),
            # Another lane: a companion, and its misread, whose meetings are with the target.
            Seen("TARGET7", then + 2 * SECOND, "A", confidence=0.8, lane="2"),
            Seen("TARGE77", then + 2 * SECOND, "A", confidence=0.5, lane="2"),
            # As often a misread as not.
            Seen("TARGET3", then + SECOND, "A", confidence=0.5, lane="1" if day else "3"),
        )
    filled.apply()
    request = pb.FindCompanionsRequest(plate="TARGET2", range=range_of(at, at + 3 * DAY))
    assert {c.plate: c.encounters for c in companions(filled, request)} == {
        "TARGET7": 3,
        "TARGE77": 3,
    }
    request.min_encounters = 1
    assert {c.plate: c.encounters for c in companions(filled, request)} == {
        "TARGET7": 3,
        "TARGE77": 3,
        "TARGET3": 1,
    }


def test_nobody_is_met_where_another_was_misread_as_the_target(filled: Filled) -> None:
    at = T0 - 425 * DAY
    for n, place in enumerate("ABC"):
        filled.world.see(Seen("CONVOY2", at + n * HOUR + 20 * SECOND, place))
    filled.world.see(
        Seen("TARGET4", at, "A"),
        # Unsure, and beside nobody.
        Seen("TARGET4", at + HOUR, "B", confidence=0.5),
        # It was another's.
        Seen("TARGET4", at + 2 * HOUR, "C", confidence=0.5),
        Seen("TARGETA", at + 2 * HOUR, "C", confidence=0.75),
    )
    filled.apply()
    request = pb.FindCompanionsRequest(
        plate="TARGET4", range=range_of(at, at + DAY), min_encounters=1
    )
    assert {c.plate: c.encounters for c in companions(filled, request)} == {"CONVOY2": 2}
    # Nothing of it is left.
    request.checkpoints.append("C")
    assert companions(filled, request) == []


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


def test_a_chance_meeting_scores_nothing() -> None:
    assert surprise([500] * 3, 30, 0.01) == 0
    assert surprise([1] * 3, 3, 1e-6) == pytest.approx(18, abs=0.1)


def test_scores_are_those_of_the_formula(make_world: Callable[[], World]) -> None:
    filled = Filled(make_world())
    rng = random.Random(4)
    plates = ["AB123CD", "XYZ987", "ABC124", "AC567OP", "MNO468"]
    reads = [
        Seen(rng.choice(plates), T0 + rng.randrange(40) * 90 * SECOND, rng.choice("AB"))
        for _ in range(120)
    ]
    filled.world.see(*reads)
    filled.apply()
    within = 2 * MINUTE
    begins = {
        plate: [p.first for p in reference.passages(filled.world.numbered(own))]
        for plate in plates
        for own in [[r for r in reads if r.plate == plate]]
    }
    ours = begins[plates[0]]
    near = [
        {
            plate
            for plate in plates[1:]
            for b in begins[plate]
            if b.checkpoint == o.checkpoint and abs(b.at - o.at) <= within
        }
        for o in ours
    ]
    expected = {}
    for plate in plates[1:]:
        share = sum(r.plate == plate for r in reads) / len(reads)
        by_chance = [1 - exp(-len(met) * share) for met in near]
        met = [p for p, who in zip(by_chance, near, strict=True) if plate in who]
        score = -sum(map(log10, met)) - log10(comb(len(ours), len(met)))
        expected[plate] = (len(met), max(0.0, score), sum(by_chance))
    request = pb.FindCompanionsRequest(plate=plates[0], min_encounters=1)
    found = companions(filled, request)
    filled.client.close()
    assert {c.plate for c in found} == set(expected)
    for c in found:
        told = (c.encounters, c.score, c.expected)
        assert told == pytest.approx(expected[c.plate], rel=1e-5, abs=1e-5)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


def test_a_hint_is_no_proof_and_comes_when_asked_for(filled: Filled) -> None:
    at = T0 - 90 * DAY
    filled.world.see(
        # 11 km in a minute; both entries.
        Seen("CLONED1", at, "A", ENTRY, confidence=0.95),
        Seen("CLONED1", at + MINUTE, "B", ENTRY, confidence=0.95),
        # In good time.
        Seen("TWICE01", at, "A", ENTRY, confidence=0.95),
        Seen("TWICE01", at + 2 * HOUR, "B", ENTRY, confidence=0.95),
        # Another vehicle's plate, misread; a clock that is ahead.
        Seen("MISREAD", at, "A", ENTRY, confidence=0.95),
        Seen("MISREAD", at + MINUTE, "B", ENTRY, confidence=0.4),
        Seen("CLOCK01", at, "A", ENTRY, confidence=0.95),
        Seen("CLOCK01", at + MINUTE, "B", EXIT, confidence=0.95, received_at=at - HOUR),
    )
    filled.apply()
    request = pb.ListCloneSuspectsRequest(range=range_of(at - HOUR, at + DAY))
    (proof,) = suspects(filled, request)
    assert (proof.plate, proof.hint, proof.inside_twice) == ("CLONED1", False, True)
    assert proof.distance_km == pytest.approx(11.1, rel=0.01)
    assert proof.implied_speed_kmh == pytest.approx(666, rel=0.01)
    assert (proof.first.checkpoint, proof.second.checkpoint) == ("A", "B")
    assert (proof.first.at, proof.second.at) == (from_micros(at), from_micros(at + MINUTE))
    request.include_hints = True
    found = suspects(filled, request)
    assert [(s.plate, s.hint) for s in found] == [("CLONED1", False), ("TWICE01", True)]
    request.include_hints = False
    request.top_speed_kmh = 700
    assert not suspects(filled, request)


def suspects_of(filled: Filled, start: int, end: int, **question: Any) -> list[tuple[str, int]]:
    """Plates, and when the second passage was."""
    filled.apply()
    request = pb.ListCloneSuspectsRequest(range=range_of(start, end), **question)
    return [(s.plate, micros(s.second.at)) for s in suspects(filled, request)]


def test_wrong_clocks_hide_no_clone(filled: Filled) -> None:
    at = T0 - 300 * DAY
    for n in range(8):
        # Faster than the clone.
        filled.world.see(
            Seen(f"AHEAD{n:02}", at, "A"),
            Seen(f"AHEAD{n:02}", at + 30 * SECOND, "B", received_at=at - MINUTE),
        )
    filled.world.see(
        Seen("CLONED1", at, "A"),
        # The clock was wrong of what lies between.
        Seen("CLONED1", at + 20 * SECOND, "C", received_at=at - MINUTE),
        Seen("CLONED1", at + MINUTE, "B"),
    )
    for limit in (1, 100):
        found = suspects_of(filled, at - HOUR, at + HOUR, limit=limit)
        assert found == [("CLONED1", at + MINUTE)]


def test_a_misread_is_no_clone_and_hides_none(filled: Filled) -> None:
    at = T0 - 340 * DAY
    for n in range(4):
        # Sure enough each, yet the first is a misread of who passed beside it.
        filled.world.see(
            Seen(f"MISCL{n}X", at + n, "A", confidence=0.875, lane=str(n)),
            Seen(f"MISCL{n}Y", at + n, "A", confidence=0.8125, lane=str(n)),
            Seen(f"MISCL{n}Y", at + 30 * SECOND, "B", confidence=0.9375),
        )
    filled.world.see(
        Seen("CLONED3", at, "A", confidence=0.875),
        # Misread as it, between its own two.
        Seen("CLONED3", at + 20 * SECOND, "C", confidence=0.8125),
        Seen("CLONEDB", at + 20 * SECOND, "C", confidence=0.875),
        Seen("CLONED3", at + MINUTE, "B", confidence=0.9375),
    )
    for limit in (1, 100):
        found = suspects_of(filled, at - HOUR, at + HOUR, limit=limit)
        assert found == [("CLONED3", at + MINUTE)]
    (clone,) = suspects(filled, pb.ListCloneSuspectsRequest(range=range_of(at - HOUR, at + HOUR)))
    assert (clone.first.checkpoint, clone.second.checkpoint) == ("A", "B")
    assert (clone.first.confidence, clone.second.confidence) == (0.875, 0.9375)


def test_a_clones_passages_are_told_whole(filled: Filled) -> None:
    at = T0 - 350 * DAY
    filled.world.see(
        Seen("CLONED4", at, "A", confidence=0.5),
        Seen("CLONED4", at + 30 * SECOND, "A", confidence=0.9375),
        Seen("CLONED4", at + MINUTE, "B", EXIT, confidence=0.8125),
    )
    filled.apply()
    (clone,) = suspects(filled, pb.ListCloneSuspectsRequest(range=range_of(at, at + HOUR)))
    assert [
        (micros(p.at), micros(p.until), p.reads, p.confidence) for p in (clone.first, clone.second)
    ] == [
        (at, at + 30 * SECOND, 2, 0.9375),
        (at + MINUTE, at + MINUTE, 1, 0.8125),
    ]


def test_a_clone_across_the_edge_of_the_range_belongs_to_its_second_passage(filled: Filled) -> None:
    edge = T0 - 310 * DAY
    filled.world.see(
        Seen("CLONED2", edge - MINUTE, "A"),
        Seen("CLONED2", edge, "B"),
        # Of a hint both are in the range.
        Seen("TWICE02", edge - MINUTE, "A"),
        Seen("TWICE02", edge + HOUR, "B"),
    )
    hints = {"include_hints": True}
    assert suspects_of(filled, edge - HOUR, edge, **hints) == []
    assert suspects_of(filled, edge, edge + DAY, **hints) == [("CLONED2", edge)]
    assert suspects_of(filled, edge - HOUR, edge + DAY, **hints) == [
        ("CLONED2", edge),
        ("TWICE02", edge + HOUR),
    ]


def test_a_passage_of_unknown_direction_hides_no_hint(filled: Filled) -> None:
    at = T0 - 320 * DAY
    filled.world.see(
        Seen("TWICE03", at, "A"),
        Seen("TWICE03", at + HOUR, "C", UNKNOWN),
        Seen("TWICE03", at + 2 * HOUR, "B"),
    )
    # These left, though no proof could be made of their exits: they hide nobody either.
    for n in range(8):
        filled.world.see(
            Seen(f"LEFT{n:03}", at, "A"),
            Seen(f"LEFT{n:03}", at + MINUTE, "A", EXIT, confidence=0.5),
            Seen(f"LEFT{n:03}", at + HOUR, "B"),
        )
    for limit in (1, 100):
        found = suspects_of(filled, at - HOUR, at + DAY, limit=limit, include_hints=True)
        assert found == [("TWICE03", at + 2 * HOUR)]


def test_less_sure_reads_join_two_sure_ones_to_one_entry(filled: Filled) -> None:
    at = T0 - 330 * DAY
    filled.world.see(
        Seen("TWICE04", at - HOUR, "A"),
        Seen("TWICE04", at, "A"),
        Seen("TWICE04", at + 50 * SECOND, "A", confidence=0.5),
        Seen("TWICE04", at + 100 * SECOND, "A"),
    )
    assert suspects_of(filled, at - 2 * HOUR, at + DAY, include_hints=True) == [("TWICE04", at)]


def test_filters_of_companions(filled: Filled) -> None:
    at = T0 - 460 * DAY
    for n, (place, way) in enumerate((("A", ENTRY), ("B", EXIT))):
        then = at + n * HOUR
        filled.world.see(
            Seen("AB100CD", then, place, way),
            Seen("AC200CD", then + SECOND, place, way),
            # The other way.
            Seen("AD300CD", then + SECOND, place, ENTRY + EXIT - way),
            # The same way once; unsure once; Uruguayan.
            Seen("AE400CD", then + SECOND, place, ENTRY),
            Seen("AF500CD", then + SECOND, place, way, confidence=0.95 - n / 2),
            Seen("SBC6789", then + SECOND, place, way),
        )
    filled.apply()

    def met(**question: Any) -> set[str]:
        request = pb.FindCompanionsRequest(
            plate="AB100CD", range=range_of(at, at + DAY), min_encounters=2
        )
        request.MergeFrom(pb.FindCompanionsRequest(**question))
        return {c.plate for c in companions(filled, request)}

    everyone = {"AC200CD", "AD300CD", "AE400CD", "AF500CD", "SBC6789"}
    assert met() == everyone
    assert met(same_direction=True) == everyone - {"AD300CD", "AE400CD"}
    assert met(min_confidence=0.9) == everyone - {"AF500CD"}
    assert met(region="uy") == {"SBC6789"}
    # Of the target's passages: with one of them nobody is met twice.
    assert met(direction=ENTRY) == met(checkpoints=["B"]) == set()
    assert met(direction=EXIT, min_encounters=1) == everyone
    assert met(direction=EXIT, min_encounters=1, min_confidence=0.9) == everyone - {"AF500CD"}


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


def test_filters_of_clones(filled: Filled) -> None:
    at = T0 - 480 * DAY
    for plate, second, confidence in (
        ("AB102CD", "B", 0.95),
        ("AC203CD", "C", 0.95),
        ("AD304CD", "B", 0.7),
        ("SBC6781", "B", 0.95),
    ):
        filled.world.see(
            Seen(plate, at, "A", confidence=0.95),
            Seen(plate, at + MINUTE, second, confidence=confidence),
        )

    def found(**question: Any) -> set[str]:
        return {plate for plate, _ in suspects_of(filled, at, at + DAY, **question)}

    assert found() == {"AB102CD", "AC203CD", "SBC6781"}
    assert found(checkpoints=["A", "B"]) == {"AB102CD", "SBC6781"}
    assert found(checkpoints=["A"]) == found(checkpoints=["A", "nowhere"]) == set()
    assert found(region="UY") == {"SBC6781"}
    assert found(min_confidence=0.6) == {"AB102CD", "AC203CD", "AD304CD", "SBC6781"}
    assert found(min_confidence=0.96) == set()


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
