"""One entry of a hotlist as it may be: a plate or a pattern, when it holds, where and when.

Always true of a checked entry: there is one way to write it, so that what means the same is the
same; it has no id yet.
"""

import re

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from ring.errors import InvalidRequest
from ring.values import MOST_TEXT_BYTES, code_of, normalise_plate, plate_of

_WILD = re.compile(r"[?*]")
_PATTERN = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9?*]+")
_LONGEST = 12
_TEXTS = ("reason", "priority", "reference", "region")
_EVERY_DAY = range(1, 8)
_DAY = 24 * 60


def is_pattern(plate: str) -> bool:
    """Whether an entry's plate stands for many."""
    return _WILD.search(plate) is not None


def entry_plate_of(text: str) -> str:
    """A normalised plate, or a pattern ('?' any one character, '*' any run), or InvalidRequest."""
    if not is_pattern(text):
        return plate_of(text)
    pattern = re.sub(r"\*+", "*", normalise_plate(text))
    if not _PATTERN.fullmatch(pattern) or len(pattern.replace("*", "")) > _LONGEST:
        raise InvalidRequest(
            f"{text!r} is not a pattern: letters A-Z and digits, of which it needs one, ? for any "
            f"one character and * for any run of them, at most {_LONGEST} without the *"
        )
    return pattern


def checked_entry(entry: HotlistEntry) -> HotlistEntry:
    """The entry in its one form. InvalidRequest where it can't be one."""
    checked = HotlistEntry()
    checked.CopyFrom(entry)
    checked.DiscardUnknownFields()
    checked.ClearField("entry_id")
    checked.plate = entry_plate_of(entry.plate)
    for name in _TEXTS:
        text: str = getattr(entry, name)
        if "\0" in text:
            raise InvalidRequest(f"the {name} has a NUL character in it")
        bare = text.strip()
        if bare != text:
            setattr(checked, name, bare)
    if checked.HasField("valid_from"):
        _check_time(checked.valid_from, "valid_from")
    if checked.HasField("expires_at"):
        _check_time(checked.expires_at, "expires_at")
    if checked.HasField("valid_from") and checked.HasField("expires_at"):
        begin, end = checked.valid_from, checked.expires_at
        if (begin.seconds, begin.nanos) >= (end.seconds, end.nanos):
            raise InvalidRequest("it expires before it is valid")
    if entry.checkpoints:
        codes = sorted({code_of(code, "checkpoint's code") for code in entry.checkpoints})
        checked.checkpoints[:] = codes
    if entry.hours:
        unique = {
            (tuple(h.weekdays), h.from_minute, h.to_minute) for h in map(_checked, entry.hours)
        }
        del checked.hours[:]
        for weekdays, start, end_minute in sorted(unique):
            checked.hours.add(weekdays=weekdays, from_minute=start, to_minute=end_minute)
    # It is told with each of its alerts.
    if checked.ByteSize() > MOST_TEXT_BYTES:
        raise InvalidRequest(f"it is longer than {MOST_TEXT_BYTES // 1024} KiB: shorten its texts")
    return checked


def _check_time(at: Timestamp, name: str) -> None:
    if not (-62_135_596_800 <= at.seconds <= 253_402_300_799 and 0 <= at.nanos < 1_000_000_000):
        raise InvalidRequest(f"{name} is not a time")
    # What is compared with it is in microseconds.
    at.nanos -= at.nanos % 1000


def _checked(hours: WeeklyHours) -> WeeklyHours:
    days = set(hours.weekdays)
    if not days <= set(_EVERY_DAY):
        raise InvalidRequest("a weekday of its hours is none: 1 for Monday to 7 for Sunday")
    if hours.from_minute >= _DAY or hours.to_minute > _DAY:
        raise InvalidRequest("a minute of its hours is none of a day's: 0 to 1440")
    every = len(days) == len(_EVERY_DAY)
    return WeeklyHours(
        weekdays=[] if every else sorted(days),
        from_minute=hours.from_minute,
        to_minute=hours.to_minute,
    )
