"""When and where a hotlist entry is in force.

Always true here: it follows from the entry, the read's capture time and checkpoint, and the zone of
people's days; never from the clock.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from ring.values import micros

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVERY_DAY = range(1, 8)


def in_force(entry: HotlistEntry, at: int, checkpoint: str, zone: tzinfo) -> bool:
    """Whether it applies to a read captured there and then. at: microseconds since 1970, UTC."""
    if entry.HasField("valid_from") and at < micros(entry.valid_from):
        return False
    if entry.HasField("expires_at") and at >= micros(entry.expires_at):
        return False
    if entry.checkpoints and checkpoint not in entry.checkpoints:
        return False
    if not entry.hours:
        return True
    local = (_EPOCH + timedelta(microseconds=at)).astimezone(zone)
    minute = local.hour * 60 + local.minute
    return any(_within(hours, local.isoweekday(), minute) for hours in entry.hours)


def _within(hours: WeeklyHours, weekday: int, minute: int) -> bool:
    begins, ends = hours.from_minute, hours.to_minute
    days = hours.weekdays or _EVERY_DAY
    if begins < ends:
        return weekday in days and begins <= minute < ends
    # Past midnight: the evening of one of its days, or the morning after.
    day_before = (weekday - 2) % 7 + 1
    return (weekday in days and minute >= begins) or (day_before in days and minute < ends)
