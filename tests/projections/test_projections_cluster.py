"""A cluster's schema answers as a single server's: the same log, projected onto both.

The cluster has one shard and no Keeper (see clickhouse_front): of what several shards and replicas
do among themselves, nothing is shown here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from projections.clickhouse import ClickHouse, Client
from projections.schema import Databases
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.operations_pb2 import GetStatusRequest, RebuildRequest
from ring.values import from_micros
from tests.projections.conftest import Front
from tests.projections.test_projections_follower import busy_city
from tests.projections.world import HOUR, PURPOSE, SECOND, T0, Seen, Served, World, serving

CLUSTER = "city"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("w"), "")
    busy_city(world, 400)
    world.see(*(Seen("PATROL1", T0 + n * 20 * SECOND) for n in range(200)))
    yield world
    world.close()


@pytest.fixture(scope="module")
def single(log: World, chdb_path: Path) -> Iterator[Served]:
    world = replace(log, clickhouse=f"chdb:///{chdb_path}?database=single")
    with serving(world) as served:
        yield served
    world.close()


@pytest.fixture(scope="module")
def cluster(log: World, front: Front) -> Iterator[Served]:
    world = replace(log, clickhouse=front.dsn("spread"), cluster=CLUSTER)
    with serving(world) as served:
        yield served
    world.close()


@pytest.fixture
def client(front: Front, cluster: Served) -> Iterator[Client]:
    clickhouse = ClickHouse.at(front.dsn("spread"), CLUSTER)
    client = clickhouse.open()
    client.use(Databases(clickhouse, client).live())
    request = pb.SearchPlatesRequest(purpose=PURPOSE, pattern="NONE", at_least=cluster.at_head())
    cluster.investigation.SearchPlates(request)
    yield client
    client.close()


def answers(served: Served) -> list[Message]:
    """What it says to a question of each kind."""
    ask, at = served.investigation, served.at_head()
    span = TimeRange(start_time=from_micros(T0), end_time=from_micros(T0 + 40 * 24 * HOUR))
    found: list[Message] = []
    for more in ({}, {"range": span}, {"checkpoints": ["GP-01", "GP-03"]}, {"page_size": 7}):
        request = pb.SearchPlatesRequest(purpose=PURPOSE, pattern="C*", at_least=at, **more)
        answer = ask.SearchPlates(request)
        found += answer.plates
        if answer.next_page_token:
            request.page_token = answer.next_page_token
            found += ask.SearchPlates(request).plates
    for plate in ("PATROL1", *(f"C{n:05}" for n in range(0, 40, 7))):
        for range_ in (None, span):
            asked = {"purpose": PURPOSE, "plate": plate, "range": range_}
            found.append(ask.GetTimeline(pb.GetTimelineRequest(**asked)))
            found += ask.ListReads(pb.ListReadsRequest(**asked))
    asked = {"purpose": PURPOSE, "range": span}
    met = ask.FindCompanions(pb.FindCompanionsRequest(plate="PATROL1", min_encounters=1, **asked))
    scenes = [pb.Scene(checkpoint=c, range=span) for c in ("GP-01", "GP-02")]
    common = pb.FindCommonPlatesRequest(purpose=PURPOSE, scenes=scenes)
    clones = pb.ListCloneSuspectsRequest(include_hints=True, min_confidence=0.1, **asked)
    present = pb.ListPresentRequest(purpose=PURPOSE, at=span.end_time)
    fuzzy = pb.SearchPlatesRequest(purpose=PURPOSE, pattern="C00001", fuzzy=True)
    found += [met, ask.FindCommonPlates(common), ask.ListCloneSuspects(clones)]
    found += [ask.ListPresent(present), ask.SearchPlates(fuzzy)]
    found.append(ask.ListFlows(pb.ListFlowsRequest(range=span)))
    found.append(ask.ListFlows(pb.ListFlowsRequest(range=span, by_lane=True, compare=True)))
    found.append(ask.ListFlows(pb.ListFlowsRequest(checkpoints=["GP-02"])))
    return found


def test_a_cluster_answers_as_a_single_server(single: Served, cluster: Served) -> None:
    expected = answers(single)
    assert len(expected) > 200
    assert answers(cluster) == expected
    rows = [dict(s.projections.GetStatus(GetStatusRequest()).rows) for s in (single, cluster)]
    assert set(rows[0]) == set(rows[1])
    assert rows[0]["sightings"] == rows[1]["sightings"] == 600


def test_its_rows_lie_in_local_tables_behind_distributed_ones(client: Client) -> None:
    engines = dict(
        client._raw.query(
            "SELECT name, engine FROM system.tables WHERE database = currentDatabase()"
        ).result_rows
    )
    assert {n for n, e in engines.items() if e.endswith("MergeTree")} == {
        n for n in engines if n.endswith("_local") and n != "incoming_local"
    }
    assert engines["sightings"] == engines["incoming"] == "Distributed"
    for table in ("sightings", "sightings_local"):
        (count,) = client._raw.query(f"SELECT uniqExact(position) FROM {table}").result_rows[0]
        assert count == 600


def test_alerts_have_their_states_there_too(client: Client) -> None:
    found = client._raw.query("SELECT state, count() FROM alerts GROUP BY state").result_rows
    assert dict(found) == {"acknowledged": 2, "resolved": 2}


def test_it_is_rebuilt_and_compared(cluster: Served, client: Client) -> None:
    *_, calm = cluster.projections.Rebuild(RebuildRequest(verify_only=True), timeout=60)
    assert calm.outcome == "equal"
    client.execute(
        "ALTER TABLE sightings_local UPDATE lane = 'x' WHERE position = 7 "
        "SETTINGS mutations_sync = 2"
    )
    *_, found = cluster.projections.Rebuild(RebuildRequest(verify_only=True), timeout=60)
    changed = {t.table: list(t.different_columns) for t in found.tables if t.different_columns}
    assert changed == {"sightings": ["lane"]}
    *_, healed = cluster.projections.Rebuild(RebuildRequest(), timeout=60)
    assert healed.outcome == "rebuilt"
    *_, again = cluster.projections.Rebuild(RebuildRequest(verify_only=True), timeout=60)
    assert again.outcome == "equal"
