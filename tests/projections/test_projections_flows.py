"""Flows: hours of the city's zone, what is usual in them, and what stands out."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from projections import flows
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from ring.values import from_micros, micros
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import HOUR, SECOND, T0, Seen, World

DAY, MINUTE = 24 * HOUR, 60 * SECOND
# After every read of these tests.
NOW = Timestamp(seconds=2_000_000_000)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    yield filled
    filled.client.close()


@pytest.fixture(autouse=True)
def _counts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "_WORTH_KEEPING", 1)


def range_of(start: int, end: int) -> TimeRange:
    return TimeRange(start_time=from_micros(start), end_time=from_micros(end))


def test_hours_are_the_citys_and_a_blind_reader_stands_out(filled: Filled) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    monday = datetime(2025, 3, 3, 9, tzinfo=zone)
    reads = []
    for week in range(4):
        start = int((monday + timedelta(weeks=week)).timestamp()) * SECOND
        for lane in ("1", "2"):
            if (week, lane) != (3, "2"):
                reads += [
                    Seen(f"W{week}L{lane}N{i:03}", start + i * 100 * SECOND, "C", lane=lane)
                    for i in range(36)
                ]
    last = int((monday + timedelta(weeks=3)).timestamp()) * SECOND
    reads.append(Seen("LASTONE", last + 5 * HOUR, "C"))
    filled.world.see(*reads)
    filled.apply()
    request = pb.ListFlowsRequest(
        range=range_of(last, last + HOUR), checkpoints=["C"], by_lane=True, compare=True
    )
    answer = flows.flows_in(filled.client, flows.traffic_of(request, zone, NOW))
    assert answer.time_zone == "Asia/Kolkata"
    assert [(f.lane, f.passages, f.usual, f.unusual_drop) for f in answer.flows] == [
        ("1", 36, 36, False),
        ("2", 0, 36, True),
    ]
    assert {micros(f.hour) for f in answer.flows} == {last}


def test_no_hour_is_judged_before_it_is_over(filled: Filled) -> None:
    reads = []
    last = T0 - 450 * DAY
    for week in range(5):
        start = last - (4 - week) * 7 * DAY
        for hour in range(3 if week < 4 else 1):
            reads += [
                Seen(f"J{week}H{hour}N{i:03}", start + hour * HOUR + i * 100 * SECOND, "D")
                for i in range(36)
            ]
    # Of a clock that is a day ahead.
    reads.append(Seen("AHEAD99", last + DAY, "D"))
    filled.world.see(*reads)
    filled.apply()
    request = pb.ListFlowsRequest(
        range=range_of(last, last + 12 * HOUR), checkpoints=["D"], compare=True
    )

    def judged(now: int) -> list[tuple[int, int, bool]]:
        traffic = flows.traffic_of(request, ZoneInfo("UTC"), from_micros(now))
        found = flows.flows_in(filled.client, traffic).flows
        return [((micros(f.hour) - last) // HOUR, f.passages, f.unusual_drop) for f in found]

    assert judged(last + HOUR) == [(0, 36, False)]
    assert judged(last + 90 * MINUTE) == [(0, 36, False), (1, 0, False)]
    assert judged(last + 2 * HOUR) == [(0, 36, False), (1, 0, True)]
    assert judged(last + 3 * HOUR) == [(0, 36, False), (1, 0, True), (2, 0, True)]


def test_a_day_on_which_the_clocks_change_has_each_of_its_hours_once(filled: Filled) -> None:
    zone = ZoneInfo("America/Santiago")
    # 23:00 comes twice on the first of these days; the second begins at 01:00.
    for day, hours in (((4, 6), 25), ((9, 8), 23)):
        midnight = datetime(2024, *day, tzinfo=zone)
        start = int(midnight.timestamp()) * SECOND
        end = int((midnight + timedelta(days=1)).timestamp()) * SECOND
        assert end - start == hours * HOUR
        expected = []
        for hour in range(-1, hours + 1):
            traffic = passages_at(start + hour * HOUR, hour % 5 + 1)
            filled.world.see(*traffic)
            if 0 <= hour < hours:
                expected.append((start + hour * HOUR, len(traffic)))
        filled.apply()
        # Whole quarters are added up by ClickHouse, the parts of others here.
        for early in (0, MINUTE):
            request = pb.ListFlowsRequest(range=range_of(start - early, end), checkpoints=["S"])
            answer = flows.flows_in(filled.client, flows.traffic_of(request, zone, NOW))
            found = [(micros(f.hour), f.passages) for f in answer.flows]
            assert found == expected


def test_an_hour_that_a_clock_change_left_out_is_not_compared_with(filled: Filled) -> None:
    zone = ZoneInfo("America/Santiago")
    # There was no midnight on 8 September 2024.
    for day, hour, passages in ((18, 0, 30), (25, 0, 20), (32, 0, 10), (39, 1, 40), (46, 0, 5)):
        at = datetime(2024, 8, 1, hour, tzinfo=zone) + timedelta(days=day - 1)
        filled.world.see(*passages_at(int(at.timestamp()) * SECOND, passages, "T"))
    last = int(datetime(2024, 9, 15, tzinfo=zone).timestamp()) * SECOND
    filled.apply()
    request = pb.ListFlowsRequest(
        range=range_of(last, last + HOUR), checkpoints=["T"], compare=True
    )
    (found,) = flows.flows_in(filled.client, flows.traffic_of(request, zone, NOW)).flows
    assert (micros(found.hour), found.passages, found.usual) == (last, 5, 20)


def test_what_is_usual_is_the_median_of_the_same_hours_by_the_wall_clock(filled: Filled) -> None:
    zone = ZoneInfo("America/Santiago")
    rng = random.Random(3)
    for year, month, day in ((2026, 4, 4), (2026, 9, 5)):
        # 23:00 comes twice on the first of these Saturdays, midnight not at all after the second.
        saturday = datetime(year, month, day, 18, tzinfo=zone)
        place = f"U{month}"
        kept: dict[int, int] = {}
        for week in range(-3, 5):
            start = int((saturday + timedelta(weeks=week)).timestamp()) * SECOND
            for hour in range(start, start + 10 * HOUR, HOUR):
                kept[hour] = rng.choice([0, 0, 1, 3, 8, 20])
                if kept[hour]:
                    filled.world.see(*passages_at(hour, kept[hour], place))
        filled.apply()
        for week in range(1, 5):
            start = int((saturday + timedelta(weeks=week)).timestamp()) * SECOND
            end = start + 9 * HOUR
            request = pb.ListFlowsRequest(
                range=range_of(start, end), checkpoints=[place], compare=True
            )
            answer = flows.flows_in(filled.client, flows.traffic_of(request, zone, NOW)).flows
            found = {micros(f.hour): (f.passages, f.usual) for f in answer}
            walls: dict[datetime, int] = {}
            for hour in sorted(kept):
                wall = datetime.fromtimestamp(hour // SECOND, zone).replace(tzinfo=None, fold=0)
                walls.setdefault(wall, hour)
            expected = {}
            for hour in range(start, end, HOUR):
                wall = datetime.fromtimestamp(hour // SECOND, zone).replace(tzinfo=None, fold=0)
                before = [wall - timedelta(weeks=n) for n in range(1, 5)]
                usual = median(kept[walls[w]] for w in before if w in walls)
                if usual or kept[hour]:
                    expected[hour] = (kept[hour], usual)
            assert found == expected


def passages_at(at: int, number: int, checkpoint: str = "S") -> list[Seen]:
    """Passages of so many vehicles in the hour."""
    return [
        Seen(f"F{at // HOUR % 10**6}N{i:02}", at + i * 59 * SECOND, checkpoint)
        for i in range(number)
    ]
