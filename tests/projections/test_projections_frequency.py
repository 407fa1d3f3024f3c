"""How often plates are read, against a plain count."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from random import Random

import grpc
import pytest

from proto.ring.v1.operations_pb2 import (
    EstimateFrequencyRequest,
    FindCandidatesRequest,
    FrequencyEstimate,
)
from tests.projections.world import SECOND, T0, Seen, Served, World, serving

DAY = 24 * 3600 * SECOND
PATTERNS = ["A*", "?B*", "*1", "AB", "*A*B*", "Z*", "??", "A?1*"]


@pytest.fixture(scope="module")
def kept() -> list[Seen]:
    random = Random(11)
    plates = [a + b + c for a in "AB1" for b in "AB1" for c in ("", "A", "1")]
    return [
        Seen(random.choice(plates), T0 + random.randrange(10 * DAY) // SECOND * SECOND)
        for _ in range(600)
    ]


@pytest.fixture(scope="module")
def ring(make_world: Callable[[], World], kept: Sequence[Seen]) -> Iterator[Served]:
    world = make_world()
    world.see(*kept)
    with serving(world) as served:
        wait = FindCandidatesRequest(plates=["AB"], at_least=served.at_head())
        list(served.projections.FindCandidates(wait, timeout=60))
        yield served


def busiest(kept: Sequence[Seen], pattern: str) -> int:
    """Reads on the busiest day, of the last seven days."""
    end = max(read.at for read in kept)
    days = Counter(
        read.at // DAY
        for read in kept
        if read.at > end - 7 * DAY and fnmatchcase(read.plate, pattern)
    )
    return max(days.values(), default=0)


def ask(ring: Served, **request: object) -> FrequencyEstimate:
    return ring.projections.EstimateFrequency(EstimateFrequencyRequest(**request), timeout=60)


def test_a_pattern_is_read_as_often_as_what_it_matches(ring: Served, kept) -> None:
    answer = ask(ring, patterns=PATTERNS)
    assert [f.plate for f in answer.patterns] == PATTERNS
    assert [f.reads_a_day for f in answer.patterns] == [busiest(kept, p) for p in PATTERNS]
    assert not answer.plates


@pytest.mark.parametrize("above", [0, 4, 10_000])
def test_the_plates_read_more_often_are_named(ring: Served, kept, above: int) -> None:
    wanted = {read.plate: busiest(kept, read.plate) for read in kept}
    found = [(f.plate, f.reads_a_day) for f in ask(ring, above=above).plates]
    assert found == sorted((p, n) for p, n in wanted.items() if n > above)


def test_too_many_patterns_are_refused(ring: Served) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask(ring, patterns=["A*"] * 201)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
