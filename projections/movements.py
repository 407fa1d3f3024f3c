"""Timelines: one plate's passages and visits.

Always true here: what a passage and a visit are is decided in ClickHouse, by the views of
sql/schema/06_timelines.sql; this module only formats.
"""

from projections.clickhouse import Client
from projections.requests import Span
from proto.ring.v1.investigation_pb2 import Passage, Visit
from ring.values import from_micros


def passages_of(client: Client, plate: str, span: Span) -> list[Passage]:
    """Passages whose time lies in the span, in order of time."""
    rows = client.rows("queries/passages", plate=plate, start=span.start, end=span.end)
    return [
        Passage(
            checkpoint=checkpoint,
            direction=direction,
            at=from_micros(at),
            reads=reads,
            anomalies=anomalies,
        )
        for checkpoint, direction, at, reads, anomalies in rows
    ]


def visits_of(client: Client, plate: str, span: Span) -> list[Visit]:
    """Visits that overlap the span by what is known of them, in order of time."""
    rows = client.rows("queries/visits", plate=plate, start=span.start, end=span.end)
    return [
        Visit(
            entered_at=None if entered is None else from_micros(entered),
            exited_at=None if exited is None else from_micros(exited),
            entry_checkpoint=entry,
            exit_checkpoint=exit_,
        )
        for entered, exited, entry, exit_ in rows
    ]
