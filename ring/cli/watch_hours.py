"""The hours of a watch order as people write them: "Mon-Fri 22:00-06:00 | Sat,Sun 00:00-24:00".

Without days it is every day. An end at or before the start is of the day after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proto.ring.v1.alert_pb2 import WeeklyHours

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NUMBERS = {name.lower(): number for number, name in enumerate(_DAYS, 1)}
_EVERY = re.compile(
    r"(?:(?P<days>[A-Za-z ,-]+?)\s+)?(?P<start>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d)"
)
_EXAMPLE = "write Mon-Fri 22:00-06:00, several parted by |"


def parse_hours(text: str) -> list[WeeklyHours]:
    """Raises ValueError with a line for people."""
    return [_one(part.strip()) for part in text.split("|")]


def _one(text: str) -> WeeklyHours:
    from proto.ring.v1.alert_pb2 import WeeklyHours

    found = _EVERY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} are no hours: {_EXAMPLE}")
    return WeeklyHours(
        weekdays=_days(found["days"]) if found["days"] else [],
        from_minute=_minute(found["start"], 23 * 60 + 59),
        to_minute=_minute(found["end"], 24 * 60),
    )


def _days(text: str) -> list[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        for name in (first, last) if dash else (first,):
            if name not in _NUMBERS:
                raise ValueError(f"{name!r} is no day of the week: {', '.join(_DAYS)}")
        start = _NUMBERS[first]
        length = (_NUMBERS[last or first] - start) % 7
        days |= {(start - 1 + step) % 7 + 1 for step in range(length + 1)}
    return sorted(days)


def _minute(text: str, most: int) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > most:
        raise ValueError(f"{text!r} is no time of day: {_EXAMPLE}")
    return hour * 60 + minute


def show_hours(hours: Iterable[WeeklyHours]) -> str:
    """As `parse_hours` takes them."""
    return " | ".join(
        " ".join(
            filter(
                None,
                (_show_days(list(h.weekdays)), f"{_clock(h.from_minute)}-{_clock(h.to_minute)}"),
            )
        )
        for h in hours
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _show_days(days: list[int]) -> str:
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        f"{_DAYS[run[0] - 1]}-{_DAYS[run[-1] - 1]}"
        if len(run) > 2
        else ",".join(_DAYS[d - 1] for d in run)
        for run in runs
    )
