"""The schema: numbered migrations lead to it, a cluster's is made of the same files."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from projections import migrations
from projections.clickhouse import ClickHouse, Client
from projections.rebuild import TABLES
from projections.schema import Databases
from projections.statements import SQL, files_in, names, parse, statements
from ring.errors import InvalidRequest, StateForbids
from tests.projections.conftest import embedded_alone
from tests.projections.world import T0, Seen, World, serving

FOLDERS = tuple(sorted(p.name for p in SQL.iterdir()))
FILES = [name for folder in FOLDERS for name in names(folder)]


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    client = ClickHouse.at(world.clickhouse).open()
    yield client
    client.close()


@pytest.fixture
def databases(world: World, client: Client) -> Databases:
    return Databases(ClickHouse.at(world.clickhouse), client)


def make_first(client: Client, world: World, name: str = "first") -> str:
    """An empty database of version 1."""
    database = f"{ClickHouse.at(world.clickhouse).database}_{name}"
    client.run("databases/create_database", database=database)
    client.use(database)
    client.run("migrations/0001_first")
    return database


def definitions(client: Client, database: str) -> dict[str, list[object]]:
    """Everything that makes up each table and view."""
    found: dict[str, list[object]] = {}
    for name, made in client._raw.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {d:String}",
        parameters={"d": database},
    ).result_rows:
        found[name] = [made.replace(f"{database}.", "")]
    for table, *column in client._raw.query(
        "SELECT table, position, name, type, default_kind, default_expression, compression_codec, "
        "is_in_partition_key, is_in_sorting_key FROM system.columns WHERE database = {d:String} "
        "ORDER BY table, position",
        parameters={"d": database},
    ).result_rows:
        found[table].append(tuple(column))
    return found


class StoppingClient:
    """Passes everything on, and stops before one of its steps."""

    def __init__(self, client: Client, steps: int) -> None:
        self._client = client
        self._left = steps

    def _step(self) -> None:
        if not self._left:
            raise InterruptedError
        self._left -= 1

    def execute(self, text: str, **parameters: object) -> None:
        self._step()
        self._client.execute(text, **parameters)

    def run(self, name: str, **parameters: object) -> None:
        self._step()
        self._client.run(name, **parameters)

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)


def upgrade_with_kills(
    client: Client, database: str, known: tuple[migrations.Migration, ...] | None = None
) -> int:
    """Each start gets one step further than the one before it. How many were killed."""
    for killed in range(100):
        client.use(database)
        try:
            migrations.upgrade(StoppingClient(client, killed), "x", known)  # type: ignore[arg-type]
        except InterruptedError:
            continue
        return killed
    raise AssertionError("it never ends")


def test_migrations_killed_at_any_step_lead_from_the_first_schema_to_ours(
    world: World, client: Client, databases: Databases
) -> None:
    ours = databases.create_next()
    first = make_first(client, world)
    assert migrations.version_of(client) == 1
    assert definitions(client, first) != definitions(client, ours)
    assert upgrade_with_kills(client, first) >= 2
    assert definitions(client, first) == definitions(client, ours)
    for database in (first, ours):
        client.use(database)
        assert migrations.version_of(client) == migrations.latest()


def test_every_table_in_months_has_its_old_parts_made_one(
    client: Client, databases: Databases
) -> None:
    made = definitions(client, databases.create_next())
    texts = {table: str(text) for table, (text, *_) in made.items()}
    in_months = {table for table, text in texts.items() if "PARTITION BY toYYYYMM" in text}
    assert "sightings" in in_months
    assert {t for t in in_months if "min_age_to_force_merge" not in texts[t]} == set()


COMING = """
ALTER TABLE incoming{_local} {on_cluster} ADD COLUMN IF NOT EXISTS colour String AFTER region;
ALTER TABLE sightings{_local} {on_cluster} ADD COLUMN IF NOT EXISTS colour String AFTER region;
{cluster_only}
ALTER TABLE incoming {on_cluster} ADD COLUMN IF NOT EXISTS colour String AFTER region;
{cluster_only}
ALTER TABLE sightings {on_cluster} ADD COLUMN IF NOT EXISTS colour String AFTER region;
ALTER TABLE incoming_to_sightings {on_cluster} MODIFY QUERY
SELECT
    plate, captured_at, received_at, checkpoint, reader_id, lane, direction, confidence, region,
    colour, time_suspect, log, position
FROM incoming{_local};
"""


def test_a_migration_may_change_tables_that_are_full(
    world: World, client: Client, databases: Databases, tmp_path: Path
) -> None:
    world.see(Seen("AB123CD", T0))
    with serving(world) as served:
        assert served.at_head()
        live = databases.live()
    for file in files_in(SQL / "migrations"):
        (tmp_path / f"{file}.sql").write_text((SQL / "migrations" / f"{file}.sql").read_text())
    number = migrations.latest() + 1
    (tmp_path / f"{number:04}_colour.sql").write_text(COMING)
    upgrade_with_kills(client, live, migrations.load(tmp_path))
    assert migrations.version_of(client) == number
    client._raw.command("INSERT INTO incoming (plate, colour) VALUES ('NEW0001', 'red')")
    rows = client._raw.query("SELECT plate, colour FROM sightings ORDER BY plate").result_rows
    assert ("NEW0001", "red") in list(rows)
    # The server of before refuses what it does not know, and says what to do.
    with pytest.raises(StateForbids, match=f"version {number}.*up to {number - 1}.*newer server"):
        databases.upgrade(live)
    with pytest.raises(StateForbids), serving(world):
        pass


def test_an_old_database_is_upgraded_at_the_start(
    world: World, client: Client, databases: Databases, capfd: pytest.CaptureFixture[str]
) -> None:
    old = make_first(client, world, "7")
    databases.move_pointer(old)
    last = world.see(Seen("AB123CD", T0))
    with serving(world) as served:
        assert served.world.log.head() == last
    client.use(old)
    assert migrations.version_of(client) == migrations.latest()
    said = capfd.readouterr().out
    assert "schema_upgrade" in said
    assert "0002_schema_versions" in said


def test_every_column_of_a_table_that_is_compared_has_a_checksum(
    client: Client, databases: Databases
) -> None:
    database = databases.live()
    columns = definitions(client, database)
    client.use(database)
    for table in TABLES:
        (sums,) = client.named_rows(f"checksums/{table}")
        _, *there = columns[table]
        assert set(sums) == {"rows", *(name for _, name, *_ in there)}


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    for name in ("0001_a", "0003_b"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    with pytest.raises(ValueError, match="numbered"):
        migrations.load(tmp_path)


@embedded_alone
@pytest.mark.parametrize("cluster", ["", "city-1"], ids=["single", "cluster"])
def test_the_engine_parses_every_statement(client: Client, cluster: str) -> None:
    words = ("String", "Identifier")
    numbers = ("Int8", "Int64", "UInt8", "UInt32", "UInt64", "Float32", "Float64", "Bool")
    values: dict[str, object] = (
        {"Array": []} | dict.fromkeys(words, "x") | dict.fromkeys(numbers, 1)
    )
    count = 0
    coming = parse(COMING, cluster)
    for texts in (*(statements(name, cluster) for name in FILES), coming):
        for text in texts:
            assert not re.search(r"\{\w+\}", text), "a word was not replaced"
            parameters = {
                name: values[type_.split("(")[0]]
                for name, type_ in re.findall(r"\{(\w+):([^}]+)\}", text)
            }
            explained = client._raw.query(f"EXPLAIN AST {text}", parameters=parameters)
            assert explained.result_rows, text
            count += 1
    assert count > 50


def test_on_a_cluster_every_table_is_replicated_and_found_through_a_distributed_one() -> None:
    single, cluster = (
        [s for name in names("schema") for s in statements(name, c)] for c in ("", "city")
    )
    made = re.compile(r"CREATE TABLE (\w+)")
    tables = {m[1] for s in single if (m := made.search(s))}
    there = {m[1] for s in cluster if (m := made.search(s))}
    assert there == tables | {f"{t}_local" for t in tables}
    for text in cluster:
        assert "ON CLUSTER 'city'" in text
        if "MergeTree" in text:
            assert re.search(r"ENGINE = Replicated\w*MergeTree", text)
            assert "_local" in made.search(text)[1]  # type: ignore[index]
    shards = {
        m[1]: m[3]
        for s in cluster
        if (
            m := re.search(
                r"CREATE TABLE (\w+) .* AS (\w+)_local\nENGINE = Dist.*_local, (.*)\)", s
            )
        )
    }
    assert set(shards) == tables
    by_plate = {"incoming", "sightings", "sightings_by_checkpoint", "plates", "movements"}
    assert {t for t, key in shards.items() if key == "cityHash64(plate)"} >= by_plate
    # Views read and fill what lies on their own shard, or everything through the plain name.
    for text in cluster:
        if "MATERIALIZED" in text:
            assert re.search(r" TO \w+_local ", text)
            assert "FROM incoming_local" in text


def test_nothing_of_a_cluster_is_in_the_statements_of_a_single_server() -> None:
    for name in FILES:
        for text in statements(name):
            assert not re.search(r"_local|ON CLUSTER|Distributed|ENGINE = Replicated|GLOBAL", text)


def test_a_cluster_needs_a_server_and_a_name() -> None:
    with pytest.raises(InvalidRequest, match="needs a ClickHouse server"):
        ClickHouse.at("chdb:////tmp/x", "city")
    with pytest.raises(InvalidRequest, match="remote_servers"):
        ClickHouse.at("http://u:p@h/ring", "it's")
    assert ClickHouse.at("http://u:p@h/ring", "city-1").cluster == "city-1"


def test_every_table_that_is_compared_is_copied_for_that() -> None:
    copied = [re.search(r"\.(\w+) CLONE AS (\w+)", s) for s in statements("databases/clone_tables")]
    compared = {*TABLES, "flow_counts"}
    assert {(m[1], m[2]) for m in copied if m} == {(t, t) for t in compared}
    assert len(copied) == len(compared)


def test_every_table_that_keeps_events_has_a_checksum() -> None:
    made = re.compile(r"CREATE TABLE (\w+).*ENGINE = \w+MergeTree", re.S)
    kept = {m[1] for n in names("schema") for s in statements(n) if (m := made.search(s))}
    # flow_counts is counted from the others, and compared with counts made anew.
    apart = {"positions", "schema_versions", "flow_counts", "unsure_reads_lacking"}
    assert kept - apart == set(TABLES)
