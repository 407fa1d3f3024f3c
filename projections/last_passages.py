"""Each plate's last entry and last exit, in memory, for as long as somebody asks who is inside.

Always true here: what is kept is what the tables say of one projection, plus what the follower has
inserted since, of every plate seen since `since`; an entry and an exit are the latest reads in that
direction, whatever order they came in. It is read anew after an hour, so that nothing stays that
was deleted, and let go where nobody has asked for a while: a question that finds it takes some
20 ms over two million plates, one that must read it first half a second.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from projections.clickhouse import Client
from projections.visits import ENTRY, EXIT

# Microseconds before the earliest entry asked for: a question a little earlier finds it too.
_MARGIN = 3_600_000_000
# Seconds until it is read anew, and without a question until it is let go.
_KEPT, _IDLE = 3600.0, 900.0
# Rows that wait for the next question at the most.
_MOST_WAITING = 500_000
# As long as the plates in the tables are at the most; padded with zeros.
_PLATE = np.dtype("S16")

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Last:
    """One entry and exit a plate, in order of plate; 1970 where there was none. Microseconds."""

    plates: npt.NDArray[np.bytes_]
    entry: Times
    exit: Times

    @classmethod
    def of(cls, rows: pa.Table) -> "Last":
        """Rows of queries/last_passages."""
        plates = rows.column("plate").combine_chunks()
        return cls(
            np.frombuffer(plates.buffers()[1], _PLATE, len(plates), plates.offset * 16),
            rows.column("entry").to_numpy(),
            rows.column("exit").to_numpy(),
        )

    def after(self, reads: pa.Table) -> "Last":
        """With these reads, at least one: plate, captured_at, direction."""
        plates = np.array(reads.column("plate").to_pylist(), _PLATE)
        captured = reads.column("captured_at").cast(pa.int64()).to_numpy()
        direction = reads.column("direction").to_numpy()
        order = np.argsort(plates, kind="stable")
        read, begins = np.unique(plates[order], return_index=True)
        at = np.searchsorted(self.plates, read)
        known = np.zeros(len(read), bool)
        within = at < len(self.plates)
        known[within] = self.plates[at[within]] == read[within]

        def latest(before: Times, way: int) -> Times:
            newest = np.maximum.reduceat(np.where(direction == way, captured, 0)[order], begins)
            after = before.copy()
            after[at[known]] = np.maximum(after[at[known]], newest[known])
            return np.insert(after, at[~known], newest[~known])

        return Last(
            np.insert(self.plates, at[~known], read[~known]),
            latest(self.entry, ENTRY),
            latest(self.exit, EXIT),
        )


@dataclass(frozen=True)
class _Kept:
    database: str
    since: int
    read_at: float
    last: Last


class LastPassages:
    """Of the live projection. Asked and told from any thread."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._telling = threading.Lock()
        self._kept: _Kept | None = None
        self._asked_at = 0.0
        # What came since; None: what is kept is not kept up.
        self._waiting: list[pa.Table] | None = None
        self._rows_waiting = 0

    def note(self, reads: pa.Table) -> None:
        """The follower has inserted these into the live projection."""
        with self._telling:
            if self._waiting is None:
                return
            self._rows_waiting += len(reads)
            idle = time.monotonic() - self._asked_at > _IDLE
            if idle or self._rows_waiting > _MOST_WAITING:
                self._waiting = self._kept = None
            else:
                self._waiting.append(reads.select(["plate", "captured_at", "direction"]))

    def since(self, client: Client, earliest: int) -> Last:
        """Of the plates seen since a time, and perhaps of others."""
        with self._asking:
            with self._telling:
                kept, waiting = self._kept, self._waiting
                self._waiting, self._rows_waiting = [], 0
                # Until it is whole again.
                self._kept, self._asked_at = None, time.monotonic()
            if (
                kept is None
                or waiting is None
                or kept.database != client.database
                or kept.since > earliest
                or kept.read_at + _KEPT < time.monotonic()
            ):
                since = max(0, earliest - _MARGIN)
                read_at = time.monotonic()
                last = Last.of(client.arrow("queries/last_passages", since=since))
                kept = _Kept(client.database, since, read_at, last)
            elif waiting:
                last = kept.last.after(pa.concat_tables(waiting))
                kept = _Kept(kept.database, kept.since, kept.read_at, last)
            self._kept = kept
            return kept.last


def then(client: Client, **parameters: Any) -> Last:
    """As it was at a time gone by, of those who may have been inside: from the reads themselves."""
    return Last.of(client.arrow("queries/last_passages_then", **parameters))
