"""The read side: the event log, ClickHouse, the follower between them, clients for questions.

Always true here: it opens by itself once ClickHouse can be reached, however long that takes;
until then every question is refused with Unavailable, which says why.
"""

import threading
from collections.abc import Callable

import pyarrow as pa
import structlog

from projections.clickhouse import ClickHouse, ClickHouseError, Client, Readers
from projections.counting import FlowCounter
from projections.follower import Follower, Projection
from projections.last_passages import LastPassages
from projections.rebuild import Rebuild
from projections.schema import Databases
from proto.ring.v1.common_pb2 import LogPosition
from proto.ring.v1.operations_pb2 import ProjectionStatus, RebuildProgress
from ring.errors import Unavailable
from ring.store import EventLog

READERS = 3
_BACK_OFF_SECONDS = 2.0
_COUNT_SECONDS = 1.0

_logger = structlog.get_logger("projections.read_side")


class ReadSide:
    """Opened and closed from a thread that may block; asked from any."""

    def __init__(self, log: EventLog, clickhouse: ClickHouse) -> None:
        self.log = log
        self.rebuilding = threading.Lock()
        # What questions for who is inside keep between them.
        self.passages = LastPassages()
        self._clickhouse = clickhouse
        self._follower: Follower | None = None
        self._readers: Readers | None = None
        self._counter: FlowCounter | None = None
        self._health = "starting: opening ClickHouse"
        self._closing = threading.Event()
        # Rows a table, as counted last, by a thread that ClickHouse may keep waiting.
        self._counting: threading.Thread | None = None
        self._counted = "ok"
        self._rows: dict[str, int] = {}

    @property
    def is_open(self) -> bool:
        """Questions can be asked."""
        return self._readers is not None

    @property
    def follower(self) -> Follower:
        """Unavailable until it is open."""
        if self._follower is None:
            raise Unavailable(f"the read side can't answer yet ({self._health}): try again")
        return self._follower

    @property
    def readers(self) -> Readers:
        """Unavailable until it is open."""
        if self._readers is None:
            raise Unavailable(f"the read side can't answer yet ({self._health}): try again")
        return self._readers

    @property
    def health(self) -> str:
        """ "ok", or what is wrong."""
        return self._health if self._follower is None else self._follower.health

    def open(self) -> None:
        """Opens ClickHouse, makes or upgrades the schema, begins to follow; tries for ever.

        Unavailable where another process keeps the embedded engine's data; StateForbids where the
        schema is newer than ours.
        """
        while not self._closing.is_set():
            try:
                self._open()
            except ClickHouseError as error:
                health = _why(error)
                if health != self._health:
                    _logger.error("clickhouse_unreachable", code=error.code, reason=health)
                self._health = health
                self._closing.wait(_BACK_OFF_SECONDS)
            else:
                return

    def give_up_opening(self) -> None:
        """Makes `open` return after the attempt that is being made."""
        self._closing.set()

    def _open(self) -> None:
        client = self._clickhouse.open()
        databases = Databases(self._clickhouse, client)
        live = databases.live()
        databases.upgrade(live)
        if self._is_of_another_log(client, live):
            _logger.warning("log_is_new", reason="the event log is another: building anew")
            live = databases.create_next()
            databases.move_pointer(live)
        databases.drop_leftovers(live)
        # First what may fail: `open` comes here again, and there is one follower.
        readers = Readers(self._clickhouse, READERS, live)
        self._follower = Follower(self.log, Projection(self.log, client, live), self._inserted)
        self._follower.start()
        self._readers = readers
        self._counter = FlowCounter(readers)
        self._counter.start()

    def _inserted(self, table: str, rows: pa.Table) -> None:
        if table == "incoming":
            self.passages.note(rows)

    def _is_of_another_log(self, client: Client, live: str) -> bool:
        """Its rows came from a log that was replaced, by a restore for instance."""
        client.use(live)
        return bool(client.rows("queries/other_logs", log=self.log.log_id))

    def status(self) -> ProjectionStatus:
        """How far it has come, whether it is well, rows a table as the engine counts them.

        Takes a second at the most: where ClickHouse takes longer to count, that is said.
        """
        follower = self.follower
        if self._counting is None or not self._counting.is_alive():
            self._counting = threading.Thread(target=self._count, name="count", daemon=True)
            self._counting.start()
        self._counting.join(_COUNT_SECONDS)
        health = self.health
        if health == "ok" and self._counting.is_alive():
            health = "ClickHouse is slow: it takes more than a second to count its rows"
        if health == "ok":
            health = self._counted
        return ProjectionStatus(
            projected=LogPosition(log_id=self.log.log_id, position=follower.position),
            health=health,
            rows=self._rows,
        )

    def _count(self) -> None:
        try:
            with self.readers.client() as client:
                found = client.rows("queries/table_rows", database=client.database)
            self._rows = {str(t): int(n) for t, n in found}
            self._counted = "ok"
        except ClickHouseError as error:
            self._counted = f"ClickHouse does not answer (code {error.code})"

    def rebuild(
        self,
        verify_only: bool,
        *,
        report: Callable[[RebuildProgress], None],
        cancelled: Callable[[], bool],
    ) -> RebuildProgress:
        """One rebuild; the caller holds `rebuilding`."""
        rebuild = Rebuild(
            self._clickhouse,
            self.log,
            self.follower,
            self.readers,
            report=report,
            cancelled=lambda: cancelled() or self._closing.is_set(),
        )
        return rebuild.verify() if verify_only else rebuild.swap()

    def close(self) -> None:
        """Stops following and closes every client. Blocks until the last batch is in.

        Not while `open` runs.
        """
        self._closing.set()
        if self._follower is not None:
            self._follower.stop()
        if self._counter is not None:
            self._counter.stop()
        with self.rebuilding:
            if self._readers is not None:
                self._readers.close()
            if self._follower is not None:
                self._follower.projection.close()


def _why(error: ClickHouseError) -> str:
    """Why ClickHouse can't be opened, and what to do."""
    match error.code:
        case None if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                "ClickHouse's certificate is not trusted; trying again: name the file of its "
                "authority in SSL_CERT_FILE and start again, or see that RING_CLICKHOUSE is right"
            )
        case None:
            return (
                "ClickHouse can't be reached; trying again: see that it runs and that "
                "RING_CLICKHOUSE is right"
            )
        case 516:
            return "ClickHouse knows no such user and password; trying again: see RING_CLICKHOUSE"
        case 497:
            return (
                "the user of RING_CLICKHOUSE may not do what is needed (code 497); trying again: "
                "let it create and drop databases of that name"
            )
        case _:
            return f"ClickHouse refuses (code {error.code}); trying again: see its own log"
