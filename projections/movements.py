"""Timelines: one plate's passages and visits.

Always true here: what a passage and a visit are is decided in ClickHouse, by the views of
sql/schema/06_timelines.sql; this module only formats.
"""

from projections.clickhouse import Client
from projections.requests import Span
from proto.ring.v1.investigation_pb2 import GetTimelineResponse, Passage, Visit
from ring.values import from_micros


def timeline_of(client: Client, plate: str, span: Span) -> GetTimelineResponse:
    """Passages whose time lies in the span; visits that overlap it by what is known of them.

    Both in order of time.
    """
    rows = client.rows("queries/timeline", plate=plate, start=span.start, end=span.end)
    if not rows:
        return GetTimelineResponse()
    ((passages, visits),) = rows
    return GetTimelineResponse(
        passages=[
            Passage(
                checkpoint=checkpoint,
                direction=direction,
                at=from_micros(at),
                reads=reads,
                anomalies=anomalies,
            )
            for checkpoint, direction, at, reads, anomalies in passages
        ],
        visits=[
            Visit(
                entered_at=None if entered is None else from_micros(entered),
                exited_at=None if exited is None else from_micros(exited),
                entry_checkpoint=entry,
                exit_checkpoint=exit_,
            )
            for entered, exited, entry, exit_ in visits
        ],
    )
