"""From stored events to rows: what a stretch of the log adds to the tables.

Always true here: the rows of an event depend on that event alone, so a stretch that is read again
gives the same rows again, and the tables drop what comes twice; an event that can't be read ends
the stretch before it, so it holds nothing back but what comes after it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from projections import unsure
from projections.alerts import match_row, state_row
from projections.columns import NAME, TIME, with_log
from proto.ring.v1.events_pb2 import (
    TIME_QUALITY_SUSPECT,
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    CheckpointPlaced,
    StoredRead,
)
from ring.errors import StateForbids
from ring.store import UnreadableEventError, unseal
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
        "ring.hotlist.granted",
        "ring.hotlist.grant_revoked",
        "ring.hotlist.policy_changed",
        "ring.look_back.started",
        "ring.look_back.advanced",
        "ring.look_back.ended",
        "ring.webhook.added",
        "ring.webhook.removed",
        "ring.webhook.given_up",
        "ring.webhook.resend_asked",
        "ring.webhook.resent",
    }
)

# ClickHouse refuses an insert that touches more than 100 partitions (Code 252); a partition is a
# month.
_MOST_MONTHS = 90

READ_SCHEMA = pa.schema(
    [
        ("log", NAME),
        ("position", pa.uint64()),
        ("plate", pa.string()),
        ("captured_at", TIME),
        ("received_at", TIME),
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


# An event of the log, as select_states gives it: position, topic, state.
Stored = tuple[int, str, bytes]


class UnknownEventError(StateForbids):
    """An event that this version does not know, or can't read."""


@dataclass
class Batch:
    """Rows to insert: (table, rows) pairs, reads first.

    `stopped_by` is why the events after `last_position` are not in it.
    """

    last_position: int
    reads: int
    inserts: list[tuple[str, Any]]
    stopped_by: UnknownEventError | None = None


class Batches:
    """Makes batches of one log's events. Not for several threads at a time."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._keys: dict[tuple[str, str], ReadIds] = {}

    def of(self, events: Sequence[Stored]) -> Batch:
        """The rows of a stretch of the log, which is not empty, up to an event that is not known.

        UnknownEventError, which names the position, where that is the first.
        """
        known, stopped_by = _known(events)
        try:
            return self._of(known, stopped_by)
        except UnreadableEventError:
            known, stopped_by = _readable(known)
            return self._of(known, stopped_by)

    def _of(self, events: Sequence[Stored], stopped_by: UnknownEventError | None) -> Batch:
        if not events:
            assert stopped_by
            raise stopped_by
        reads = [e for e in events if e[1] == READ]
        inserts = [
            (table, piece)
            for table, rows in (self._read_rows(reads) if reads else ())
            for piece in _split_by_month(rows)
        ]
        if len(reads) < len(events):
            inserts += self._other_rows([e for e in events if e[1] != READ])
        return Batch(events[-1][0], len(reads), inserts, stopped_by)

    def _read_rows(self, events: Sequence[Stored]) -> Iterator[tuple[str, pa.Table]]:
        rows: list[tuple[Any, ...]] = []
        doubts: list[unsure.Row] = []
        append = rows.append
        parse = StoredRead.FromString
        keys = self._keys
        for position, _, state in events:
            stored = parse(unseal(state))
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
                    position,
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
            if read.confidence <= unsure.SURE:
                doubts += unsure.rows_of(read, position, captured, received)
        yield "incoming", with_log(self._log_id, rows, READ_SCHEMA)
        if doubts:
            yield "unsure_reads", unsure.table_of(doubts, self._log_id)

    def _other_rows(self, events: Sequence[Stored]) -> list[tuple[str, Any]]:
        tables: dict[str, list[dict[str, Any]]] = {}
        for position, topic, state in events:
            body = unseal(state)
            if topic not in IGNORED:
                at = {"log": self._log_id, "position": position}
                for table, row in _ROWS[topic](body):
                    tables.setdefault(table, []).append(row | at)
        return [(table, pa.Table.from_pylist(rows)) for table, rows in tables.items()]


def _known(events: Sequence[Stored]) -> tuple[Sequence[Stored], UnknownEventError | None]:
    if {topic for _, topic, _ in events} <= _KNOWN:
        return events, None
    for index, (position, topic, _) in enumerate(events):
        if topic not in _KNOWN:
            return events[:index], UnknownEventError(
                f"the event at position {position} has the topic {topic!r}, which this version "
                "does not know: run the version that wrote it, or a newer one"
            )
    raise AssertionError("one topic is not known")


def _readable(events: Sequence[Stored]) -> tuple[Sequence[Stored], UnknownEventError | None]:
    for index, (position, _, state) in enumerate(events):
        try:
            unseal(state)
        except UnreadableEventError as error:
            return events[:index], UnknownEventError(
                f"the event at position {position} can't be read ({error}): run the version that "
                "wrote it, or a newer one"
            )
    raise AssertionError("one event can't be read")


def _checkpoint_rows(raw: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    body = CheckpointPlaced.FromString(raw)
    place = {"code": body.code, "placed_at": pa.scalar(micros(body.at), TIME)}
    yield (
        "checkpoints",
        place | {"name": body.name, "latitude": body.latitude, "longitude": body.longitude},
    )
    if body.HasField("zone"):
        yield "checkpoint_zones", place | {"zone": body.zone}


# Topic → the (table, row) pairs that an event adds.
_ROWS: dict[str, Callable[[bytes], Iterable[tuple[str, dict[str, Any]]]]] = {
    "ring.alert.raised": lambda raw: [("hotlist_matches", match_row(AlertRaised.FromString(raw)))],
    "ring.alert.acknowledged": lambda raw: [
        ("hotlist_match_states", state_row(AlertAcknowledged.FromString(raw)))
    ],
    "ring.alert.resolved": lambda raw: [
        ("hotlist_match_states", state_row(AlertResolved.FromString(raw)))
    ],
    "ring.checkpoint.registered": _checkpoint_rows,
    "ring.checkpoint.moved": _checkpoint_rows,
}
_KNOWN = {READ, *IGNORED, *_ROWS}


def _split_by_month(rows: pa.Table) -> Iterator[pa.Table]:
    captured = rows.column("captured_at").to_numpy()
    months = captured.astype("datetime64[M]").astype(np.int64)
    distinct = np.unique(months)
    if len(distinct) <= _MOST_MONTHS:
        yield rows
        return
    for start in range(0, len(distinct), _MOST_MONTHS):
        some = distinct[start : start + _MOST_MONTHS]
        yield rows.filter(pa.array((months >= some[0]) & (months <= some[-1])))
