"""Which plates two vehicles seem to carry."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proto.ring.v1 import investigation_pb2 as pb
from ring.values import from_micros, micros
from tests.projections.test_projections_timelines import Filled
from tests.projections.town import (
    DAY,
    MINUTE,
    range_of,
    suspects,
    town,
)
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    yield from town(make_world())


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


def test_a_checkpoint_whose_place_is_not_known_proves_nothing(filled: Filled) -> None:
    begin = T0 - 810 * DAY
    filled.world.stand({"NOWHERE": (0.0, 0.0), "NULL": (0.0, 0.1)})
    for checkpoint, plate in (("NOWHERE", "ZERO123"), ("NULL", "NULL123")):
        filled.world.see(Seen(plate, begin, "A"), Seen(plate, begin + 2 * MINUTE, checkpoint, EXIT))
    filled.apply()
    assert {plate for plate, _ in suspects_of(filled, begin, begin + DAY)} == {"NULL123"}


def test_a_passage_of_unknown_direction_hides_no_hint(filled: Filled) -> None:
    at = T0 - 320 * DAY
    filled.world.see(
        Seen("TWICE03", at, "A"),
        Seen("TWICE03", at + HOUR, "C", UNKNOWN),
        Seen("TWICE03", at + 2 * HOUR, "B"),
    )
    # These left, though no proof could be made of their exits: they hide nobody either. A lane
    # each, or they would be one another's misreads.
    for n in range(8):
        filled.world.see(
            Seen(f"LEFT{n:03}", at, "A"),
            Seen(f"LEFT{n:03}", at + MINUTE, "A", EXIT, confidence=0.5, lane=str(n)),
            Seen(f"LEFT{n:03}", at + HOUR, "B"),
        )
    for limit in (1, 100):
        found = suspects_of(filled, at - HOUR, at + DAY, limit=limit, include_hints=True)
        assert found == [("TWICE03", at + 2 * HOUR)]


def test_a_hint_needs_no_known_place(filled: Filled) -> None:
    at = T0 - 820 * DAY
    filled.world.stand({"LOST-1": (0.0, 0.0), "LOST-2": (0.0, 0.0)})
    filled.world.see(
        Seen("TWICE05", at, "A"),
        Seen("TWICE05", at + 2 * MINUTE, "LOST-1"),
        Seen("TWICE06", at, "LOST-1"),
        Seen("TWICE06", at + HOUR, "LOST-1"),
        Seen("LEFT001", at, "A"),
        Seen("LEFT001", at + 2 * MINUTE, "LOST-1", EXIT),
        Seen("LEFT001", at + HOUR, "A"),
        # A place that is not known between hides no proof.
        Seen("CLONED5", at, "A"),
        Seen("CLONED5", at + MINUTE - 1, "LOST-2"),
        Seen("CLONED5", at + MINUTE, "B", EXIT),
    )
    filled.apply()
    request = pb.ListCloneSuspectsRequest(range=range_of(at, at + DAY), include_hints=True)
    found = [(s.plate, s.hint, s.implied_speed_kmh > 0) for s in suspects(filled, request)]
    assert found == [
        ("CLONED5", False, True),
        ("CLONED5", True, False),
        ("TWICE05", True, False),
        ("TWICE06", True, False),
    ]
    request.checkpoints.append("LOST-1")
    assert [s.plate for s in suspects(filled, request)] == ["TWICE06"]


def test_two_checkpoints_within_a_minute_are_two_entries(filled: Filled) -> None:
    at = T0 - 830 * DAY
    filled.world.see(
        # A kilometre in 50 seconds.
        Seen("TWICE07", at, "D"),
        Seen("TWICE07", at + 50 * SECOND, "A"),
        # One passage goes on while the other begins: neither follows the other.
        Seen("BESIDE1", at, "D"),
        Seen("BESIDE1", at + 50 * SECOND, "A"),
        Seen("BESIDE1", at + 55 * SECOND, "D", confidence=0.5),
    )
    found = suspects_of(filled, at, at + DAY, include_hints=True)
    assert found == [("BESIDE1", at + 50 * SECOND), ("TWICE07", at + 50 * SECOND)]


def test_a_pair_names_the_passages_of_its_own_reads(filled: Filled) -> None:
    at = T0 - 840 * DAY
    filled.world.see(
        # At one checkpoint in three directions at once.
        Seen("CLONED6", at, "A"),
        Seen("CLONED6", at + 10 * SECOND, "A", UNKNOWN, confidence=0.5),
        Seen("CLONED6", at + 20 * SECOND, "A"),
        Seen("CLONED6", at + MINUTE, "B", EXIT, confidence=0.5),
        Seen("CLONED6", at + MINUTE, "B", UNKNOWN),
    )
    filled.apply()
    (clone,) = suspects(filled, pb.ListCloneSuspectsRequest(range=range_of(at, at + HOUR)))
    assert [(p.direction, micros(p.at), p.reads) for p in (clone.first, clone.second)] == [
        (ENTRY, at, 2),
        (UNKNOWN, at + MINUTE, 1),
    ]


def test_inside_twice_goes_by_the_exits_between_that_are_no_misreads(filled: Filled) -> None:
    at = T0 - 850 * DAY
    filled.world.see(
        # It left, unsurely, and was then read unsurely once more.
        Seen("LEFT002", at, "A"),
        Seen("LEFT002", at + HOUR, "A", EXIT, confidence=0.5),
        Seen("LEFT002", at + 2 * HOUR, "A", confidence=0.5),
        Seen("LEFT002", at + 3 * HOUR, "A"),
        # Somebody else left.
        Seen("TWICE08", at, "A"),
        Seen("TWICE08", at + HOUR, "A", EXIT, confidence=0.5),
        Seen("TWICE0B", at + HOUR, "A", EXIT, confidence=0.75),
        Seen("TWICE08", at + 3 * HOUR, "A"),
        # The second is an entry after an entry, the first is no entry.
        Seen("CLONED7", at, "A"),
        Seen("CLONED7", at + HOUR, "A", UNKNOWN),
        Seen("CLONED7", at + HOUR + MINUTE, "B"),
    )
    filled.apply()
    request = pb.ListCloneSuspectsRequest(range=range_of(at, at + DAY), include_hints=True)
    found = [
        (s.plate, micros(s.second.at), s.hint, s.inside_twice) for s in suspects(filled, request)
    ]
    assert found == [
        ("CLONED7", at + HOUR + MINUTE, False, False),
        ("CLONED7", at + HOUR + MINUTE, True, True),
        ("TWICE08", at + 3 * HOUR, True, True),
    ]


def test_less_sure_reads_join_two_sure_ones_to_one_entry(filled: Filled) -> None:
    at = T0 - 330 * DAY
    filled.world.see(
        Seen("TWICE04", at - HOUR, "A"),
        Seen("TWICE04", at, "A"),
        Seen("TWICE04", at + 50 * SECOND, "A", confidence=0.5),
        Seen("TWICE04", at + 100 * SECOND, "A"),
    )
    assert suspects_of(filled, at - 2 * HOUR, at + DAY, include_hints=True) == [("TWICE04", at)]


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
