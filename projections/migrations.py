"""The schema's version: kept in each projection's database, raised by numbered migrations.

Always true here: a migration's number is recorded after its last statement, and its statements
may be run again, so a start that was cut short is finished by the next. A migration is quick, a
minute or two at 100 million reads: what would take longer is left to `ring rebuild`, which makes
the new schema beside the old one.

A new database is made from sql/schema as a whole; sql/migrations, one after the other, give the
same (a test compares the two). A database without a recorded version has the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

import structlog

from projections.clickhouse import Client
from projections.statements import SQL, files_in, parse
from ring.errors import StateForbids

_FIRST = 1
_logger = structlog.get_logger("projections.migrations")


@dataclass(frozen=True)
class Migration:
    """One file: NUMBER_name.sql."""

    number: int
    name: str
    text: str


def load(folder: Traversable) -> tuple[Migration, ...]:
    """The migrations of a folder, in order. ValueError where a number is missing or there twice."""
    found = tuple(
        Migration(int(name.split("_")[0]), name, (folder / f"{name}.sql").read_text("utf-8"))
        for name in files_in(folder)
    )
    if [m.number for m in found] != list(range(_FIRST, len(found) + _FIRST)):
        raise ValueError(f"migrations are numbered {[m.number for m in found]}")
    return found


@cache
def ours() -> tuple[Migration, ...]:
    """The migrations of this version."""
    return load(SQL / "migrations")


def latest() -> int:
    """The version of our schema."""
    return ours()[-1].number


def version_of(client: Client) -> int:
    """The version of the schema of the client's database."""
    asked = {"database": client.database, "table": "schema_versions"}
    if not client.rows("queries/has_table", **asked)[0][0]:
        return _FIRST
    return max(_FIRST, int(client.rows("queries/schema_version")[0][0]))


def record(client: Client, version: int) -> None:
    """Notes that the client's database has this version."""
    client.run("queries/save_schema_version", version=version)


def upgrade(client: Client, place: str, migrations: Sequence[Migration] | None = None) -> None:
    """Applies what the client's database lacks. `place`: what holds it, as an operator knows it.

    StateForbids where its schema is newer.
    """
    known = ours() if migrations is None else migrations
    has, wanted = version_of(client), known[-1].number
    if has > wanted:
        raise StateForbids(
            f"ClickHouse's schema ({client.database}) has version {has}, this server knows up to "
            f"{wanted}: run the newer server that wrote it, or remove {place} and this server "
            "builds it anew from the event log"
        )
    for migration in known:
        if migration.number > has:
            _logger.info(
                "schema_upgrade", database=client.database, migration=migration.name, of=wanted
            )
            for text in parse(migration.text, client.cluster):
                client.execute(text)
            record(client, migration.number)
    if has < wanted:
        _logger.info("schema_upgraded", database=client.database, version=wanted)
