"""Builds the projections anew from the event log, beside the live ones.

Always true here: reads and questions go on meanwhile; the live projection stands still only for
the last steps, and is exchanged whole or not at all; what was not exchanged is dropped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from projections.clickhouse import ClickHouse, Client, Readers
from projections.flows import QUARTER, count
from projections.follower import Follower, Projection
from projections.requests import Span
from projections.schema import Databases
from projections.statements import names
from proto.ring.v1.operations_pb2 import RebuildProgress, TableComparison
from ring.errors import Unavailable
from ring.store import EventLog

# Tables that hold what the events say, each with a query of checksums, one a column. They depend
# neither on the order of rows nor on rows that come twice. Of the others, flow_counts is compared
# with counts made anew; unsure_reads_lacking says what unsure_reads lacks, and a rebuild lacks
# nothing: what it is wrong about shows there.
TABLES = tuple(name.removeprefix("checksums/") for name in names("checksums"))
# The live projection is stopped once no more than so many events are missing.
_NEARLY = 20_000
# Counts that are compared at once, and the quarters of an hour that they lie in: a week's.
_COUNTS_AT_ONCE, _QUARTERS_AT_ONCE = 50_000, 7 * 96

Report = Callable[[RebuildProgress], None]


class Rebuild:
    """One rebuild. Runs in a thread of its own; `cancelled` is asked between batches."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        log: EventLog,
        follower: Follower,
        readers: Readers,
        *,
        report: Report,
        cancelled: Callable[[], bool],
    ) -> None:
        self._clickhouse = clickhouse
        self._log = log
        self._follower = follower
        self._readers = readers
        self._report = report
        self._cancelled = cancelled

    def verify(self) -> RebuildProgress:
        """Builds, compares with the live projection at the same position, drops what was built."""
        with self._beside() as (databases, built, client):
            while self._follower.position - built.position > _NEARLY:
                self._fill(built, self._follower.position)
            tables = self._compare(databases, built, client)
            differs = any(t.different_columns or t.rows_live != t.rows_rebuilt for t in tables)
            return RebuildProgress(
                position=built.position,
                head=self._log.head(),
                outcome="different" if differs else "equal",
                tables=tables,
            )

    def swap(self) -> RebuildProgress:
        """Builds, and puts what was built in place of the live projection."""
        with self._beside() as (databases, built, client):
            while self._log.head() - built.position > _NEARLY:
                self._fill(built, self._log.head())
            with self._follower.paused():
                self._fill(built, self._log.head())
                old = self._follower.projection
                databases.move_pointer(built.database)
                self._readers.move(built.database)
                self._follower.projection = built
            old.close()
            rows = {
                database: _rows(client, database) for database in (old.database, built.database)
            }
            databases.drop(old.database)
            return RebuildProgress(
                position=built.position,
                head=self._log.head(),
                outcome="rebuilt",
                tables=[
                    TableComparison(
                        table=table,
                        rows_live=rows[old.database].get(table, 0),
                        rows_rebuilt=rows[built.database].get(table, 0),
                    )
                    for table in TABLES
                ],
            )

    def _compare(
        self, databases: Databases, built: Projection, client: Client
    ) -> list[TableComparison]:
        with self._follower.paused():
            self._fill(built, self._follower.position)
            live = self._follower.projection.database
            if databases.cluster:
                # No copy can be made there: the live projection waits for the comparison.
                return _compare_all(client, live, built.database)
            live = databases.snapshot(live)
        try:
            return _compare_all(client, live, built.database)
        finally:
            databases.drop(live)

    @contextmanager
    def _beside(self) -> Iterator[tuple[Databases, Projection, Client]]:
        client = self._clickhouse.open()
        databases = Databases(self._clickhouse, client)
        # Of one that could not tidy up, for ClickHouse was away.
        databases.drop_leftovers(self._follower.projection.database)
        built = Projection(self._log, self._clickhouse.open(), databases.create_next())
        self._report(RebuildProgress(head=self._log.head()))
        try:
            yield databases, built, client
        finally:
            if self._follower.projection is not built:
                built.close()
                databases.drop(built.database)
            client.close()

    def _fill(self, built: Projection, stop: int) -> None:
        while events := built.events(stop):
            if self._cancelled():
                raise Unavailable("the rebuild was stopped: start it again")
            built.apply(events)
            self._report(RebuildProgress(position=built.position, head=self._log.head()))
        if built.position < stop:
            # The last events before it were deleted.
            built.save(stop)


def _compare_all(client: Client, live: str, rebuilt: str) -> list[TableComparison]:
    return [*compare(client, live, rebuilt), compare_counts(client, live, rebuilt)]


def compare(client: Client, live: str, rebuilt: str) -> list[TableComparison]:
    """Rows and columns of each table in the two databases, each row counted once."""
    comparisons = []
    for table in TABLES:
        sums = []
        for database in (live, rebuilt):
            client.use(database)
            (found,) = client.named_rows(f"checksums/{table}")
            sums.append(found)
        comparisons.append(
            TableComparison(
                table=table,
                rows_live=sums[0].pop("rows"),
                rows_rebuilt=sums[1].pop("rows"),
                different_columns=[c for c in sums[0] if sums[0][c] != sums[1][c]],
            )
        )
    return comparisons


def compare_counts(client: Client, live: str, rebuilt: str) -> TableComparison:
    """The live flow_counts that hold, each beside the count of the rebuilt reads.

    What questions have not asked for yet is in neither; what is to be counted anew is left out.
    """
    rows = 0
    different = set()
    checkpoint, quarter = "", 0
    while True:
        client.use(live)
        kept = client.rows(
            "queries/kept_flows", quarter=quarter, checkpoint=checkpoint, rows=_COUNTS_AT_ONCE
        )
        if not kept:
            break
        first = kept[0][1]
        kept = [row for row in kept if row[1] < first + _QUARTERS_AT_ONCE]
        checkpoint, quarter, *_ = kept[-1]
        client.use(rebuilt)
        span = Span(first * QUARTER, (quarter + 1) * QUARTER)
        counted = count(client, [], span, sorted({code for code, *_ in kept}))
        anew = {(code, at): sorted(counts) for code, at, counts in counted}
        rows += len(kept)
        for code, at, counts, beyond in kept:
            if beyond:
                different.add("seen")
            if list(counts) != anew.get((code, at), []):
                different.add("counts")
    return TableComparison(
        table="flow_counts",
        rows_live=rows,
        rows_rebuilt=rows,
        different_columns=sorted(different),
    )


def _rows(client: Client, database: str) -> dict[str, int]:
    rows = client.rows("queries/table_rows", database=database)
    return {str(table): int(count) for table, count in rows}
