"""The port of the event log, which every event store adapter implements.

Always true of a log: positions only grow and are never given twice, even after deletions; an
event becomes visible only together with every event of a lower position; one `insert_events`
call is one transaction, tracking included.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from eventsourcing.persistence import Notification, PersistenceError, ProcessRecorder

from ring.errors import StateForbids, Unavailable

CLAIMED = (
    "another server writes to this event log: stop it first, or give this one a log of its own "
    "(RING_EVENT_STORE)"
)


RESTORING = "the ring is being restored from a backup: try again when it is done"
CUT_SHORT = (
    "a restore into this ring was cut short: stop the server, remove its data folder (and, on "
    "PostgreSQL, the database), start on a new one and restore again"
)


class NoRoomError(PersistenceError):
    """Nothing was stored, for there is no room."""


class Growth(ABC):
    """Somebody who tells when a log has grown, in whichever process. `stop` it when done."""

    @abstractmethod
    def stop(self) -> None:
        """Tells nothing more."""


class EventLog(ProcessRecorder):
    """`eventsourcing`'s process recorder, and what the ring needs beyond it.

    `select_notifications(topics=...)` must be cheap for any topic but `ring.read`, however many
    reads lie between.
    """

    # Held while events are inserted; set up by every adapter.
    _inserting: threading.Lock
    # Why nothing but `adopt` stores events, where that is so.
    refusal = ""

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Inside, only `adopt` stores events; any other insert of this process is Unavailable.

        StateForbids where there are events already. Where it ends by an error, it stays like that:
        half of a log must not be worked on.
        """
        with self._inserting:
            if self.refusal or self.head():
                raise StateForbids(
                    self.refusal
                    or "this ring is not empty: restore into a server that was started on a new "
                    "data folder (and, on PostgreSQL, a new database)"
                )
            self.refusal = RESTORING
        try:
            yield
        except BaseException:
            self.refusal = CUT_SHORT
            raise
        self.refusal = ""

    def check_filled(self) -> None:
        """Unavailable while a backup is being restored: what is there is half of a log."""
        if self.refusal:
            raise Unavailable(self.refusal)

    @property
    @abstractmethod
    def log_id(self) -> str:
        """UUID of this log, new when it is created or restored."""

    @abstractmethod
    def head(self) -> int:
        """The last position that can be seen: nothing at or below it is still to come.

        0 in an empty log. Where the tail was deleted, it may stay as it was.
        """

    @abstractmethod
    def select_states(
        self, after: int, limit: int, stop: int | None = None
    ) -> list[tuple[int, str, bytes]]:
        """(position, topic, state) of the events after a position, up to `stop`, in order.

        For those who follow the whole log: a quarter of what `select_notifications` costs.
        """

    @abstractmethod
    def select_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order of position; those that are gone are left out."""

    @abstractmethod
    def select_known(self, originator_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the streams that have an event."""

    @abstractmethod
    def adopt(self, events: Sequence[Notification]) -> None:
        """Stores events of another log at the positions they had there, all above the head."""

    @abstractmethod
    def growth(self, on_growth: Callable[[], None]) -> Growth:
        """Calls `on_growth`, from a thread of its own, soon after events came in.

        Once too often is possible, and a call may stand for many events.
        """

    @abstractmethod
    def limit(self, max_bytes: int) -> None:
        """Stores no event that would make it larger: NoRoomError. InvalidRequest where it can't."""

    @abstractmethod
    def claim(self) -> None:
        """This process writes reads from here on, and no other: StateForbids where one does.

        Held until `close` or the end of the process, however it ends.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes every connection: whatever still waits for one, in any thread, fails at once."""
