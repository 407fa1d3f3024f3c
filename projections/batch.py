"""From stored events to rows: what a stretch of the log adds to the tables.

Always true here: the rows of an event depend on that event alone, so a stretch that is read again
gives the same rows again, and the tables drop what comes twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from projections.alerts import match_row, state_row
from proto.ring.v1.events_pb2 import (
    TIME_QUALITY_SUSPECT,
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    CheckpointPlaced,
    StoredRead,
)
from ring.store import unseal
from ring.values import ReadIds, micros

READ = "ring.read"
# Events that leave no rows. Any topic named nowhere here stops the follower: what a newer version
# wrote must not be passed over in silence.
IGNORED = frozenset(
    {
        "ring.read.rejected",
        "ring.read.conflict",
        "ring.reader.registered",
        "ring.reader.assigned",
        "ring.reader.revoked",
        "ring.reader.silent",
        "ring.reader.recovered",
        "ring.hotlist.created",
        "ring.hotlist.staged",
        "ring.hotlist.activated",
    }
)

# ClickHouse refuses an insert that touches more than 100 partitions (Code 252); a partition is a
# month.
_MOST_MONTHS = 90

_TIME = pa.timestamp("us", tz="UTC")
_NAME = pa.dictionary(pa.int32(), pa.string())

READ_SCHEMA = pa.schema(
    [
        ("log", _NAME),
        ("position", pa.uint64()),
        ("plate", pa.string()),
        ("captured_at", _TIME),
        ("received_at", _TIME),
        ("read_key", pa.uint64()),
        ("checkpoint", pa.string()),
        ("reader_id", pa.string()),
        ("lane", pa.string()),
        ("direction", pa.int8()),
        ("confidence", pa.float32()),
        ("region", pa.string()),
        ("time_suspect", pa.bool_()),
    ]
)


class Stored(Protocol):
    """What is needed of the log's notifications."""

    @property
    def id(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def state(self) -> bytes: ...


class UnknownEventError(Exception):
    """An event that this version does not know."""


@dataclass
class Batch:
    """Rows to insert: (table, rows) pairs, reads first."""

    last_position: int
    reads: int
    inserts: list[tuple[str, Any]]


class Batches:
    """Makes batches of one log's events. Not for several threads at a time."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._keys: dict[tuple[str, str], ReadIds] = {}

    def of(self, notifications: Sequence[Stored]) -> Batch:
        """The rows of a stretch of the log, which is not empty.

        UnknownEventError, or UnreadableEventError of ring.store, names the position.
        """
        reads = [n for n in notifications if n.topic == READ]
        inserts = list(_split_by_month(self._read_rows(reads))) if reads else []
        if len(reads) < len(notifications):
            inserts += self._other_rows([n for n in notifications if n.topic != READ])
        return Batch(notifications[-1].id, len(reads), inserts)

    def _read_rows(self, notifications: Sequence[Stored]) -> pa.Table:
        rows: list[tuple[Any, ...]] = []
        append = rows.append
        parse = StoredRead.FromString
        keys = self._keys
        for notification in notifications:
            stored = parse(unseal(notification.state))
            read = stored.read
            at = stored.received_at
            received = at.seconds * 1_000_000 + at.nanos // 1000
            suspect = stored.time_quality == TIME_QUALITY_SUSPECT
            if suspect:
                captured = received
            else:
                at = read.captured_at
                captured = at.seconds * 1_000_000 + at.nanos // 1000
            reader, epoch = stored.reader_id, stored.epoch
            key = keys.get((reader, epoch))
            if key is None:
                key = keys[reader, epoch] = ReadIds(reader, epoch)
            append(
                (
                    notification.id,
                    read.plate,
                    captured,
                    received,
                    key.high(read.sequence),
                    stored.checkpoint,
                    reader,
                    stored.lane,
                    stored.direction,
                    read.confidence,
                    read.region,
                    suspect,
                )
            )
        columns = list(zip(*rows, strict=True))
        log = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(rows), np.int32)), pa.array([self._log_id])
        )
        arrays = [log] + [
            pa.array(column, field.type)
            for column, field in zip(columns, list(READ_SCHEMA)[1:], strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=READ_SCHEMA)

    def _other_rows(self, notifications: Sequence[Stored]) -> list[tuple[str, Any]]:
        tables: dict[str, list[dict[str, Any]]] = {}
        for notification in notifications:
            body = unseal(notification.state)
            at = {"log": self._log_id, "position": notification.id}
            match notification.topic:
                case "ring.alert.raised":
                    row = match_row(AlertRaised.FromString(body))
                    tables.setdefault("hotlist_matches", []).append(row | at)
                case "ring.alert.acknowledged":
                    row = state_row(AlertAcknowledged.FromString(body))
                    tables.setdefault("hotlist_match_states", []).append(row | at)
                case "ring.alert.resolved":
                    row = state_row(AlertResolved.FromString(body))
                    tables.setdefault("hotlist_match_states", []).append(row | at)
                case "ring.checkpoint.registered" | "ring.checkpoint.moved":
                    row = _checkpoint_row(CheckpointPlaced.FromString(body))
                    tables.setdefault("checkpoints", []).append(row | at)
                case topic if topic not in IGNORED:
                    raise UnknownEventError(
                        f"the event at position {notification.id} has the topic {topic!r}, which "
                        "this version does not know: run the version that wrote it, or a newer one"
                    )
        return [(table, pa.Table.from_pylist(rows)) for table, rows in tables.items()]


def _checkpoint_row(body: CheckpointPlaced) -> dict[str, Any]:
    return {
        "code": body.code,
        "name": body.name,
        "latitude": body.latitude,
        "longitude": body.longitude,
        "placed_at": pa.scalar(micros(body.at), _TIME),
    }


def _split_by_month(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    captured = rows.column("captured_at").to_numpy()
    months = captured.astype("datetime64[M]").astype(np.int64)
    distinct = np.unique(months)
    if len(distinct) <= _MOST_MONTHS:
        yield "incoming", rows
        return
    for start in range(0, len(distinct), _MOST_MONTHS):
        some = distinct[start : start + _MOST_MONTHS]
        yield "incoming", rows.filter(pa.array((months >= some[0]) & (months <= some[-1])))
