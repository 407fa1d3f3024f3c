"""Timelines depend on what was captured alone: the views equal a slow, obvious reference."""

import csv
import gzip
import itertools
import json
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.clickhouse import ClickHouse, Client
from projections.flows import flows_in, traffic_of
from projections.follower import Projection
from projections.movements import timeline_of, timelines_of, timelines_since
from projections.requests import EARLIEST, LATEST, Span
from projections.schema import Databases
from projections.search import page_of, search
from projections.sightings import stretch
from proto.ring.v1.investigation_pb2 import (
    GetTimelineResponse,
    ListFlowsRequest,
    Passage,
    SearchPlatesRequest,
    Visit,
)
from ring.values import from_micros
from tests.projections import reference
from tests.projections.conftest import embedded_alone
from tests.projections.world import ENTRY, EXIT, SECOND, T0, UNKNOWN, Seen, World

WHOLE = Span(EARLIEST, LATEST)


class Filled:
    """A world whose log is applied by hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        clickhouse = ClickHouse.at(world.clickhouse)
        self.client: Client = clickhouse.open()
        self.projection = Projection(
            world.log, self.client, Databases(clickhouse, self.client).live()
        )

    def apply(self, most: int = 20_000) -> None:
        """Applies what is stored, at most so many events at a time."""
        while events := self.projection.events():
            self.projection.apply(events[:most])


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    yield filled
    filled.client.close()


def expected(reads: list[Seen], span: Span = WHOLE) -> GetTimelineResponse:
    passages = [
        Passage(
            checkpoint=p.first.checkpoint,
            direction=p.first.direction,
            at=from_micros(p.first.at),
            reads=len(p.reads),
            anomalies=p.anomalies,
            until=from_micros(p.reads[-1].at),
            confidence=max(r.confidence for r in p.reads),
        )
        for p in reference.passages(reads)
        if span.start <= p.first.at < span.end
    ]
    visits = [
        Visit(
            entered_at=from_micros(v.entry.at) if v.entry else None,
            exited_at=from_micros(v.exit.at) if v.exit else None,
            entry_checkpoint=v.entry.checkpoint if v.entry else "",
            exit_checkpoint=v.exit.checkpoint if v.exit else "",
        )
        for v in reference.visits(reads)
        if reference.overlaps(v, span.start, span.end)
    ]
    return GetTimelineResponse(passages=passages, visits=visits)


def reported(client: Client, plate: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the views for reports have of a plate."""
    text = "SELECT * EXCEPT plate FROM {view:Identifier} WHERE plate = {plate:String}"
    return {
        view: client._raw.query(text, parameters={"view": view, "plate": plate}).result_rows
        for view in ("passages", "visits")
    }


def to_report(reads: list[Seen]) -> dict[str, list[tuple[Any, ...]]]:
    def at(read: Seen | None) -> datetime | None:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=read.at) if read else None

    names = {UNKNOWN: "unknown", ENTRY: "entry", EXIT: "exit"}
    return {
        "passages": [
            (
                at(p.first),
                at(p.reads[-1]),
                p.first.checkpoint,
                names[p.first.direction],
                len(p.reads),
            )
            for p in reference.passages(reads)
        ],
        "visits": [
            (
                at(v.entry),
                at(v.exit),
                v.entry.checkpoint if v.entry else "",
                v.exit.checkpoint if v.exit else "",
            )
            for v in reference.visits(reads)
        ],
    }


# Gaps at and around the 60 s that end a passage, ties, days apart, before 1970 as after.
GAPS = st.sampled_from(
    [0, 0, 1, 30 * SECOND, 60 * SECOND, 60 * SECOND + 1, 3600 * SECOND, 40 * 3600 * SECOND]
)
READS = st.lists(
    st.tuples(GAPS, st.sampled_from(["A", "B"]), st.sampled_from([UNKNOWN, ENTRY, EXIT])),
    min_size=1,
    max_size=14,
)

_plates = itertools.count()


@embedded_alone
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=READS, rng=st.randoms(use_true_random=False), data=st.data())
def test_any_arrival_order_with_repeats_gives_the_timeline_of_the_captures(
    filled: Filled, drawn: list[tuple[int, str, Any]], rng: random.Random, data: st.DataObject
) -> None:
    plate = f"H{next(_plates):06}"
    at, reads = T0, []
    for gap, checkpoint, direction in drawn:
        at += gap
        reads.append(Seen(plate, at, checkpoint, direction))
    rng.shuffle(reads)
    # The same ids in every example, so that a failure repeats; each in a stream of its own.
    reads = [replace(read, sequence=i) for i, read in enumerate(reads, 1)]
    filled.world.insert([replace(r.stored(), originator_id=uuid4()) for r in reads])
    before = filled.projection.position
    filled.apply(data.draw(st.integers(3, 14), label="events at a time"))
    # A part of it comes again, as after a crash before the position was saved.
    filled.projection.position = before + rng.randrange(len(reads))
    filled.apply()

    assert timeline_of(filled.client, filled.world.log, plate) == expected(reads)
    assert reported(filled.client, plate) == to_report(reads)
    times = [T0 - 1, *(r.at for r in reads), at + 1]
    for _ in range(4):
        start, end = sorted(rng.choices(times, k=2))
        span = Span(start, end + 1)
        assert timeline_of(filled.client, filled.world.log, plate, span) == expected(reads, span)


def test_a_visit_with_a_missing_end_overlaps_by_what_is_known_of_it(filled: Filled) -> None:
    plate, hour = "OVER001", 3600 * SECOND
    filled.world.see(
        *(Seen(plate, T0 + i * 4 * hour, "A", d) for i, d in enumerate([EXIT, EXIT, ENTRY, ENTRY]))
    )
    filled.apply()

    def visits_at(hours: float) -> list[int]:
        start = T0 + int(hours * hour)
        found = timeline_of(filled.client, filled.world.log, plate, Span(start, start + 1)).visits
        return [
            ((v.entered_at.seconds or v.exited_at.seconds) * SECOND - T0) // hour for v in found
        ]

    assert visits_at(-2) == [0], "the first exit's visit may have begun at any time"
    assert visits_at(2) == [4], "the second's not before the exit before it"
    assert visits_at(6) == []
    assert visits_at(10) == [8], "an exit that was missed came at the latest before the next entry"
    assert visits_at(13) == visits_at(1000) == [12], "an open visit has no end"


def test_answers_are_right_before_repeated_rows_are_merged(
    make_world: Callable[[], World],
) -> None:
    filled = Filled(make_world())
    filled.client._raw.command("SYSTEM STOP MERGES")
    try:
        filled.world.see(*(Seen("TWICE01", T0 + i * SECOND, region="AR") for i in range(3)))
        filled.world.see(Seen("TWICE02", T0), Seen("TWICE02", T0 + SECOND, region="UY"))
        for _ in range(3):
            filled.projection.position = 0
            filled.apply(2)
        raw = filled.client.rows("queries/table_rows", database=filled.client.database)
        assert dict(map(tuple, raw))["sightings"] > 5, "rows do come twice here"
        for checkpoints in ([], ["GP-01"]):
            asked = page_of(SearchPlatesRequest(pattern="*", checkpoints=checkpoints))
            answer = search(filled.client, filled.world.log, asked)
            assert [(s.plate, s.reads, s.region) for s in answer.plates] == [
                ("TWICE01", 3, "AR"),
                ("TWICE02", 2, "UY"),
            ]
        sightings, left = stretch(filled.client, filled.world.log, "TWICE01", WHOLE)
        assert (len(sightings), left) == (3, None)
        everything = traffic_of(ListFlowsRequest(), ZoneInfo("UTC"), from_micros(T0))
        assert [f.passages for f in flows_in(filled.client, everything).flows] == [2]
        (passage,) = timeline_of(filled.client, filled.world.log, "TWICE01").passages
        assert passage.reads == 3
    finally:
        filled.client._raw.command("SYSTEM START MERGES")
        filled.client.close()


@embedded_alone
def test_reads_of_many_years_fit_in_one_batch(filled: Filled) -> None:
    plate = "YEARS01"
    months = [T0 - i * 31 * 24 * 3600 * SECOND for i in range(130)]
    reads = filled.world.numbered(Seen(plate, at) for at in months)
    filled.world.store(reads)
    filled.apply()
    assert timeline_of(filled.client, filled.world.log, plate) == expected(reads)


@embedded_alone
def test_one_plate_is_found_by_the_primary_key(filled: Filled) -> None:
    filled.world.see(*(Seen(f"K{i:06}", T0) for i in range(20_000)))
    filled.apply()
    for table in ("movements", "sightings"):
        explained = filled.client._raw.query(
            f"EXPLAIN indexes = 1 SELECT * FROM {table} WHERE plate = 'K010000'"
        )
        plan = "\n".join(row[0] for row in explained.result_rows)
        assert "Condition: (plate in ['K010000', 'K010000'])" in plan
        read, of = plan.split("PrimaryKey")[1].split("Granules: ")[1].split()[0].split("/")
        assert int(read) < int(of) / 4, plan


@pytest.fixture(scope="module")
def preserve(shared_data: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Records of a park's entrances, and what other code counted in them."""
    folder = shared_data / "movements"
    with gzip.open(folder / "preserve-2015.csv.gz", "rt") as file:
        records = list(csv.DictReader(file))
    return records, json.loads((folder / "answers.json").read_text())


@embedded_alone
def test_real_movements_backwards_and_in_pieces_give_the_answers_counted_elsewhere(
    make_world: Callable[[], World], preserve: tuple[list[dict[str, str]], dict[str, Any]]
) -> None:
    records, answers = preserve
    filled = Filled(make_world())
    directions = {"entry": ENTRY, "exit": EXIT}
    reads = [
        Seen(
            r["plate"],
            int(datetime.fromisoformat(r["captured_at"]).timestamp()) * SECOND,
            r["checkpoint"],
            directions[r["direction"]],
        )
        for r in reversed(records)
    ]
    reads = filled.world.numbered(reads)
    for start in range(0, len(reads), 5000):
        filled.world.store(reads[start : start + 5000])
        filled.apply(7000)
    by_plate = timelines_of(filled.client, sorted({r["plate"] for r in records}))
    passages = [p for own in by_plate.values() for p in own.passages]
    visits = [(plate, v) for plate, own in by_plate.items() for v in own.stays]
    # No passage here goes on over midnight: since a day they are those that begin from then on.
    middle = sorted(p.at for p in passages)[len(passages) // 2]
    midnight = middle - middle % (24 * 3600 * SECOND)
    later = {
        plate: [p for p in own.passages if p.at >= midnight] for plate, own in by_plate.items()
    }
    for since, expected in (
        (0, {plate: list(own.passages) for plate, own in by_plate.items()}),
        (middle, {plate: own for plate, own in later.items() if own}),
    ):
        recent = timelines_since(filled.client, sorted(by_plate), since)
        found = {
            plate: [replace(p, anomalies=[]) for p in own.passages] for plate, own in recent.items()
        }
        assert found == expected
    filled.client.close()

    assert len(passages) == answers["passages"]
    assert len(by_plate) == answers["plates"]
    assert not any(p.anomalies for p in passages)
    complete = [(plate, v.entry, v.exit) for plate, v in visits if v.entry and v.exit]
    assert len(complete) == answers["complete_visits"]
    assert len(visits) - len(complete) == answers["open_visits"]
    stays = [(left.at - entered.at) / SECOND for _, entered, left in complete]
    assert statistics.median(stays) == answers["median_visit_s"]
    assert max(stays) == answers["longest_visit_s"]
    through = [1 for _, entered, left in complete if entered.checkpoint != left.checkpoint]
    assert len(through) == answers["through_visits"]
    counts: dict[str, int] = {}
    for plate, _, _ in complete:
        counts[plate] = counts.get(plate, 0) + 1
    assert max(counts.items(), key=lambda i: i[1]) == (
        answers["most_visits_plate"],
        answers["most_visits"],
    )
    per_checkpoint: dict[str, int] = {}
    for p in passages:
        per_checkpoint[p.checkpoint] = per_checkpoint.get(p.checkpoint, 0) + 1
    assert per_checkpoint == answers["per_checkpoint"]
