"""Questions that name more than one parameter of a ClickHouse server may hold."""

from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.binding import format_bind_value

from projections import flows
from projections.candidates import candidates, wanted_of
from projections.clickhouse import ClickHouse, ClickHouseError, Readers
from projections.encounters import companions_of, travel_of
from projections.parameters import in_pieces
from projections.scenes import common_plates, places_of
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.values import from_micros
from tests.projections.conftest import Front
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import HOUR, SECOND, T0, Seen, World

HERE, THERE = "RICCHIERI-KM-12-ASCENDENTE", "RICCHIERI-KM-31-ASCENDENTE"
TIMES = [T0 + 2 * n * HOUR for n in range(4_500)]
ALWAYS = TimeRange(start_time=from_micros(T0), end_time=from_micros(TIMES[-1] + HOUR))


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    """A year of two vehicles that travel together, and one that they met."""
    filled = Filled(make_world())
    filled.world.see(
        *(Seen("TARGET1", at, HERE) for at in TIMES),
        *(Seen("CONVOY1", at + 30 * SECOND, HERE) for at in TIMES),
        Seen("CONVOY1", T0 + HOUR, THERE),
        Seen("ALONE01", T0 + HOUR, THERE),
    )
    filled.apply()
    yield filled
    filled.client.close()


def test_a_server_refuses_a_field_that_is_too_long(front: Front) -> None:
    client = ClickHouse.at(front.dsn("default")).open()
    longest = 131_072
    assert client._raw.query("SELECT length({a:String})", parameters={"a": "A" * longest}).first_row
    with pytest.raises(ClickHouseError, match=r"Code: 1000.*Field value too long"):
        client._raw.query("SELECT {a:String}", parameters={"a": "A" * (longest + 1)})
    client.close()


def test_companions_of_thousands_of_passages(filled: Filled) -> None:
    request = pb.FindCompanionsRequest(plate="TARGET1", range=ALWAYS)
    (convoy,) = companions_of(filled.client, filled.world.log, travel_of(request)).companions
    assert (convoy.plate, convoy.encounters) == ("CONVOY1", len(TIMES))


def test_plates_common_to_scenes_of_a_year(filled: Filled) -> None:
    scenes = [pb.Scene(checkpoint=code, range=ALWAYS) for code in (HERE, THERE)]
    places = places_of(pb.FindCommonPlatesRequest(scenes=scenes))
    found = common_plates(filled.client, filled.world.log, places).plates
    assert [p.plate for p in found] == ["CONVOY1"]


def test_flows_of_a_year_of_lone_quarters(filled: Filled) -> None:
    request = pb.ListFlowsRequest(range=ALWAYS, checkpoints=[HERE])
    traffic = flows.traffic_of(request, ZoneInfo("UTC"), ALWAYS.end_time)
    for _ in range(2):
        found = flows.flows_in(filled.client, traffic).flows
        assert [f.passages for f in found] == [2] * len(TIMES)


def test_candidates_of_thousands_of_patterns(filled: Filled) -> None:
    world = filled.world
    patterns = [f"{a}{b}{n}??????" for a in "BCD" for b in "ABCDEFGHIJ" for n in range(90)]
    readers = Readers(ClickHouse.at(world.clickhouse), 1, filled.projection.database)
    try:
        request = FindCandidatesRequest(plates=[*patterns, "?ONVOY1"], threshold=0.05)
        found = candidates(readers, world.log.log_id, wanted_of(request))
        theirs = {*range(len(TIMES) + 1, 2 * len(TIMES) + 2)}
        assert theirs <= {position for page in found for position in page}
    finally:
        readers.close()


def test_a_statement_in_pieces_asks_the_same(filled: Filled) -> None:
    text = "SELECT {s:String}, {a:Array(Tuple(String, Int64))}, {n:Int64}, length({s:String})"
    asked = {"s": "ñ'\\\t" * 60_000, "a": [("ñ'\\", n) for n in range(20_000)], "n": 1}
    pieces, parameters = in_pieces(text, asked)
    assert pieces.count("concat(") == 2
    assert max(len(format_bind_value(v).encode()) for v in parameters.values()) <= 131_072
    (row,) = filled.client._raw.query(pieces, parameters=parameters).result_rows
    assert row == (asked["s"], asked["a"], 1, 300_000)
    short = {"s": "A", "a": [], "n": 1}
    assert in_pieces(text, short) == (text, short)
