"""What every question has in common: its purpose, its range of time, its place in the log.

Always true here: a request that can never succeed is refused before anything is looked up, with
InvalidRequest, which says what to do.
"""

from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import Purpose, TimeRange
from ring.errors import InvalidRequest

# The instants that ClickHouse's DateTime64(6) holds, a day inside of its limits; every read lies
# between them. Microseconds since 1970.
EARLIEST = -2_208_902_400_000_000
LATEST = 10_413_705_600_000_000

_NANOS = 1_000_000_000
# 0001-01-01 and the end of 9999-12-31, as protobuf's Timestamp has them, in seconds since 1970.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


@dataclass(frozen=True)
class Span:
    """A half-open range in microseconds since 1970, within what ClickHouse holds."""

    start: int
    end: int


def check_purpose(purpose: Purpose) -> None:
    """Every look at people's movements has a case and a reason."""
    if not purpose.case_number.strip() or not purpose.reason.strip():
        raise InvalidRequest("a purpose is needed: set case_number and reason")


def span_of(range_: TimeRange) -> Span:
    """The reads whose microsecond lies in the range; an end that is left out is open."""
    has_start, has_end = range_.HasField("start_time"), range_.HasField("end_time")
    start = _micros_up(range_.start_time, "start_time") if has_start else EARLIEST
    end = _micros_up(range_.end_time, "end_time") if has_end else LATEST
    if has_start and has_end and _nanos(range_.start_time) >= _nanos(range_.end_time):
        raise InvalidRequest(
            "the range is empty: start_time must be before end_time (it is half-open)"
        )
    return Span(min(max(start, EARLIEST), LATEST), min(max(end, EARLIEST), LATEST))


def _nanos(at: Timestamp) -> int:
    return at.seconds * _NANOS + at.nanos


def _micros_up(at: Timestamp, name: str) -> int:
    if not (0 <= at.nanos < _NANOS and _FIRST_SECOND <= at.seconds <= _LAST_SECOND):
        raise InvalidRequest(
            f"{name} is no valid time: seconds of the years 1 to 9999 and 0 to 999,999,999 nanos"
        )
    # A read's time is cut to the microsecond: rounding both ends up keeps the range half-open.
    return -(-_nanos(at) // 1000)
