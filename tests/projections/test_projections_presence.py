"""Who is inside equals a slow, obvious reference, from memory and from the reads."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import last_passages, presence
from projections.last_passages import LastPassages
from projections.presence import moment_of, present_at
from proto.ring.v1 import investigation_pb2 as pb
from ring.values import from_micros, micros
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.town import (
    DAY,
    MAX_VISIT,
    MINUTE,
    PLATES,
    READS,
    passages_of,
    seen_after,
)
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World

_examples = itertools.count(1)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    yield filled
    filled.client.close()


@pytest.fixture(scope="module")
def kept() -> LastPassages:
    """What is known of the last passages, from one example to the next."""
    return LastPassages()


def apply(filled: Filled, kept: LastPassages) -> None:
    """All that is stored, as the follower does."""

    def inserted(table: str, rows: pa.Table) -> None:
        if table == "incoming":
            kept.note(rows)

    while events := filled.projection.events():
        filled.projection.apply(events, inserted)


def inside(reads: list[Seen], at: int, longer: int) -> dict[str, int]:
    """Who is inside, with the time of entry."""
    found = {}
    for plate in PLATES:
        crossings = [
            p.first
            for p in passages_of([r for r in reads if r.plate == plate])
            if p.first.direction != UNKNOWN and p.first.at <= at
        ]
        last = crossings[-1] if crossings and crossings[-1].direction == ENTRY else None
        if last and at - MAX_VISIT <= last.at <= at - longer:
            found[plate] = last.at
    return found


@embedded_alone
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=READS, rng=st.randoms(use_true_random=False))
def test_any_arrival_order_gives_the_same_answer_from_memory_and_from_the_reads(
    filled: Filled,
    kept: LastPassages,
    drawn: list[tuple[int, str, str, Any, float]],
    rng: random.Random,
) -> None:
    # Every example in a time of its own, on the same plates.
    begin = T0 + next(_examples) * 100 * DAY
    reads = seen_after(begin, drawn)
    at = reads[-1].at
    times = [begin - 1, *(r.at for r in reads), at + 1, at + 80 * HOUR]
    rng.shuffle(reads)
    reads = [replace(read, sequence=i) for i, read in enumerate(reads, 1)]
    stored = [replace(r.stored(), originator_id=uuid4()) for r in reads]
    cuts = sorted(rng.choices(range(len(reads) + 1), k=2))
    for first, last in itertools.pairwise([0, *cuts, len(reads)]):
        if first < last:
            filled.world.insert(stored[first:last])
        apply(filled, kept)
        for moment in rng.choices(times, k=3):
            longer = rng.choice([0, 1, 59 * SECOND, 30 * MINUTE, 50 * HOUR])
            request = pb.ListPresentRequest(
                at=from_micros(moment),
                longer_than=Duration(seconds=longer // SECOND, nanos=longer % SECOND * 1000),
            )
            expected = inside(reads[:last], moment, longer)
            for most_since in (2**31, -1):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(presence, "_MOST_UNSURE", most_since)
                    patch.setattr(presence, "_MANY_AT_THE_EDGE", rng.choice([-1, 100]))
                    question = moment_of(request, Timestamp(), MAX_VISIT)
                    answer = present_at(filled.client, filled.world.log, kept, question)
                found = {v.plate: micros(v.visit.entered_at) for v in answer.vehicles}
                assert found == expected
                assert answer.total == len(expected)


def present_in(
    filled: Filled, kept: LastPassages, at: int, limit: int = 0
) -> tuple[list[tuple[str, int]], int]:
    """Plates and when they entered; how many there are."""
    apply(filled, kept)
    request = pb.ListPresentRequest(at=from_micros(at), limit=limit)
    moment = moment_of(request, Timestamp(), MAX_VISIT)
    answer = present_at(filled.client, filled.world.log, kept, moment)
    return [(v.plate, micros(v.visit.entered_at)) for v in answer.vehicles], answer.total


def test_a_misread_is_not_inside(filled: Filled, kept: LastPassages) -> None:
    at = T0 - 400 * DAY
    for n in range(6):
        # One vehicle each time, read twice; it left again.
        filled.world.see(
            Seen(f"PR{n}23AA", at + n, "A", confidence=0.85, lane=str(n)),
            Seen(f"PR{n}23AB", at + n + SECOND, "A", confidence=0.5, lane=str(n)),
            Seen(f"PR{n}23AA", at + HOUR + n, "A", EXIT),
        )
    filled.world.see(
        # Another lane, too late, sure.
        Seen("PR023AC", at + 10, "A", confidence=0.5, lane="9"),
        Seen("PR023AD", at + 5 * SECOND, "A", confidence=0.5, lane="0"),
        Seen("PR023AE", at + 6 * SECOND, "A", confidence=0.9, lane="0"),
        # Read once more, surely.
        Seen("PR123AC", at + 7 * SECOND, "A", lane="1"),
        Seen("PR123AC", at + 8 * SECOND, "A", confidence=0.5, lane="1"),
        Seen("PR123AA", at + 8 * SECOND, "A", confidence=0.85, lane="1"),
        # It is inside since before; then somebody was misread as it, twice.
        Seen("PR223AC", at - 2 * HOUR, "B"),
        *(Seen("PR223AC", at + n, "A", confidence=0.5, lane="7") for n in (0, 5 * MINUTE)),
        *(Seen("PR223AD", at + n, "A", confidence=0.75, lane="7") for n in (0, 5 * MINUTE)),
        Seen("PR223AD", at + HOUR, "A", EXIT),
        # Left, then misread as entering.
        Seen("PR323AC", at - 3 * HOUR, "B"),
        Seen("PR323AC", at - 2 * HOUR, "B", EXIT),
        Seen("PR323AC", at, "A", confidence=0.5, lane="8"),
        Seen("PR323AA", at, "A", confidence=0.75, lane="8"),
    )
    expected = [
        ("PR223AC", at - 2 * HOUR),
        ("PR023AC", at + 10),
        ("PR023AD", at + 5 * SECOND),
        ("PR023AE", at + 6 * SECOND),
        ("PR123AC", at + 7 * SECOND),
    ]
    assert present_in(filled, kept, at + 2 * HOUR) == (expected, len(expected))
    for limit in (1, 3, 4):
        # Misreads that are not looked at stay in the total, and one as it keeps its rank.
        listed, total = present_in(filled, kept, at + 2 * HOUR, limit)
        assert listed == [v for v in expected if v in listed]
        assert len(listed) == limit
        assert len(expected) <= total <= len(expected) + 7


def test_a_passage_of_minutes_may_be_a_misread(filled: Filled, kept: LastPassages) -> None:
    at = T0 - 510 * DAY
    queue = [at + n * 50 * SECOND for n in range(12)]
    filled.world.see(
        # In a queue for ten minutes, and read twice each time.
        *(Seen("PR623AC", t, "A", confidence=0.75) for t in queue),
        *(Seen("PR623AD", t, "A", confidence=0.5) for t in queue),
        # Once surely: it was there.
        *(Seen("PR623XY", t, "B", confidence=0.75) for t in queue),
        *(Seen("PR623XZ", t, "B", confidence=0.95 if t == at else 0.5) for t in queue),
    )
    apply(filled, kept)
    request = pb.ListPresentRequest(at=from_micros(at + HOUR))
    answer = present_at(
        filled.client, filled.world.log, kept, moment_of(request, Timestamp(), MAX_VISIT)
    )
    assert [v.plate for v in answer.vehicles] == ["PR623AC", "PR623XY", "PR623XZ"]


def test_a_later_misread_hides_no_exit_of_a_visit(filled: Filled, kept: LastPassages) -> None:
    at = T0 - 500 * DAY
    filled.world.see(
        Seen("PR423AC", at, "A"),
        # Misread as entering once more, after the time asked for; then it left.
        *(Seen("PR423AC", at + 2 * HOUR + n, "B", confidence=0.5) for n in (0, 5 * MINUTE)),
        *(Seen("PR423AD", at + 2 * HOUR + n, "B", confidence=0.75) for n in (0, 5 * MINUTE)),
        Seen("PR423AC", at + 3 * HOUR, "C", EXIT),
        # This one did enter once more, so its exit was missed.
        Seen("PR523XY", at + 1, "A"),
        Seen("PR523XY", at + 2 * HOUR, "B"),
        Seen("PR523XY", at + 3 * HOUR, "C", EXIT),
    )
    apply(filled, kept)
    request = pb.ListPresentRequest(at=from_micros(at + HOUR))
    moment = moment_of(request, Timestamp(), MAX_VISIT)
    answer = present_at(filled.client, filled.world.log, kept, moment)
    assert [
        (v.plate, micros(v.visit.exited_at), v.visit.exit_checkpoint) for v in answer.vehicles
    ] == [("PR423AC", at + 3 * HOUR, "C"), ("PR523XY", 0, "")]


@pytest.mark.parametrize("many", [-1, 1000])
@pytest.mark.parametrize("most_since", [2**31, -1])
def test_an_entry_counts_from_its_first_read_at_both_ends_of_the_times_asked_for(
    filled: Filled,
    kept: LastPassages,
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    most_since: int,
) -> None:
    monkeypatch.setattr(presence, "_MANY_AT_THE_EDGE", many)
    monkeypatch.setattr(presence, "_MOST_UNSURE", most_since)
    edge = T0 - (2_000 + 5 * next(_examples)) * DAY

    def seen(plate: str, *reads: tuple[int, str]) -> list[Seen]:
        return [Seen(plate, edge + after, checkpoint) for after, checkpoint in reads]

    filled.world.see(
        *seen("ACROSS1", (-20 * SECOND, "A"), (20 * SECOND, "A")),
        *seen("ACROSS2", (-MINUTE + 1, "A"), (1, "A"), (MINUTE, "A")),
        *seen("ATIT1", (0, "A"), (MINUTE, "A")),
        *seen("TWO1", (-30 * SECOND, "A"), (30 * SECOND + 1, "A")),
        *seen("ELSE1", (-20 * SECOND, "A"), (20 * SECOND, "B")),
        *seen("BEFORE1", (-MINUTE, "A")),
        *seen("AFTER1", (1, "A")),
    )
    apply(filled, kept)

    def there(at: int, longer: int = 0) -> set[str]:
        request = pb.ListPresentRequest(
            at=from_micros(at), longer_than=Duration(seconds=longer // SECOND)
        )
        moment = moment_of(request, Timestamp(), MAX_VISIT)
        answer = present_at(filled.client, filled.world.log, kept, moment)
        found = {vehicle.plate for vehicle in answer.vehicles}
        assert answer.total == len(found)
        return found

    assert there(edge + HOUR, HOUR) == {"ACROSS1", "ACROSS2", "ATIT1", "BEFORE1"}
    assert there(edge + MAX_VISIT) == {"ATIT1", "TWO1", "ELSE1", "AFTER1"}


def test_a_clock_that_is_ahead_makes_now_no_time_gone_by(
    filled: Filled, kept: LastPassages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going through three days of reads takes most of a second in a city."""
    now = T0 + 60_000 * DAY
    filled.world.see(
        Seen("AHEAD01", now - HOUR, "A"), Seen("AHEAD02", now + 20 * HOUR, "A", received_at=now)
    )
    monkeypatch.setattr(presence, "then", None)
    assert present_in(filled, kept, now) == ([("AHEAD01", now - HOUR)], 1)


def asked(filled: Filled, kept: LastPassages) -> list[tuple[str, int, int]]:
    """Everything that is kept, read where it must be."""
    last = kept.since(filled.client, 0)
    rows = zip(last.plates.tolist(), last.entry.tolist(), last.exit.tolist(), strict=True)
    return [(plate.decode(), entry, exit_) for plate, entry, exit_ in rows]


def test_what_is_kept_is_what_the_tables_say_however_it_came(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = LastPassages()
    calls = []
    arrow = filled.client.arrow
    monkeypatch.setattr(
        filled.client, "arrow", lambda name, **more: (calls.append(name), arrow(name, **more))[1]
    )
    at = T0 - 900 * DAY

    def same() -> bool:
        apply(filled, kept)
        return asked(filled, kept) == asked(filled, LastPassages())

    filled.world.see(Seen("KEPT01", at, "A"), Seen("KEPT03", at, "A", EXIT))
    assert same()
    filled.world.see(
        Seen("KEPT02", at + 5, "A"),
        Seen("KEPT01", at - 5, "A"),
        Seen("KEPT03", at + 9, "A"),
        Seen("KEPT03", at + 7, "B", EXIT),
        Seen("A", at, "B", UNKNOWN),
        Seen("ZZZZZZZZZZZZ", at, "B"),
    )
    calls.clear()
    assert same()
    assert len(calls) == 1  # the new one's own

    # Too many rows wait; nobody has asked for a while; it is old: then it is read again.
    for name, value in (("_MOST_WAITING", 0), ("_IDLE", -1.0), ("_KEPT", -1.0)):
        with monkeypatch.context() as patch:
            patch.setattr(last_passages, name, value)
            filled.world.see(Seen(f"KEPT{len(calls)}", at, "A"))
            apply(filled, kept)
            calls.clear()
            assert asked(filled, kept) == asked(filled, LastPassages())
            assert len(calls) == 2

    # Another database, as after a rebuild.
    other = filled.client.database + "_other"
    filled.client.execute(f"CREATE DATABASE {other}")
    filled.client.execute(f"CREATE TABLE {other}.plates AS plates")
    database = filled.client.database
    filled.client.use(other)
    assert asked(filled, kept) == []
    filled.client.use(database)
    assert asked(filled, kept) == asked(filled, LastPassages()) != []


def test_what_fails_half_way_is_read_again(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = LastPassages()
    at = T0 - 950 * DAY
    assert asked(filled, kept)
    filled.world.see(Seen("HALF01", at, "A"))
    apply(filled, kept)
    with monkeypatch.context() as patch:
        patch.setattr(last_passages.Last, "after", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            asked(filled, kept)
    assert asked(filled, kept) == asked(filled, LastPassages())
    assert "HALF01" in {plate for plate, *_ in asked(filled, kept)}
