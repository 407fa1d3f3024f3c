"""How often alerts were right, as their dispositions say.

Always true here: only alerts that were resolved as confirmed or as misread say whether the plate
was right; the others are counted and judge nothing.
"""

from math import sqrt
from typing import Any
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client, Row
from projections.incidents import scope_of
from projections.requests import span_of
from proto.ring.v1.incident_pb2 import (
    GetPrecisionRequest,
    Precision,
    PrecisionPeriod,
    ReportScope,
)
from ring.errors import InvalidRequest

# Of the normal distribution, for 95 %.
_Z = 1.959963984540054


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, right of count; count is above 0.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    share, squared = right / count, _Z * _Z
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    spread = share * (1 - share) / count + squared / (4 * count * count)
    half = _Z / (1 + squared / count) * sqrt(spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def question_of(request: GetPrecisionRequest, scope: ReportScope, zone: ZoneInfo) -> dict[str, Any]:
    """Reads a request, as the named query takes it. `zone`: of people's days."""
    if request.period not in PrecisionPeriod.values():
        raise InvalidRequest("period may be day, week or month")
    span = span_of(request.range)
    return scope_of(scope) | {
        "start": span.start,
        "end": span.end,
        "hotlists": list(request.hotlists),
        "agencies": list(request.agencies),
        "by_reader": request.by_reader,
        "period": int(request.period),
        "zone": str(zone),
    }


def precision(client: Client, asked: dict[str, Any]) -> list[Precision]:
    """In order of agency, hotlist, reader and period."""
    return [
        _row(row, dated=bool(asked["period"])) for row in client.rows("queries/precision", **asked)
    ]


def _row(row: Row, *, dated: bool) -> Precision:
    agency, hotlist, reader, begins, raised, resolved, confirmed, misread, other, nothing = row
    answer = Precision(
        agency=agency,
        hotlist=hotlist,
        reader_id=reader,
        period_start=Timestamp(seconds=begins) if dated else None,
        raised=raised,
        resolved=resolved,
        confirmed=confirmed,
        misread=misread,
        not_of_interest=other,
        no_action=nothing,
    )
    judged = confirmed + misread
    if judged:
        answer.share = confirmed / judged
        answer.low, answer.high = wilson(confirmed, judged)
    return answer
