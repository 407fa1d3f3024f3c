"""Candidates for looking back: every read that could have been an entry, and each once."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random

import grpc
import pytest

from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.values import from_micros
from tests.projections.conftest import embedded_alone
from tests.projections.world import SECOND, T0, Seen, Served, World, serving

pytestmark = embedded_alone
LETTERS = "AB1"


def plates(random: Random, count: int) -> list[str]:
    return ["".join(random.choices(LETTERS, k=random.randint(2, 6))) for _ in range(count)]


@pytest.fixture(scope="module")
def kept() -> list[Seen]:
    random = Random(7)
    return [
        Seen(plate, T0 + n * SECOND, confidence=random.choice((0.25, 0.5, 0.75)))
        for n, plate in enumerate(plates(random, 400))
    ]


@pytest.fixture(scope="module")
def ring(make_world: Callable[[], World], kept: Sequence[Seen]) -> Iterator[Served]:
    world = make_world()
    world.see(*kept)
    with serving(world) as served:
        yield served


def found(ring: Served, *wanted: str, **more: object) -> list[int]:
    request = FindCandidatesRequest(plates=wanted, at_least=ring.at_head(), **more)
    answer = ring.projections.FindCandidates(request, timeout=60)
    return [position for page in answer for position in page.positions]


def edits(plate: str) -> set[str]:
    """The plate and all that differ in one character, of those that the test has."""
    result = {plate}
    for i in range(len(plate) + 1):
        result |= {plate[:i] + c + plate[i:] for c in LETTERS}
        result |= {plate[:i] + c + plate[i + 1 :] for c in (*LETTERS, "")}
    return result


def could_be(read: Seen, wanted: Sequence[str], changes: int, surest: float) -> bool:
    near = {read.plate}
    for _ in range(changes if read.confidence <= surest else min(changes, 1)):
        near |= {other for plate in near for other in edits(plate)}
    patterns = [w.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*") for w in wanted]
    return any(re.fullmatch(p, plate) for p in patterns for plate in near)


@pytest.mark.parametrize("changes", [0, 1, 2, 3])
def test_every_read_that_could_have_been_an_entry_is_found_once(
    ring: Served, kept: Sequence[Seen], changes: int
) -> None:
    random = Random(changes)
    for _ in range(4):
        wanted = plates(random, 3) + random.choice(([], ["A?B"], ["B1*", "?A"]))
        surest = random.choice((0.25, 0.5, 1.0))
        positions = found(ring, *wanted, changes=changes, surest=surest)
        assert len(positions) == len(set(positions))
        expected = {n for n, r in enumerate(kept, 1) if could_be(r, wanted, changes, surest)}
        if changes < 2:
            assert set(positions) == expected
        else:
            # Two changes are looked for by what is left in common, which some more have; of
            # more changes, everything unsure is a candidate.
            assert set(positions) >= expected
            assert all(
                r.confidence <= surest or could_be(r, wanted, 2, 1)
                for n, r in enumerate(kept, 1)
                if n in positions
            )


def test_only_reads_before_a_position_received_and_captured_in_time_are_found(
    make_world: Callable[[], World],
) -> None:
    world = make_world()
    seen = [Seen("AB1", T0 + n * SECOND, received_at=T0 + (10 - n) * SECOND) for n in range(6)]
    world.see(*seen, replace(seen[0], plate="XY99"))
    with serving(world) as ring:
        assert found(ring, "AB1") == [1, 2, 3, 4, 5, 6]
        assert found(ring, "AB1", before=4) == [1, 2, 3]
        assert found(ring, "AB1", received_from=from_micros(T0 + 7 * SECOND)) == [1, 2, 3, 4]
        captured = TimeRange(
            start_time=from_micros(T0 + SECOND), end_time=from_micros(T0 + 3 * SECOND)
        )
        assert found(ring, "AB1", range=captured) == [2, 3]
        assert found(ring) == []


def test_what_can_not_be_asked_is_refused(ring: Served) -> None:
    for request in (
        FindCandidatesRequest(plates=["ab1"]),
        FindCandidatesRequest(plates=list(itertools.repeat("AB1", 5001))),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            list(ring.projections.FindCandidates(request, timeout=60))
        assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
