"""Who travelled with a plate, and how surprising that is."""

import random
from collections.abc import Callable, Iterator
from math import comb, exp, log10
from typing import Any

import pytest

from projections.encounters import surprise
from proto.ring.v1 import investigation_pb2 as pb
from tests.projections import reference
from tests.projections.test_projections_timelines import Filled
from tests.projections.town import (
    DAY,
    MINUTE,
    companions,
    range_of,
    town,
)
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, Seen, World


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    yield from town(make_world())


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


def test_a_misread_takes_no_other_read_of_its_instant_with_it(filled: Filled) -> None:
    at = T0 - 430 * DAY
    filled.world.see(
        Seen("TARGET5", at, "A", confidence=0.85),
        Seen("TARGET6", at, "A", confidence=0.5),
        # At the same instant, in a lane where it was nobody's misread.
        Seen("TARGET6", at, "A", confidence=0.5, lane="2"),
    )
    filled.apply()
    request = pb.FindCompanionsRequest(
        plate="TARGET5", range=range_of(at, at + DAY), min_encounters=1
    )
    assert [c.plate for c in companions(filled, request)] == ["TARGET6"]


def test_a_misread_at_either_end_of_the_plate_is_no_companion(filled: Filled) -> None:
    begin = T0 - 800 * DAY
    wrong = ("8B123CE", "AB123CF", "B123CE", "AB123C", "AB1Z3CE", "AB12I3CE")
    for number, misread in enumerate(wrong):
        at = begin + number * HOUR
        filled.world.see(
            Seen("AB123CE", at, "A", confidence=0.85, lane="1"),
            Seen(misread, at + SECOND, "A", confidence=0.5, lane="1"),
            Seen("ZZ999ZZ", at + 2 * SECOND, "A", lane="2"),
        )
    filled.apply()
    asked = pb.FindCompanionsRequest(
        plate="AB123CE", range=range_of(begin, begin + DAY), min_encounters=1
    )
    assert [c.plate for c in companions(filled, asked)] == ["ZZ999ZZ"]


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
