"""Candidates for looking back: every read that could have been an entry, and each once."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random

import grpc
import pytest

from projections.clickhouse import ClickHouse
from projections.schema import Databases
from projections.unsure import SURE
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.events_pb2 import StoredRead
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.likelihood import plausible
from ring.store import unseal
from ring.values import from_micros
from tests.projections.world import SECOND, T0, Seen, Served, World, serving

LETTERS = "AB1"


def plates(random: Random, count: int) -> list[str]:
    return ["".join(random.choices(LETTERS, k=random.randint(2, 6))) for _ in range(count)]


def some_reads(random: Random, count: int) -> list[Seen]:
    """With a posterior or without; its confidence may say something else."""
    return [
        Seen(
            plate,
            T0 + n * SECOND,
            confidence=random.choice((0.25, 0.5, 0.75, SURE, random.random(), 0.95, 0.97)),
            posterior=random.choice(((), [a_row(random, c) for c in plate])),
        )
        for n, plate in enumerate(plates(random, count))
    ]


def a_row(random: Random, character: str) -> tuple[str, list[float]]:
    others = random.sample([c for c in LETTERS + "_8" if c != character], 2)
    share = random.choice((1.0, 1.0, 0.9, 0.55, 0.5))
    return character + "".join(others), [share, (1 - share) * 0.9, (1 - share) * 0.1]


@pytest.fixture(scope="module")
def kept() -> list[Seen]:
    return some_reads(Random(7), 600)


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


def wants(wanted: Sequence[str], plate: str) -> list[str]:
    """Which of the entries a plate is one of."""
    patterns = {w: w.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*") for w in wanted}
    return [w for w, pattern in patterns.items() if re.fullmatch(pattern, plate)]


def likely(read: Seen, wanted: Sequence[str]) -> dict[str, float]:
    """That the vehicle's plate is one of an entry's, where the plate read is of none."""
    message = StoredRead.FromString(unseal(read.stored().state)).read
    result: dict[str, float] = {}
    for plate, likelihood in plausible(message).items():
        for entry in wants(wanted, plate):
            result[entry] = result.get(entry, 0.0) + likelihood
    return result


def check(found: list[int], kept: Sequence[Seen], wanted: Sequence[str], threshold: float) -> int:
    """How many near matches there were."""
    assert len(found) == len(set(found))
    exact = {n for n, read in enumerate(kept, 1) if wants(wanted, read.plate)}
    by_read = {n: likely(r, wanted) for n, r in enumerate(kept, 1) if n not in exact}
    near = {n for n, by_entry in by_read.items() if any(p > threshold for p in by_entry.values())}
    assert set(found) >= exact | near
    for n in set(found) - exact - near:
        # Several entries together, or without rows and unsure enough.
        lacking = SURE < kept[n - 1].confidence <= 1 - threshold
        assert lacking or sum(by_read[n].values()) > threshold - 1e-4
    return len(near)


@pytest.mark.parametrize("threshold", [0.02, 0.05, 0.1, 0.2, 0.3, 1.0])
def test_every_read_that_could_have_been_an_entry_is_found_once(
    ring: Served, kept: Sequence[Seen], threshold: float
) -> None:
    random = Random(3)
    near = 0
    for _ in range(6):
        wanted = plates(random, 3) + random.choice(([], ["A?B"], ["B1*", "?A"], ["??1B*"]))
        near += check(found(ring, *wanted, threshold=threshold), kept, wanted, threshold)
    assert (near > 3) == (threshold < 1)


def test_reads_from_before_the_table_of_unsure_ones_are_found_too(
    make_world: Callable[[], World],
) -> None:
    random = Random(5)
    old, new = some_reads(random, 100), some_reads(random, 100)
    world = make_world()
    world.see(*old)
    with serving(world) as ring:
        assert found(ring, "AB", threshold=1.0) is not None
    clickhouse = ClickHouse.at(world.clickhouse)
    client = clickhouse.open()
    try:
        client.use(Databases(clickhouse, client).live())
        for table in ("unsure_reads", "unsure_reads_lacking"):
            client.execute(f"DROP TABLE {table} SYNC")
        client.execute("DELETE FROM schema_versions WHERE version > 6")
    finally:
        client.close()
    with serving(world) as ring:
        world.see(*new)
        wanted, near = ["AB", "AB1", "1*A"], 0
        positions = found(ring, *wanted, threshold=0.2)
        assert len(positions) == len(set(positions))
        for n, read in enumerate((*old, *new), 1):
            could = likely(read, wanted)
            is_near = any(p > 0.2 for p in could.values())
            near += is_near and n <= 100
            if wants(wanted, read.plate) or is_near:
                assert n in positions
            elif n <= 100:
                assert (n in positions) == (read.confidence <= 0.8)
            elif n in positions:
                assert sum(could.values()) > 0.2 - 1e-4
        assert near > 3


# The plate that is looked for, one that may be it, and one that is too sure for a row of its own.
KINDS = [
    Seen("AB1", T0),
    Seen("AB8", T0, confidence=0.5, posterior=[("A", [1]), ("B", [1]), ("81", [0.5, 0.5])]),
    Seen("AB8", T0, confidence=0.91, posterior=[("A", [1]), ("B", [1]), ("81", [0.5, 0.5])]),
]


@pytest.mark.parametrize("kind", KINDS, ids=["exact", "near", "rather sure"])
def test_only_reads_before_a_position_received_and_captured_in_time_are_found(
    make_world: Callable[[], World], kind: Seen
) -> None:
    world = make_world()
    seen = [replace(kind, at=T0 + n * SECOND, received_at=T0 + (10 - n) * SECOND) for n in range(6)]
    world.see(*seen, Seen("XY99", T0))
    with serving(world) as ring:
        for plate in ("AB1", "?B1"):

            def those(plate: str = plate, **more: object) -> list[int]:
                return found(ring, plate, threshold=0.08, **more)

            assert those() == [1, 2, 3, 4, 5, 6]
            assert those(before=4) == [1, 2, 3]
            assert those(received_from=from_micros(T0 + 7 * SECOND)) == [1, 2, 3, 4]
            captured = TimeRange(
                start_time=from_micros(T0 + SECOND), end_time=from_micros(T0 + 3 * SECOND)
            )
            assert those(range=captured) == [2, 3]
        assert found(ring, threshold=0.08) == []


def test_what_can_not_be_asked_is_refused(ring: Served) -> None:
    for request in (
        FindCandidatesRequest(plates=["ab1"]),
        FindCandidatesRequest(plates=list(itertools.repeat("AB1", 5001))),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            list(ring.projections.FindCandidates(request, timeout=60))
        assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
