"""Stopping the follower anywhere and starting it again leaves the rows of never stopping."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from projections import follower as followers
from projections.clickhouse import ClickHouse, ClickHouseError, Client
from projections.follower import Follower, Projection
from projections.rebuild import TABLES, compare
from projections.schema import Databases
from projections.statements import statement
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import PlateSighting
from proto.ring.v1.events_pb2 import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    CheckpointPlaced,
    ReaderRevoked,
)
from ring.store import open_log
from ring.values import from_micros
from tests.projections.conftest import embedded_alone
from tests.projections.world import ENTRY, EXIT, SECOND, T0, UNKNOWN, Seen, World

ROOT = Path(__file__).resolve().parents[2]


def busy_city(world: World, reads: int, seed: int = 1) -> None:
    """Reads of a few plates, with alerts and checkpoints between them."""
    rng = random.Random(seed)
    for piece in range(4):
        world.see(
            *(
                Seen(
                    f"C{rng.randrange(40):05}",
                    T0 + rng.randrange(90 * 24 * 3600) * SECOND,
                    f"GP-{rng.randrange(5):02}",
                    rng.choice([UNKNOWN, ENTRY, EXIT]),
                    region=rng.choice(["", "AR", "UY"]),
                    confidence=rng.random(),
                )
                for _ in range(reads // 4)
            )
        )
        world.happen(
            "ring.checkpoint.moved" if piece else "ring.checkpoint.registered",
            CheckpointPlaced(
                at=from_micros(T0), code="GP-01", name="Puente", latitude=piece, zone=f"Z{piece}"
            ),
            "checkpoint",
            piece + 1,
        )
        alert = f"alert-{seed}-{piece}"
        world.happen("ring.alert.raised", raised(alert), alert, 1)
        acknowledged = AlertAcknowledged(at=from_micros(T0 + 2 * SECOND), alert_id=alert, by="ana")
        world.happen("ring.alert.acknowledged", acknowledged, alert, 2)
        if piece % 2:
            resolved = AlertResolved(
                at=from_micros(T0 + 3 * SECOND), alert_id=alert, by="ana", disposition="misread"
            )
            world.happen("ring.alert.resolved", resolved, alert, 3)
        world.happen("ring.reader.revoked", ReaderRevoked(reader_id="x"))


def raised(alert_id: str) -> AlertRaised:
    return AlertRaised(
        at=from_micros(T0 + SECOND),
        alert_id=alert_id,
        agency="default",
        hotlist="stolen",
        hotlist_version=3,
        entry=HotlistEntry(plate="AB123CD", reason="stolen", entry_id="e1", priority="high"),
        sighting=PlateSighting(
            plate="AB123CD", checkpoint="GP-01", direction=EXIT, captured_at=from_micros(T0)
        ),
        read_position=17,
        match_probability=1.0,
        match_path=["O→0 at 5"],
        delayed=True,
    )


@contextmanager
def databases_of(world: World) -> Iterator[tuple[Databases, Client, ClickHouse]]:
    clickhouse = ClickHouse.at(world.clickhouse)
    client = clickhouse.open()
    try:
        yield Databases(clickhouse, client), client, clickhouse
    finally:
        client.close()


def differences(client: Client, one: str, other: str) -> dict[str, object]:
    """Tables that are not the same, with their columns."""
    return {
        t.table: (t.rows_live, t.rows_rebuilt, list(t.different_columns))
        for t in compare(client, one, other)
        if t.different_columns or t.rows_live != t.rows_rebuilt
    }


class StopsError(Exception):
    """As if the process ended here."""


class StoppingClient:
    """Passes everything on, and stops before one of its steps."""

    def __init__(self, client: Client, before_step: int) -> None:
        self._client = client
        self._left = before_step

    def _step(self) -> None:
        if self._left == 0:
            raise StopsError
        self._left -= 1

    def insert(self, table: str, rows: object) -> None:
        self._step()
        self._client.insert(table, rows)

    def run(self, name: str, **parameters: object) -> None:
        self._step()
        self._client.run(name, **parameters)

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)


@embedded_alone
def test_stopping_before_any_step_leaves_the_rows_of_never_stopping(world: World) -> None:
    busy_city(world, 120)
    with databases_of(world) as (databases, client, _):
        calm = Projection(world.log, client, databases.create_next())
        stopped = databases.create_next()
        stops = 0
        position = 0
        while position < world.log.head():
            # Each life gets one step further than the one before, from where that one was.
            fragile = StoppingClient(client, stops % 9)
            projection = Projection(world.log, fragile, stopped)  # type: ignore[arg-type]
            try:
                projection.load()
                while events := projection.events():
                    projection.apply(events[:29])
            except StopsError:
                stops += 1
            projection = Projection(world.log, client, stopped)
            projection.load()
            position = projection.position
        assert stops >= 9
        client.use(calm.database)
        calm.apply(calm.events())
        assert differences(client, calm.database, stopped) == {}


@embedded_alone
def test_a_killed_process_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    busy_city(world, 1600)
    script = """
import sys
from projections.clickhouse import ClickHouse
from projections.follower import Projection
from projections.rebuild import compare
from projections.schema import Databases
from ring.store import open_log
store, dsn = sys.argv[1:]
clickhouse = ClickHouse.at(dsn)
client = clickhouse.open()
databases = Databases(clickhouse, client)
log = open_log(store)
live = databases.live()
projection = Projection(log, client, live)
projection.load()
print(projection.position, flush=True)
while events := projection.events():
    projection.apply(events[:120])
    print(projection.position, flush=True)
calm = Projection(log, client, databases.create_next())
while events := calm.events():
    calm.apply(events)
for t in compare(client, live, calm.database):
    same = t.rows_live == t.rows_rebuilt and not t.different_columns
    print(t.table, "equal" if same else t.different_columns)
"""
    dsn = f"chdb:///{tmp_path / 'killed'}"

    def child() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, world.event_store, dsn],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    begun = []
    for applies in (2, 5, None):
        process = child()
        assert process.stdout
        begun.append(int(process.stdout.readline()))
        if applies:
            for _ in range(applies):
                reached = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            assert reached < world.log.head(), "it is killed at work"
        rest = process.communicate(timeout=60)[0]
    assert 0 == begun[0] < begun[1] < begun[2], "it goes on where it was"
    assert rest.splitlines()[-len(TABLES) :] == [f"{table} equal" for table in TABLES]


@contextmanager
def following(world: World) -> Iterator[Follower]:
    with databases_of(world) as (databases, client, clickhouse):
        live = databases.live()
        follower = Follower(world.log, Projection(world.log, clickhouse.open(), live))
        follower.start()
        try:
            yield follower
        finally:
            follower.stop()
            follower.projection.close()
            client.close()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("sealed", [True, False])
def test_an_event_of_a_newer_version_stops_it_after_those_before(
    world: World, sealed: bool
) -> None:
    last = world.see(Seen("AB123CD", T0), Seen("AB123CD", T0 + SECOND))
    if sealed:
        at = world.happen("ring.something.new", ReaderRevoked())
    else:
        unknown_format = replace(Seen("AB123CD", T0, sequence=9).stored(), state=b"\x09\x00x")
        at = world.insert([unknown_format])
    world.see(Seen("AB123CD", T0 + 2 * SECOND))
    with following(world) as follower:
        assert within(60, lambda: f"position {at}" in follower.health)
        assert ("ring.something.new" in follower.health) == sealed
        assert follower.position == last, "what came before is applied, and nothing after"
        asyncio.run(asyncio.wait_for(follower.reached(last), 60))
        assert "a newer one" in follower.health


@embedded_alone
def test_it_tries_again_until_clickhouse_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = Client.insert
    with following(world) as follower:
        assert within(60, lambda: follower.health == "ok")

        def refuse(self: Client, table: str, rows: object) -> None:
            raise ClickHouseError("Code: 243. AB123CD")

        monkeypatch.setattr(Client, "insert", refuse)
        monkeypatch.setattr(ClickHouseError, "code", 243, raising=False)
        last = world.see(Seen("AB123CD", T0))
        assert within(60, lambda: "243" in follower.health)
        assert "AB123CD" not in follower.health
        monkeypatch.setattr(Client, "insert", working)
        assert within(60, lambda: follower.position == last and follower.health == "ok")


def test_a_log_put_back_to_an_older_state_is_noticed(world: World) -> None:
    world.see(Seen("AB123CD", T0))
    with databases_of(world) as (databases, client, _):
        Projection(world.log, client, databases.live()).save(1000)
    with following(world) as follower:
        assert within(60, lambda: "ring rebuild" in follower.health)


def test_a_waiter_is_told_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "_LINGER_SECONDS", 10.0)

    async def wait(follower: Follower) -> float:
        await asyncio.to_thread(world.see, Seen("AB123CD", T0))
        began = time.monotonic()
        await asyncio.wait_for(follower.reached(world.log.head()), 60)
        return time.monotonic() - began

    async def times() -> list[float]:
        return [await wait(follower) for _ in range(9)]

    with following(world) as follower:
        assert within(60, lambda: follower.health == "ok")
        assert sorted(asyncio.run(times()))[4] < 5, "it lingers, though somebody waits"


@embedded_alone
def test_it_is_woken_by_what_another_process_stores(
    new_store: Callable[[], str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "_LINGER_SECONDS", 0.0)
    monkeypatch.setattr(followers, "_IDLE_SECONDS", 20.0)
    store = new_store()
    log, writer = open_log(store), open_log(store)
    world.log.close()
    world.log = log
    times = []
    with following(world) as follower:
        assert within(60, lambda: follower.health == "ok")
        for sequence in range(1, 6):
            began = time.monotonic()
            writer.insert_events([Seen("AB123CD", T0, sequence=sequence).stored()])
            assert within(60, lambda sequence=sequence: follower.position >= sequence)  # type: ignore[misc]
            times.append(time.monotonic() - began)
    writer.close()
    assert sorted(times)[2] < 10, "it sleeps until it looks by itself"


def test_alerts_have_their_latest_state(world: World) -> None:
    first, second, third = (str(uuid4()) for _ in range(3))
    for alert in (first, second, third):
        world.happen("ring.alert.raised", raised(alert), alert, 1)
    for alert in (second, third):
        body = AlertAcknowledged(at=from_micros(T0 + 2 * SECOND), alert_id=alert, by="ana")
        world.happen("ring.alert.acknowledged", body, alert, 2)
    resolved = AlertResolved(
        at=from_micros(T0 + 5 * SECOND), alert_id=third, by="eva", disposition="confirmed"
    )
    world.happen("ring.alert.resolved", resolved, third, 3)
    with databases_of(world) as (databases, client, _):
        projection = Projection(world.log, client, databases.live())
        events = projection.events()
        projection.apply(events)
        projection.apply(events)
        rows = list(client._raw.query("SELECT * FROM alerts").named_results())
    states = {row["alert_id"]: (row["state"], row["disposition"]) for row in rows}
    assert len(rows) == 3
    assert states == {
        first: ("raised", ""),
        second: ("acknowledged", ""),
        third: ("resolved", "confirmed"),
    }
    row = next(r for r in rows if r["alert_id"] == third)
    assert (row["hotlist"], row["hotlist_version"], row["entry_plate"]) == ("stolen", 3, "AB123CD")
    assert (row["checkpoint"], row["direction"], row["delayed"]) == ("GP-01", "exit", True)
    assert (row["match_path"], row["read_position"]) == (["O→0 at 5"], 17)


def test_a_checkpoint_is_where_it_was_moved_last(world: World) -> None:
    for version, latitude in enumerate((-34.5, -34.6), 1):
        placed = CheckpointPlaced(at=from_micros(T0), code="GP-01", latitude=latitude)
        world.happen("ring.checkpoint.moved", placed, "GP-01", version)
    with databases_of(world) as (databases, client, _):
        projection = Projection(world.log, client, databases.live())
        events = projection.events()
        for part in (events[1:], events[:1], events):
            projection.apply(part)
        rows = client._raw.query("SELECT code, latitude FROM checkpoints FINAL").result_rows
    assert list(rows) == [("GP-01", -34.6)]


def test_no_question_is_written_to_the_query_log(world: World) -> None:
    with databases_of(world) as (databases, client, _):
        client.use(databases.live())
        ((value,),) = client._raw.query("SELECT getSetting('log_queries')").result_rows
        assert not value
        client._raw.command("SYSTEM FLUSH LOGS")
        logs = client._raw.query(
            "SELECT name FROM system.tables WHERE database = 'system' AND name = 'query_log'"
        ).result_rows
        if logs:
            ((count,),) = client._raw.query("SELECT count() FROM system.query_log").result_rows
            assert count == 0


def test_every_column_has_a_checksum(world: World) -> None:
    with databases_of(world) as (databases, client, _):
        client.use(databases.live())
        for table in TABLES:
            columns = [r[0] for r in client._raw.query(f"DESCRIBE {table}").result_rows]
            (sums,) = client.named_rows(f"checksums/{table}")
            assert list(sums) == ["rows", *columns], statement(f"checksums/{table}")
        tables = {str(r[0]) for r in client.rows("queries/table_rows", database=client.database)}
        # flow_counts holds what questions asked for so far, and is compared with counts made anew.
        apart = {"flow_counts", "incoming", "positions", "schema_versions", "unsure_reads_lacking"}
        assert tables == apart.union(TABLES)
