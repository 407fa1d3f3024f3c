"""Flows: how many passages a checkpoint, direction and hour had.

Always true here: no plate is in the answer.
"""

from collections.abc import Sequence

from projections.clickhouse import Client
from projections.requests import Span
from proto.ring.v1.investigation_pb2 import Flow
from ring.values import from_micros


def flows_in(client: Client, span: Span, checkpoints: Sequence[str]) -> list[Flow]:
    """Passages by their time, at these checkpoints (none: all); hours without any left out.

    In order of hour (UTC), checkpoint and direction.
    """
    rows = client.rows(
        "queries/flows", start=span.start, end=span.end, checkpoints=list(checkpoints)
    )
    return [
        Flow(
            checkpoint=checkpoint,
            direction=direction,
            hour=from_micros(hour * 1_000_000),
            passages=passages,
        )
        for checkpoint, direction, hour, passages in rows
    ]
