"""Searches and what timelines say is odd equal slow, obvious references."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from math import acos, cos, degrees, radians, sin
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.movements import timeline_of
from projections.search import page_of, search
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.investigation_pb2 import PlateSummary, SearchPlatesRequest
from ring.confusion import measured
from ring.values import from_micros
from tests.projections import reference
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World

PLACES = {"A": (-34.50, -58.5), "B": (-34.60, -58.5)}
FORMATS = {
    "AR": r"[A-Z]{2}\d{3}[A-Z]{2}|[A-Z]{3}\d{3}|[A-Z]\d{3}[A-Z]{3}|\d{3}[A-Z]{3}",
    "UY": r"[A-Z]{3}\d{3,4}",
}
# Many are a character from another, and some in the formats of none, one or two countries.
PLATES = [
    *("AB120CD", "AB12OCD", "AB12DCD", "A8120CD", "AB120C0", "AB12CD", "AB120CDD", "XX120CD"),
    *("SBC1234", "SBC123", "S8C1234", "AB1", "ABABABABABAB", "99"),
]
PATTERNS = [
    *("*", "AB120CD", "ab-12 0.cd", "AB12?CD", "A?120*", "*CD", "*B*", "??", "S*4", "?B??????????"),
    *("*1*2*", "ZZ*", "AB120CDD", "*?*?*?*?*?*?*?*CD"),
]


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    filled.world.stand(PLACES)
    yield filled
    filled.client.close()


def some_reads(filled: Filled, rng: random.Random, most: int) -> list[Seen]:
    return filled.world.numbered(
        Seen(
            rng.choice(PLATES),
            T0 + rng.randrange(8) * HOUR,
            rng.choice("AB"),
            rng.choice([UNKNOWN, ENTRY, EXIT]),
            confidence=rng.choice([0.5, 0.75, 0.9375]),
            region=rng.choice(["", "", "AR", "UY"]),
        )
        for _ in range(rng.randint(1, most))
    )


def a_question(rng: random.Random) -> dict[str, Any]:
    """A request without its pattern; about half of the filters."""
    question: dict[str, Any] = {}
    if rng.random() < 0.5:
        first, last = sorted(rng.sample(range(9), 2))
        question["range"] = TimeRange(
            start_time=from_micros(T0 + first * HOUR) if rng.random() < 0.7 else None,
            end_time=from_micros(T0 + last * HOUR) if rng.random() < 0.7 else None,
        )
    if rng.random() < 0.4:
        question["checkpoints"] = rng.choice([["A"], ["B", "nowhere"], ["A", "B"]])
    if rng.random() < 0.4:
        question["direction"] = rng.choice([ENTRY, EXIT])
    if rng.random() < 0.4:
        question["region"] = rng.choice(["AR", "uy"])
    if rng.random() < 0.4:
        question["min_confidence"] = rng.choice([0.75, 0.9])
    return question


def counts(read: Seen, question: dict[str, Any]) -> bool:
    span = question.get("range", TimeRange())
    after = not span.HasField("start_time") or read.at >= span.start_time.seconds * SECOND
    before = not span.HasField("end_time") or read.at < span.end_time.seconds * SECOND
    country = question.get("region", "").upper()
    by_format = not read.region and re.fullmatch(FORMATS.get(country, ""), read.plate)
    return bool(
        after
        and before
        and read.checkpoint in question.get("checkpoints", "AB")
        and question.get("direction", read.direction) == read.direction
        and (not country or read.region == country or by_format)
        and read.confidence >= question.get("min_confidence", 0)
    )


def summaries(reads: list[Seen], pattern: str, question: dict[str, Any]) -> list[PlateSummary]:
    """Every plate that matches, with the reads that the filters leave; fuzzy: the likeliest."""
    pattern = re.sub("[ .-]", "", pattern).upper()
    found = []
    for plate in sorted({r.plate for r in reads}):
        own = [r for r in reads if r.plate == plate and counts(r, question)]
        score = float(fnmatchcase(plate, pattern))
        if question.get("fuzzy") and not score:
            score = measured().likelihood(pattern, plate)
        if not own or score < 1e-5:
            continue
        told = Counter(r.region for r in own if r.region)
        found.append(
            PlateSummary(
                plate=plate,
                reads=len(own),
                first_seen=from_micros(min(r.at for r in own)),
                last_seen=from_micros(max(r.at for r in own)),
                score=score,
                region=max(told, key=lambda country: (told[country], country), default=""),
            )
        )
    return sorted(found, key=lambda s: (-s.score, s.plate))


@embedded_alone
def test_pages_with_any_filters_are_those_of_the_reads_at_the_first_page(filled: Filled) -> None:
    rng = random.Random(6)
    kept: list[Seen] = []

    def arrive(most: int) -> None:
        reads = some_reads(filled, rng, most)
        rng.shuffle(reads)
        filled.world.store(reads)
        kept.extend(reads)
        # A part of it comes again, as after a crash before the position was saved.
        before = filled.projection.position
        filled.apply(rng.randint(5, 20))
        filled.projection.position = before
        filled.apply()

    arrive(60)
    for number in range(40):
        question = a_question(rng)
        pattern = rng.choice(PATTERNS)
        if number % 3 == 0:
            pattern, question["fuzzy"] = rng.choice(["AB120CD", "SBC1234", "AB1"]), True
        expected = summaries(kept, pattern, question)
        request = SearchPlatesRequest(pattern=pattern, page_size=rng.randint(1, 5), **question)
        found: list[PlateSummary] = []
        while True:
            page = search(filled.client, filled.world.log, page_of(request))
            assert len(page.plates) <= request.page_size
            found += page.plates
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
            if rng.random() < 0.1:
                arrive(3)
        for summary in (*found, *expected):
            summary.score = round(summary.score, 6)
        assert found == expected, (pattern, question)


def too_fast(here: str, there: str, gap: int) -> bool:
    """By the law of cosines: at 200 km/h, with 2 s more."""
    (a, west), (b, east) = (map(radians, PLACES[p]) for p in (here, there))
    apart = acos(min(1.0, sin(a) * sin(b) + cos(a) * cos(b) * cos(west - east)))
    return here != there and degrees(apart) * 111.195080 > 200 * (max(gap, 0) / SECOND + 2) / 3600


# 11.1195 km at 200 km/h take 200.15 s.
LEAST = 198_151_144
CAPTURES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60 * SECOND, LEAST - 500, LEAST + 500, 2 * HOUR]),
        st.sampled_from(list(PLACES)),
        st.sampled_from([UNKNOWN, ENTRY, EXIT]),
        # Exactly at the limits of a clock that is ahead, and of what is late; and beyond.
        st.sampled_from([-10 * SECOND - 1, -10 * SECOND, 0, 60 * SECOND, 60 * SECOND + 1, HOUR]),
        st.sampled_from([0.5, 0.59375, 0.6, 0.9375]),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=8,
)


@embedded_alone
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=CAPTURES, rng=st.randoms(use_true_random=False))
def test_what_is_odd_is_said_exactly_from_its_limit_on(
    filled: Filled, drawn: list[tuple[int, str, Any, int, float, bool]], rng: random.Random
) -> None:
    plate = f"ODD{uuid4().hex[:8].upper()}"
    at, reads = T0 + 1000 * 24 * HOUR, []
    for number, (gap, checkpoint, direction, delay, confidence, suspect) in enumerate(drawn, 1):
        at += gap
        reads.append(
            Seen(
                plate, at, checkpoint, direction, number, confidence=confidence, suspect=suspect,
                received_at=at + delay * (not suspect),
            )
        )  # fmt: skip
    stored = [replace(r.stored(), originator_id=uuid4()) for r in reads]
    rng.shuffle(stored)
    filled.world.insert(stored)
    filled.apply(rng.randint(3, 9))
    expected = []
    passages = reference.passages(reads)
    for before, passage in zip([None, *passages], passages, strict=False):
        odd = passage.anomalies
        if before and too_fast(
            before.first.checkpoint,
            passage.first.checkpoint,
            passage.first.at - before.reads[-1].at,
        ):
            odd.append("impossible-travel")
        if max(r.confidence for r in passage.reads) < 0.6:
            odd.append("low-confidence")
        waits = [(r.received_at or 0) - r.at for r in passage.reads]
        if min(waits) < -10 * SECOND or any(r.suspect for r in passage.reads):
            odd.append("clock-skew")
        if max(waits) > 60 * SECOND:
            odd.append("late-arrival")
        expected.append((passage.first.at, sorted(odd)))
    answer = timeline_of(filled.client, filled.world.log, plate)
    found = [
        (p.at.seconds * SECOND + p.at.nanos // 1000, sorted(p.anomalies)) for p in answer.passages
    ]
    assert found == expected
