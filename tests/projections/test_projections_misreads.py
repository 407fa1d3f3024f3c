"""Questions over many plates, where misreads lie beside the reads: as slow references have them."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import presence
from projections.clones import clone_suspects, hunt_of
from projections.encounters import companions_of, travel_of
from projections.last_passages import LastPassages
from projections.presence import moment_of, present_at
from projections.scenes import common_plates, places_of
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from ring.values import from_micros, micros
from tests.projections import reference
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World

DAY = 24 * HOUR
MAX_VISIT = 72 * HOUR
# 11 km apart: a vehicle takes over three minutes.
PLACES = {"A": (-34.50, -58.5), "B": (-34.60, -58.5)}
# Each of the first three is a character from the others.
PLATES = ["AB123CD", "AB123CO", "AB123C0", "XYZ987"]
_examples = itertools.count(1)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    filled.world.stand(PLACES)
    yield filled
    filled.client.close()


def of(reads: list[Seen], plate: str) -> list[Seen]:
    return [r for r in reads if r.plate == plate]


def met(reads: list[Seen], folded: dict[str, Seen], target: str, within: int) -> dict[str, int]:
    """How often each other plate was met, without the target's misreads on either side."""
    own = [
        p.first
        for p in reference.passages(of(reads, target))
        if not all(r.read_id in folded for r in p.reads)
    ]
    found = {}
    for plate in set(PLATES) - {target}:
        others = [
            r
            for r in of(reads, plate)
            if r.read_id not in folded or folded[r.read_id].plate != target
        ]
        begins = [p.first for p in reference.passages(others)]
        meetings = [
            p
            for p in own
            if any(b.checkpoint == p.checkpoint and abs(b.at - p.at) <= within for b in begins)
        ]
        if meetings:
            found[plate] = len(meetings)
    return found


def seen_at(
    reads: list[Seen], folded: dict[str, Seen], scenes: list[tuple[str, int, int]], least: int
) -> list[tuple[str, list[int]]]:
    """Plates and their scenes; without those that are one other's, who was there too."""
    there: dict[str, set[int]] = {}
    into: dict[str, set[str]] = {}
    for read in reads:
        for number, (checkpoint, start, end) in enumerate(scenes):
            if read.checkpoint == checkpoint and start <= read.at < end:
                there.setdefault(read.plate, set()).add(number)
                right = folded[read.read_id].plate if read.read_id in folded else ""
                into.setdefault(read.plate, set()).add(right)
    enough = {plate: numbers for plate, numbers in there.items() if len(numbers) >= least}
    found = [
        (plate, sorted(numbers))
        for plate, numbers in enough.items()
        if not any(into[plate] == {other} and numbers <= enough[other] for other in enough)
    ]
    return sorted(found, key=lambda item: (-len(item[1]), item[0]))


def inside(reads: list[Seen], folded: dict[str, Seen], at: int) -> dict[str, int]:
    """Who is inside, with the time of entry: entries that are misreads do not count."""
    found = {}
    for plate in PLATES:
        crossings = [
            p
            for p in reference.passages(of(reads, plate))
            if p.first.direction != UNKNOWN and p.first.at <= at
        ]
        while crossings and at - MAX_VISIT <= crossings[-1].first.at:
            last = crossings.pop()
            if last.first.direction == EXIT:
                break
            if not all(r.read_id in folded for r in last.reads):
                found[plate] = last.first.at
                break
    return found


def impossible(reads: list[Seen], folded: dict[str, Seen]) -> set[tuple[str, int, int]]:
    """Plates with the times of two sure reads, no misreads, one after the other."""
    found = set()
    for plate in PLATES:
        sure = sorted(
            {
                (r.at, r.checkpoint)
                for r in of(reads, plate)
                if r.confidence >= 0.8 and r.read_id not in folded
            }
        )
        found |= {
            (plate, at, then)
            for (at, here), (then, there) in itertools.pairwise(sure)
            if here != there and then - at < 3 * 60 * SECOND
        }
    return found


READS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, SECOND, 2 * SECOND, 2 * SECOND + 1, 61 * SECOND, HOUR, 40 * HOUR]),
        st.sampled_from(PLATES),
        st.sampled_from(list(PLACES)),
        st.sampled_from(["1", "1", "2"]),
        st.sampled_from([UNKNOWN, ENTRY, ENTRY, EXIT]),
        st.sampled_from([0.5, 0.8125, 0.875, 0.875, 0.9375]),
    ),
    min_size=2,
    max_size=20,
)


@embedded_alone
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=READS, rng=st.randoms(use_true_random=False))
def test_answers_without_misreads_are_those_of_the_rule_in_any_arrival_order(
    filled: Filled, drawn: list[tuple[int, str, str, str, Any, float]], rng: random.Random
) -> None:
    # Every example in months of its own: what is asked about one touches no other.
    begin = at = T0 + next(_examples) * 100 * DAY
    reads = []
    for number, (gap, plate, checkpoint, lane, direction, confidence) in enumerate(drawn, 1):
        at += gap
        reads.append(
            Seen(plate, at, checkpoint, direction, number, lane=lane, confidence=confidence)
        )
    end = at + 1
    stored = [replace(r.stored(), originator_id=uuid4()) for r in reads]
    # Some come twice, in other pieces.
    before = filled.projection.position
    rng.shuffle(stored)
    filled.world.insert(stored)
    filled.apply(rng.randint(1, 9))
    filled.projection.position = before + rng.randrange(len(stored))
    filled.apply()
    folded = reference.folds(reads)
    client, log = filled.client, filled.world.log
    everything = TimeRange(start_time=from_micros(begin), end_time=from_micros(end))

    for target in PLATES[:3]:
        within = rng.choice([SECOND, 60 * SECOND, 2 * HOUR])
        travel = pb.FindCompanionsRequest(
            plate=target,
            range=everything,
            within=Duration(seconds=within // SECOND),
            min_encounters=1,
        )
        answer = companions_of(client, log, travel_of(travel))
        found = {c.plate: c.encounters for c in answer.companions}
        assert found == met(reads, folded, target, within)

    times = [begin, *(r.at for r in reads), end]
    scenes = []
    for _ in range(3):
        first, last = sorted(rng.choices(times, k=2))
        scenes.append((rng.choice(list(PLACES)), first, last + 1))
    for least in (1, 2, 3):
        request = pb.FindCommonPlatesRequest(
            scenes=[
                pb.Scene(
                    checkpoint=c,
                    range=TimeRange(start_time=from_micros(a), end_time=from_micros(b)),
                )
                for c, a, b in scenes
            ],
            min_scenes=least,
        )
        plates = common_plates(client, log, places_of(request)).plates
        assert [(p.plate, list(p.seen_at)) for p in plates] == seen_at(reads, folded, scenes, least)

    # From all reads, and from each plate's last passages.
    for most_since, moment in zip([-1, 2**31] * 2, rng.choices(times, k=4), strict=True):
        asked = moment_of(pb.ListPresentRequest(at=from_micros(moment)), Timestamp(), MAX_VISIT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(presence, "_MOST_UNSURE", most_since)
            present = present_at(client, log, LastPassages(), asked)
        expected = inside(reads, folded, moment)
        assert {v.plate: micros(v.visit.entered_at) for v in present.vehicles} == expected
        assert present.total == len(expected)

    hunt = hunt_of(pb.ListCloneSuspectsRequest(range=everything), Timestamp())
    suspects = clone_suspects(client, log, hunt).suspects
    assert {s.plate for s in suspects} == {plate for plate, *_ in impossible(reads, folded)}
    assert len(suspects) == len(impossible(reads, folded))
