"""What every question has in common: its purpose, its range of time, its place in the log.

Always true here: a request that can never succeed is refused before anything is looked up, with
InvalidRequest, which says what to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from projections.formats import countries, expression_of
from proto.ring.v1.common_pb2 import Direction, Purpose, TimeRange
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


@dataclass(frozen=True)
class Filter:
    """Which reads count. What is left empty, 0 or unknown leaves nothing out.

    `expression`: a regular expression of the country's formats, empty where none is known.
    """

    checkpoints: tuple[str, ...] = ()
    direction: int = 0
    country: str = ""
    expression: str = ""
    min_confidence: float = 0.0

    @property
    def parameters(self) -> dict[str, Any]:
        """As the named queries take them."""
        return {
            "checkpoints": list(self.checkpoints),
            "direction": self.direction,
            "format": self.expression,
            "min_confidence": self.min_confidence,
        }


def filter_of(
    *,
    checkpoints: Iterable[str] = (),
    direction: Direction.ValueType = Direction.DIRECTION_UNSPECIFIED,
    region: str = "",
    min_confidence: float = 0.0,
) -> Filter:
    """Reads what the requests share. InvalidRequest where a country or a confidence is none."""
    country = region.strip().upper()
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise InvalidRequest(
            f"region {region!r} is no country: two letters of ISO 3166-1 are needed, such as AR"
        )
    if not 0 <= min_confidence <= 1:
        raise InvalidRequest("min_confidence must lie between 0 and 1")
    return Filter(
        tuple(sorted(set(checkpoints))), direction, country, expression_of(country), min_confidence
    )


def by_format(asked: Filter) -> Filter:
    """The same, for questions that know a plate's country by its format alone."""
    if asked.country and not asked.expression:
        raise InvalidRequest(
            f"the formats of {asked.country}'s plates are not known: use one of "
            f"{', '.join(countries())}, or leave region out"
        )
    return asked


def limit_of(value: int) -> int:
    """How many rows to give: 100 where nothing is said, at most 1000."""
    return min(value or 100, 1000)


def duration_of(duration: Duration, name: str, default: int, most: int) -> int:
    """Microseconds; the default where it is nothing. InvalidRequest below 0 and above the most."""
    value = duration.seconds * 1_000_000 + duration.nanos // 1000
    if not 0 <= value <= most:
        raise InvalidRequest(f"{name} must lie between 0 and {most // 1_000_000:,} seconds")
    return value or default


def instant_of(at: Timestamp, name: str) -> int:
    """Microseconds since 1970, within what ClickHouse holds."""
    return min(max(_micros_up(at, name), EARLIEST), LATEST)


def _nanos(at: Timestamp) -> int:
    return at.seconds * _NANOS + at.nanos


def _micros_up(at: Timestamp, name: str) -> int:
    if not (0 <= at.nanos < _NANOS and _FIRST_SECOND <= at.seconds <= _LAST_SECOND):
        raise InvalidRequest(
            f"{name} is no valid time: seconds of the years 1 to 9999 and 0 to 999,999,999 nanos"
        )
    # A read's time is cut to the microsecond: rounding both ends up keeps the range half-open.
    return -(-_nanos(at) // 1000)
