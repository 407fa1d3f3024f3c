"""Follows the event log and keeps a projection's rows in step with it.

Always true here: the stored position moves only after the rows of every event up to it are in, so
stopping anywhere repeats rows and never loses them; nothing is passed over: what can't be applied
is tried again for ever, and health says why.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pyarrow as pa
import structlog
from eventsourcing.persistence import PersistenceError

from projections.batch import Batches, Stored, UnknownEventError
from projections.clickhouse import ClickHouseError, Client
from ring.store import EventLog, Growth

# An insert costs some 60 ms of processor time whatever is in it, and 2.5 µs a row (docs/adr/0006):
# many rows at a time are cheap, few are not.
MOST_EVENTS = 50_000
# The log tells when it has grown; somebody who missed that looks again so often.
_IDLE_SECONDS = 1.0
# Small inserts are put off until the one before is so long ago, unless somebody waits for them.
_LINGER_SECONDS = 0.5
_LINGER_EVENTS = 20_000
# A batch takes a fraction of a second; longer than this is worth telling.
_SLOW_SECONDS = 5.0
_BACK_OFF = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

# A table, and rows that it has now.
Inserted = Callable[[str, pa.Table], None]

_logger = structlog.get_logger("projections.follower")


class Projection:
    """One database's rows. Used by one thread at a time.

    `position` is the last event applied; `load` sets it from the database.
    """

    def __init__(self, log: EventLog, client: Client, database: str) -> None:
        self.database = database
        self.position = 0
        self._log = log
        self._client = client
        self._batches = Batches(log.log_id)
        client.use(database)

    def load(self) -> None:
        """Takes the position up where the database says that it was left."""
        self.position = int(self._client.rows("queries/position", log=self._log.log_id)[0][0])

    def events(self, stop: int | None = None) -> Sequence[Stored]:
        """The events that come next, up to and including the position `stop`."""
        return self._log.select_states(self.position, MOST_EVENTS, stop)

    def apply(self, events: Sequence[Stored], inserted: Inserted | None = None) -> None:
        """Inserts the rows of these events, then saves the position.

        `inserted` is told what is in, maybe more than once. UnknownEventError after what comes
        before such an event is in.
        """
        batch = self._batches.of(events)
        for table, rows in batch.inserts:
            self._client.insert(table, rows)
            if inserted:
                inserted(table, rows)
        self.save(batch.last_position)
        if batch.stopped_by:
            raise batch.stopped_by

    def save(self, position: int) -> None:
        """Saves the position: every row up to it is in."""
        self._client.run("queries/save_position", log=self._log.log_id, position=position)
        self.position = position

    def close(self) -> None:
        """Closes its client."""
        self._client.close()


class Follower:
    """A thread that applies the log's events to the live projection as they come.

    `inserted` is told of its rows, before anybody who waited for them goes on.
    """

    def __init__(
        self, log: EventLog, projection: Projection, inserted: Inserted | None = None
    ) -> None:
        self._log = log
        self._inserted = inserted
        self.projection = projection
        self._health = "starting"
        # Since when the batch that is being applied is, by the monotonic clock; 0: none is.
        self._applying = 0.0
        self._stopping = threading.Event()
        # Two reasons to look at the log: it may have grown; somebody waits for what is there.
        self._grew = threading.Event()
        self._hurry = threading.Event()
        self._growth: Growth | None = None
        self._turn = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._waiting_lock = threading.Lock()
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def position(self) -> int:
        """The last event applied; all before it are too."""
        return self.projection.position

    @property
    def health(self) -> str:
        """ "ok", or what is wrong."""
        since = self._applying
        waited = time.monotonic() - since if since else 0.0
        if self._health == "ok" and waited > _SLOW_SECONDS:
            return (
                f"ClickHouse is slow: a batch has taken {waited:.0f} s so far; waiting for it: see "
                "that it is well"
            )
        return self._health

    def start(self) -> None:
        """Begins to follow."""
        self._growth = self._log.growth(self._grew.set)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the batch that is being applied. Blocks until then."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        if self._growth:
            self._growth.stop()

    async def reached(self, position: int) -> None:
        """Returns once the position is applied; meanwhile the follower does not linger."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiter = (position, loop, future)
        with self._waiting_lock:
            if self.position >= position:
                return
            self._waiting.append(waiter)
        self._wake()
        try:
            await future
        finally:
            with self._waiting_lock, suppress(ValueError):
                self._waiting.remove(waiter)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is applied inside; `projection` may be exchanged for another."""
        self._open.clear()
        try:
            with self._turn:
                yield
        finally:
            self._open.set()
            self._tell()

    def _run(self) -> None:
        failures = 0
        loaded: Projection | None = None
        inserted = 0.0
        while not self._stopping.is_set():
            self._open.wait()
            try:
                with self._turn:
                    if loaded is not self.projection:
                        self._load()
                        loaded = self.projection
                        self._tell()
                    events = self.projection.events()
                    due = inserted + _LINGER_SECONDS - time.monotonic()
                    lingers = len(events) < _LINGER_EVENTS and due > 0 and not self._waiting
                    if events and not lingers:
                        self._applying = time.monotonic()
                        self.projection.apply(events, self._inserted)
                        inserted = time.monotonic()
            except Exception as error:
                self._applying = 0.0
                self._fail(error)
                self._tell()
                self._stopping.wait(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                failures += 1
                continue
            failures, self._applying = 0, 0.0
            self._health = "ok"
            if not events:
                self._grew.wait(_IDLE_SECONDS)
                self._grew.clear()
            elif lingers:
                self._hurry.wait(due)
            else:
                self._tell()
            self._hurry.clear()

    def _load(self) -> None:
        self.projection.load()
        head = self._log.head()
        if head < self.position:
            raise _LogIsShorterError(
                f"the event log ends at {head}, but the read side has applied {self.position} of "
                "it: the log was put back to an older state under the same identity; restore it "
                "with `ring restore`, or run `ring rebuild`"
            )

    def _wake(self) -> None:
        self._hurry.set()
        self._grew.set()

    def _fail(self, error: Exception) -> None:
        health = _explain(error)
        if health != self._health:
            _logger.error("follower_failed", reason=health, position=self.position)
        self._health = health

    def _tell(self) -> None:
        with self._waiting_lock:
            reached = [w for w in self._waiting if w[0] <= self.position]
        for _, loop, future in reached:
            # The loop of a waiter that has gone away may be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, future)


class _LogIsShorterError(Exception):
    pass


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _explain(error: Exception) -> str:
    """One line without a plate: what ClickHouse says may quote rows."""
    if isinstance(error, UnknownEventError | _LogIsShorterError):
        return str(error)
    if isinstance(error, ClickHouseError) and error.code is None:
        return "ClickHouse can't be reached; trying again: see that it runs"
    if isinstance(error, ClickHouseError):
        return (
            f"ClickHouse refuses (code {error.code}); trying again: see that it runs and has room"
        )
    if isinstance(error, PersistenceError):
        return "the event log can't be read; trying again: see that its database runs"
    return f"following the log failed ({type(error).__name__}); trying again"
