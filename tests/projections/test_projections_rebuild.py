"""Everything in ClickHouse can be dropped and built anew from the log, with equal checksums."""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import flows
from projections.clickhouse import ClickHouse, Client
from projections.follower import Projection
from projections.rebuild import TABLES
from projections.schema import Databases
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.operations_pb2 import (
    GetStatusRequest,
    RebuildProgress,
    RebuildRequest,
    ReconcileRequest,
)
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_follower import busy_city, differences, within
from tests.projections.world import PURPOSE, SECOND, T0, Seen, Served, World, serving


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    busy_city(world, 400)
    with serving(world) as served:
        yield served


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    client = ClickHouse.at(world.clickhouse).open()
    yield client
    client.close()


def rebuild(served: Served, *, verify: bool) -> RebuildProgress:
    wait(served)
    *_, last = served.projections.Rebuild(RebuildRequest(verify_only=verify), timeout=60)
    return last


def wait(served: Served) -> None:
    served.investigation.ListFlows(pb.ListFlowsRequest(at_least=served.at_head()))


def projections_in(client: Client, world: World) -> list[str]:
    base = ClickHouse.at(world.clickhouse).database
    client.use(base)
    return [str(r[0]) for r in client.rows("databases/select_databases", prefix=f"{base}_")]


def live(client: Client, world: World) -> str:
    return Databases(ClickHouse.at(world.clickhouse), client).live()


def test_what_was_followed_equals_what_is_built_anew(served: Served, client: Client) -> None:
    outcome = rebuild(served, verify=True)
    assert outcome.outcome == "equal", outcome
    assert {t.table for t in outcome.tables} == {*TABLES, "flow_counts"}
    rows = {t.table: t.rows_live for t in outcome.tables}
    assert (rows["sightings"], rows["plates"], rows["checkpoints"]) == (400, 40, 1)
    assert rows["unsure_reads"] > 100
    assert projections_in(client, served.world) == [live(client, served.world)]


CHANGES = [
    ("UPDATE confidence = 2 WHERE position = 7", "sightings", ["confidence"]),
    ("UPDATE lane = 'x' WHERE position = 7", "sightings_by_checkpoint", ["lane"]),
    ("UPDATE last_seen = first_seen WHERE plate = 'C00001'", "plates", ["last_seen"]),
    ("UPDATE name = 'Puente?' WHERE 1", "checkpoints", ["name"]),
    ("UPDATE zone = 'x' WHERE 1", "checkpoint_zones", ["zone"]),
    ("UPDATE note = 'x' WHERE disposition != ''", "hotlist_match_states", ["note"]),
    ("UPDATE delayed = false WHERE 1", "hotlist_matches", ["delayed"]),
    ("UPDATE last_position = 1 WHERE 1", "flow_marks", ["last_position"]),
    ("UPDATE read_plate = 'x' WHERE 1", "unsure_reads", ["read_plate"]),
    ("UPDATE lane = 'x' WHERE 1", "unsure_by_checkpoint", ["lane"]),
    ("DELETE WHERE plate = 'C00002'", "movements", ["plate", "day", "reads"]),
]


@embedded_alone
def test_changed_values_are_found_and_named(served: Served, client: Client) -> None:
    wait(served)
    client.use(live(client, served.world))
    # One first: nothing else is named with it.
    for changes in (CHANGES[:1], CHANGES[1:]):
        for change, table, _ in changes:
            client._raw.command(f"OPTIMIZE TABLE {table} FINAL")
            client._raw.command(f"ALTER TABLE {table} {change} SETTINGS mutations_sync = 2")
        outcome = rebuild(served, verify=True)
        assert outcome.outcome == "different"
        found = {t.table: list(t.different_columns) for t in outcome.tables if t.different_columns}
        done = CHANGES[: CHANGES.index(changes[-1]) + 1]
        assert found == {table: columns for _, table, columns in done}
    assert set(found) == set(TABLES)


def compared(served: Served) -> tuple[str, int, list[str]]:
    """The outcome of a comparison, and what it says of the counts that questions kept."""
    timeline_length(served, "C00001")
    *_, outcome = served.projections.Rebuild(RebuildRequest(verify_only=True), timeout=60)
    (counts,) = (t for t in outcome.tables if t.table == "flow_counts")
    return outcome.outcome, counts.rows_live, list(counts.different_columns)


def test_counts_that_were_kept_are_compared_with_counts_made_anew(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "_WORTH_KEEPING", 1)
    # Nothing is counted behind the test's back, however long it takes.
    monkeypatch.setattr("projections.counting._FIRST", 3600.0)
    times = [T0 + day * 5 * 24 * 3600 * SECOND for day in range(4)]
    world.see(*(Seen(f"C{n:05}", at, f"GP-{n}") for at in times for n in range(3)))
    with serving(world) as served:
        wait(served)
        # A count that lacks a read is no answer, and made anew by the next question.
        world.see(Seen("LATE001", T0, "GP-0"))
        assert compared(served) == ("equal", 11, [])
        wait(served)
        client.use(live(client, world))
        some = "FROM flow_counts WHERE checkpoint = 'GP-0' ORDER BY quarter LIMIT 1"
        client._raw.command(
            f"INSERT INTO flow_counts SELECT quarter, checkpoint, seen + 1000, counts {some}"
        )
        client._raw.command("INSERT INTO unsure_reads_lacking SELECT log, 7 FROM positions LIMIT 1")
        assert compared(served) == ("different", 12, ["seen"])
        client._raw.command(
            "ALTER TABLE flow_counts UPDATE counts = arrayMap(c -> (c.1, c.2, c.3 + 1), counts) "
            "WHERE checkpoint = 'GP-1' SETTINGS mutations_sync = 2"
        )
        assert compared(served) == ("different", 12, ["counts", "seen"])

        *_, outcome = served.projections.Rebuild(RebuildRequest(), timeout=60)
        assert outcome.outcome == "rebuilt"
        client.use(live(client, world))
        for table in ("flow_counts", "unsure_reads_lacking"):
            ((rows,),) = client._raw.query(f"SELECT count() FROM {table}").result_rows
            assert rows == 0
        assert compared(served) == ("equal", 0, [])


def test_a_rebuild_heals_while_questions_and_reads_go_on(served: Served, client: Client) -> None:
    wait(served)
    before = live(client, served.world)
    client.use(before)
    client._raw.command("TRUNCATE TABLE sightings")
    client._raw.command("TRUNCATE TABLE movements")
    plate = "GO001NN"
    ends = threading.Event()
    seen: list[int] = []
    problems: list[BaseException] = []

    def go_on() -> None:
        try:
            while not ends.is_set():
                served.world.see(Seen(plate, T0 + len(seen) * 100 * SECOND))
                seen.append(timeline_length(served, plate))
        except BaseException as error:
            problems.append(error)

    questions = threading.Thread(target=go_on)
    questions.start()
    try:
        outcome = rebuild(served, verify=False)
    finally:
        ends.set()
        questions.join()
    assert not problems
    assert outcome.outcome == "rebuilt"
    after = live(client, served.world)
    assert after != before
    assert projections_in(client, served.world) == [after]
    assert seen == sorted(seen), "what was answered once is answered again"
    assert timeline_length(served, plate) == len(seen)
    assert rebuild(served, verify=True).outcome == "equal"


def timeline_length(served: Served, plate: str) -> int:
    request = pb.GetTimelineRequest(purpose=PURPOSE, plate=plate, at_least=served.at_head())
    return len(served.investigation.GetTimeline(request).passages)


def test_a_log_that_was_put_back_is_noticed_and_built_anew(world: World) -> None:
    last = world.see(*(Seen(f"P{i:05}", T0) for i in range(10)))
    with serving(world) as served:
        wait(served)
        *_, account = served.projections.Reconcile(ReconcileRequest())
        assert (account.complete, account.unknown_rows) == (True, 0)
    with closing(sqlite3.connect(world.path / "events.sqlite")) as database, database:
        database.execute("DELETE FROM stored_events WHERE position > ?", (last - 3,))
        database.execute("UPDATE sqlite_sequence SET seq = ?", (last - 3,))
    with serving(world) as served:

        def health() -> str:
            return str(served.projections.GetStatus(GetStatusRequest()).health)

        assert within(30, lambda: "put back to an older state" in health())
        *_, account = served.projections.Reconcile(ReconcileRequest())
        assert (account.complete, account.unknown_rows) == (False, 3)
        *_, outcome = served.projections.Rebuild(RebuildRequest())
        assert outcome.outcome == "rebuilt"
        assert within(30, lambda: health() == "ok")
        *_, account = served.projections.Reconcile(ReconcileRequest())
        assert (account.complete, account.unknown_rows) == (True, 0)


@embedded_alone
def test_two_rebuilds_at_once_are_refused(served: Served) -> None:
    served.world.see(*(Seen(f"R{i:06}", T0) for i in range(20_000)))
    # Both are begun before either is listened to: building takes many times as long as that.
    both = [served.projections.Rebuild(RebuildRequest(verify_only=True)) for _ in range(2)]
    outcomes = []
    for one in both:
        try:
            *_, last = one
            outcomes.append(last.outcome)
        except grpc.RpcError as error:
            outcomes.append(error.code().name)  # type: ignore[attr-defined]
    assert sorted(outcomes) == ["ABORTED", "equal"]


def test_what_a_crash_left_half_built_is_dropped_at_the_start(world: World, client: Client) -> None:
    world.see(Seen("AB123CD", T0))
    databases = Databases(ClickHouse.at(world.clickhouse), client)
    kept = databases.live()
    half = databases.create_next()
    databases.snapshot(half)
    assert len(projections_in(client, world)) == 3
    with serving(world) as served:
        assert timeline_length(served, "AB123CD") == 1
    assert projections_in(client, world) == [kept]


def test_another_log_begins_a_projection_of_its_own(
    make_world: Callable[[], World], world: World
) -> None:
    restored = make_world()
    restored.clickhouse = world.clickhouse
    for each in (world, restored):
        each.see(Seen("AB123CD", T0), Seen("AB123CD", T0 + 1000 * SECOND))
        with serving(each) as served:
            assert timeline_length(served, "AB123CD") == 2
            request = pb.SearchPlatesRequest(purpose=PURPOSE, pattern="AB*")
            assert served.investigation.SearchPlates(request).plates[0].reads == 2


PIECES = st.lists(st.integers(40, 150), min_size=1, max_size=8)


@embedded_alone
@settings(max_examples=2, deadline=None)
@given(pieces=PIECES, seed=st.integers(0, 1000))
def test_any_pieces_with_repeats_equal_one_piece(
    pieces: list[int], seed: int, once: "tuple[World, Databases, Client]"
) -> None:
    world, databases, client = once
    rng = random.Random(seed)
    whole = Projection(world.log, client, databases.create_next())
    whole.apply(whole.events())
    pieced = Projection(world.log, client, databases.create_next())
    while events := pieced.events():
        size = rng.choice(pieces)
        pieced.apply(events[:size])
        pieced.position -= rng.randrange(min(size, 10))
    assert differences(client, whole.database, pieced.database) == {}
    for projection in (whole, pieced):
        databases.drop(projection.database)


@pytest.fixture(scope="module")
def once(
    make_world: Callable[[], World],
) -> Iterator[tuple[World, Databases, Client]]:
    world = make_world()
    busy_city(world, 200)
    clickhouse = ClickHouse.at(world.clickhouse)
    client = clickhouse.open()
    yield world, Databases(clickhouse, client), client
    client.close()
