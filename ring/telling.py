"""Alerts and what became of them, as they are told: read from the log, in order of position.

Always true here: a stretch leaves nothing out, and the same stretch is always told the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventsourcing.persistence import Notification

from proto.ring.v1 import alert_pb2 as pb
from proto.ring.v1.common_pb2 import LogPosition
from ring.alert import Alert
from ring.application import Ring
from ring.errors import BeyondLog, InvalidRequest, StateForbids
from ring.zones import Zones

RAISED = [Alert.Raised.TOPIC]
WITH_UPDATES = [Alert.Raised.TOPIC, Alert.Acknowledged.TOPIC, Alert.Resolved.TOPIC]
_PAGE = 200


class Told(NamedTuple):
    """One message: an alert as it is after the event at `position`."""

    position: int
    update: bool
    message: pb.SubscribeResponse


class Stretch(NamedTuple):
    """Everything there is up to a position."""

    told: list[Told]
    upto: int


def start_position(ring: Ring, after: Sequence[LogPosition], *, from_beginning: bool) -> int:
    """After which position somebody is told; without any it is from now on.

    StateForbids on a position of another log, BeyondLog on one that the log has not reached.
    """
    head, log_id = ring.event_log.head(), ring.event_log.log_id
    if from_beginning:
        if after:
            raise InvalidRequest("from_beginning and after exclude each other")
        return 0
    if not after:
        return head
    ours = [place.position for place in after if place.log_id == log_id]
    if not ours:
        raise StateForbids(
            f"the position is of another log, this one is {log_id}: the ring was restored or "
            "is another one; subscribe with from_beginning and drop the alerts you know"
        )
    if ours[0] > head:
        raise BeyondLog(f"the log has not reached position {ours[0]}: it ends at {head}")
    return ours[0]


class Teller:
    """Reads stretches of one ring's log. For any number of threads."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._zones = Zones(ring)

    def stretch(self, after: int, topics: list[str], limit: int = _PAGE) -> Stretch:
        """What comes after a position, at most `limit` messages."""
        log = self._ring.event_log
        # Looked at before the page, so that the page holds all up to it.
        head = log.head()
        page = log.select_notifications(after, limit, None, topics, inclusive_of_start=False)
        if page:
            self._zones.catch_up()
        told = [self._told(notification) for notification in page]
        last = page[-1].id if page else after
        return Stretch(told, last if len(page) == limit else max(last, head))

    def message(self, alert: Alert, position: int) -> pb.Alert:
        """An alert as the world sees it, after the event at `position`."""
        message = alert.message(self._ring.position(position))
        message.zone = self._zones.zone(message.sighting.checkpoint, message.raised_at)
        return message

    def changed(self, alert: Alert, position: int) -> pb.Alert:
        """As `message`, for an alert that was just changed."""
        self._zones.catch_up()
        return self.message(alert, position)

    def _told(self, notification: Notification) -> Told:
        id_: Any = notification.originator_id
        raised = notification.topic == Alert.Raised.TOPIC
        if raised:
            alert: Alert | None = Alert(id_)
            assert alert is not None
            event: Any = self._ring.mapper.to_domain_event(notification)
            alert.apply(event)
        else:
            alert = self._ring.get(Alert, id_, notification.originator_version)
            assert alert is not None
        message = self.message(alert, notification.id)
        return Told(notification.id, not raised, pb.SubscribeResponse(alert=message))
