"""The databases that the projections live in.

Always true here: the base database holds a pointer to the live projection's database; moving it
is one insert. Any other database named as a projection is left over from a rebuild that did not
end, and is dropped at the start.
"""

import re

from projections import migrations
from projections.clickhouse import ClickHouse, Client
from projections.statements import names

_SNAPSHOT = "_snapshot"


class Databases:
    """Which projections there are. Uses its client from one thread at a time."""

    def __init__(self, clickhouse: ClickHouse, client: Client) -> None:
        self.base = clickhouse.database
        self.cluster = clickhouse.cluster
        self._client = client
        self._where = clickhouse.place
        self._ours = re.compile(rf"{re.escape(self.base)}_(\d+)(?:{_SNAPSHOT})?")
        client.use(None)
        client.run("databases/create_database", database=self.base)
        client.use(self.base)
        client.run("databases/create_pointer")

    def live(self) -> str:
        """The live projection's database; an empty one is made where there is none."""
        self._client.use(self.base)
        found = self._client.rows("databases/select_pointer")
        if found:
            return str(found[0][1])
        self.drop_leftovers(None)
        database = self.create_next()
        self.move_pointer(database)
        return database

    def create_next(self) -> str:
        """A new, empty projection; nobody sees it yet."""
        numbers = [0]
        for name in self._existing():
            match = self._ours.fullmatch(name)
            numbers.append(int(match[1]) if match else 0)
        database = f"{self.base}_{max(numbers) + 1}"
        self._client.run("databases/create_database", database=database)
        self._client.use(database)
        for name in names("schema"):
            self._client.run(name)
        migrations.record(self._client, migrations.latest())
        return database

    def upgrade(self, database: str) -> None:
        """Brings a projection's schema up to ours. StateForbids where it is newer."""
        self._client.use(database)
        migrations.upgrade(self._client, self._where)

    def move_pointer(self, database: str) -> None:
        """Makes a projection the live one."""
        self._client.use(self.base)
        self._client.run("databases/move_pointer", database=database)

    def snapshot(self, database: str) -> str:
        """A copy of its tables as they are now, which shares their parts: quick at any size.

        Not on a cluster, where every replica would attach every part.
        """
        copy = f"{database}{_SNAPSHOT}"
        self.drop(copy)
        self._client.run("databases/create_database", database=copy)
        self._client.use(database)
        self._client.run("databases/clone_tables", copy=copy)
        return copy

    def drop(self, database: str) -> None:
        """Drops a projection with everything in it."""
        # A server refuses every statement of a client whose database is gone.
        self._client.use(self.base)
        self._client.run("databases/drop_database", database=database)

    def drop_leftovers(self, live: str | None) -> list[str]:
        """Drops every projection but the live one. Gives the names of what was dropped."""
        leftovers = [n for n in self._existing() if n != live and self._ours.fullmatch(n)]
        for name in leftovers:
            self.drop(name)
        return leftovers

    def _existing(self) -> list[str]:
        self._client.use(self.base)
        rows = self._client.rows("databases/select_databases", prefix=f"{self.base}_")
        return [str(row[0]) for row in rows]
