"""Flows are counted before anybody asks, and what is counted holds only as long as it is right."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from projections import flows
from projections.clickhouse import ClickHouse, Readers
from projections.counting import count_round
from projections.flows import flows_in, traffic_of
from projections.read_side import ReadSide
from proto.ring.v1.investigation_pb2 import ListFlowsRequest
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, SECOND, T0, Seen, World

HOUR = 3600 * SECOND
# Long after everything.
NOW = T0 / SECOND + 10 * 86_400
AFTER = Timestamp(seconds=int(NOW))


def never(_: float) -> bool:
    return False


def test_a_round_counts_what_is_not_counted_and_what_changed_since(
    make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    filled = Filled(world)
    readers = Readers(ClickHouse.at(world.clickhouse), 1, filled.client.database)
    asked: list[str] = []
    rows = type(filled.client).rows

    def note(client: Any, name: str, **parameters: Any) -> Any:
        asked.append(name)
        return rows(client, name, **parameters)

    def answer() -> dict[tuple[str, int, int], int]:
        traffic = traffic_of(ListFlowsRequest(), ZoneInfo("UTC"), AFTER)
        found = flows_in(filled.client, traffic).flows
        return {(f.checkpoint, f.direction, f.hour.seconds): f.passages for f in found}

    try:
        for hour in range(30):
            world.see(
                Seen(f"FLOW{hour:03}", T0 + hour * HOUR, "A", ENTRY),
                Seen(f"FLOW{hour:03}", T0 + hour * HOUR + 10 * SECOND, "A", ENTRY),
                Seen("FLOWBUS", T0 + hour * HOUR, "B", EXIT),
            )
        filled.apply()
        before = answer()
        assert sum(before.values()) == 60
        count_round(readers, NOW, everything=True, rest=never)
        monkeypatch.setattr(type(filled.client), "rows", note)
        assert answer() == before
        assert "queries/count_flows" not in asked, "everything was counted ahead"

        late = Seen("FLOWLATE", T0 + 29 * HOUR + 5 * SECOND, "B", EXIT)
        world.see(late)
        filled.apply()
        changed = dict(before)
        changed["B", EXIT, late.at // HOUR * 3600] += 1
        # The quarter has not ended: its reads are still coming.
        count_round(readers, late.at / SECOND, everything=True, rest=never)
        asked.clear()
        assert answer() == changed
        assert "queries/count_flows" in asked
        count_round(readers, NOW, everything=False, rest=never)
        asked.clear()
        assert answer() == changed
        count_round(readers, NOW, everything=True, rest=never)
        assert "queries/count_flows" not in asked, "nothing is counted twice"
    finally:
        monkeypatch.undo()
        readers.close()
        filled.client.close()


def test_what_is_counted_while_a_question_is_answered_is_in_the_answer(
    make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    filled = Filled(world)
    readers = Readers(ClickHouse.at(world.clickhouse), 1, filled.client.database)
    refresh = flows._refresh

    def late(*asked: Any) -> Any:
        monkeypatch.setattr(flows, "_refresh", refresh)
        time.sleep(0.3)
        count_round(readers, NOW, everything=True, rest=never)
        return refresh(*asked)

    try:
        world.see(Seen("FLOW001", T0, "A"))
        filled.apply()
        count_round(readers, NOW, everything=True, rest=never)
        world.see(Seen("FLOW002", T0 + SECOND, "A"))
        filled.apply()
        monkeypatch.setattr(flows, "_refresh", late)
        traffic = traffic_of(ListFlowsRequest(), ZoneInfo("UTC"), AFTER)
        assert [f.passages for f in flows_in(filled.client, traffic).flows] == [2]
    finally:
        readers.close()
        filled.client.close()


def test_the_read_side_counts_by_itself(
    make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.counting._FIRST", 0.05)
    monkeypatch.setattr("projections.counting._BETWEEN", 0.05)
    world = make_world()
    world.see(Seen("FLOW001", T0, "A"), replace(Seen("FLOW002", T0 + SECOND, "A"), direction=EXIT))
    side = ReadSide(world.log, ClickHouse.at(world.clickhouse))
    side.open()
    try:
        with side.readers.client() as client:
            counted = "SELECT checkpoint FROM flow_counts GROUP BY quarter, checkpoint"
            until = time.monotonic() + 20
            while client._raw.query(counted).result_rows != [("A",)]:
                assert time.monotonic() < until
                time.sleep(0.05)
            monkeypatch.setattr(flows, "_refresh", lambda *_: set())
            found = flows_in(client, traffic_of(ListFlowsRequest(), ZoneInfo("UTC"), AFTER)).flows
            assert sorted((f.direction, f.passages) for f in found) == [(ENTRY, 1), (EXIT, 1)]
    finally:
        side.close()
