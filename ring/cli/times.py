"""Times and places in the log as people write and read them.

A time without a zone is in the settings' zone; everything sent is UTC. In a range, a bare day
as its end is the end of that day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ring.cli.failure import CommandError

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from proto.ring.v1.common_pb2 import LogPosition, TimeRange

_EXAMPLE = "write 2026-04-01, 2026-04-01T08:30 or 2026-04-01T08:30:00-03:00"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# What the protocol's lengths of time hold: 10,000 years.
_LONGEST = 315_576_000_000.0


def parse_time(text: str, zone: ZoneInfo, *, end_of_day: bool = False) -> datetime:
    """An ISO 8601 day or time, aware. Raises ValueError with a line for people."""
    text = text.strip()
    try:
        if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
            day = date.fromisoformat(text)
            if end_of_day:
                day += timedelta(days=1)
            return datetime.combine(day, time(), zone)
        moment = datetime.fromisoformat(text)
    except OverflowError as error:  # the end of 9999-12-31
        raise ValueError(f"{text} is out of range") from error
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: {_EXAMPLE}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def timestamp(moment: datetime) -> Timestamp:
    """An aware time as the protocol has it."""
    from google.protobuf.timestamp_pb2 import Timestamp

    stamp = Timestamp()
    try:
        stamp.FromDatetime(moment.astimezone(UTC))
    except OverflowError as error:  # year 1 or 9999, moved out of the calendar by its zone
        raise ValueError(f"{moment.isoformat()} is out of range") from error
    return stamp


def parse_timestamp(text: str, zone: ZoneInfo, *, end_of_day: bool = False) -> Timestamp:
    """As `parse_time`, for an option on the command line: raises CommandError."""
    try:
        return timestamp(parse_time(text, zone, end_of_day=end_of_day))
    except ValueError as error:
        raise CommandError(str(error), 2) from error


def time_range(start: str | None, end: str | None, zone: ZoneInfo) -> TimeRange:
    """A half-open range; either side may be left out. CommandError where no time is in it."""
    from proto.ring.v1.common_pb2 import TimeRange

    first = None if start is None else parse_timestamp(start, zone)
    last = None if end is None else parse_timestamp(end, zone, end_of_day=True)
    if first and last and (first.seconds, first.nanos) >= (last.seconds, last.nanos):
        raise CommandError(
            f"no time lies between {start} and {end}: the first is to be before the second", 2
        )
    return TimeRange(start_time=first, end_time=last)


def parse_seconds(text: str) -> float:
    """A length of time such as 90, 90s, 5m, 2h or 3d, in seconds. Raises CommandError."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", text.strip())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else _LONGEST
    if seconds >= _LONGEST:
        raise CommandError(f"{text!r} is no length of time: write 90s, 5m, 2h or 3d", 2)
    return seconds


def positions(texts: Iterable[str] | None) -> list[LogPosition]:
    """LOGID:POSITION, as `ring status` and alerts show it. Raises CommandError."""
    from proto.ring.v1.common_pb2 import LogPosition

    found = []
    for text in texts or ():
        log_id, colon, number = text.rpartition(":")
        if not (colon and log_id and number.isascii() and number.isdigit()):
            raise CommandError(
                f"{text!r} is no position: write LOGID:POSITION, as 'ring status' shows it", 2
            )
        if int(number) >= 1 << 64:
            raise CommandError(f"{text!r} is no position: the number is too large", 2)
        found.append(LogPosition(log_id=log_id, position=int(number)))
    return found


def show_time(stamp: Timestamp, zone: ZoneInfo) -> str:
    """For people, to the second, in the zone; no zone is named: the table's caption does."""
    return stamp.ToDatetime(UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def zone_name(stamp: Timestamp, zone: ZoneInfo) -> str:
    """Short, as it is at that time: CEST, UTC, or -03 where the zone has no letters."""
    return stamp.ToDatetime(UTC).astimezone(zone).strftime("%Z")


def show_duration(seconds: float) -> str:
    """For people: 42 s, 7 min, 3 h 05 min, 2 d 04 h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"
