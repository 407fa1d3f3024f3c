"""An alert: one read matched one hotlist entry.

Always true here: its identity follows from the read and the entry, so however often they are
matched, there is one.
"""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1 import alert_pb2
from proto.ring.v1.common_pb2 import LogPosition
from proto.ring.v1.events_pb2 import AlertAcknowledged, AlertRaised, AlertResolved
from ring.confusion import measured
from ring.errors import InvalidRequest, NotFound, StateForbids
from ring.events import Event, EventSourced
from ring.values import check_text

DISPOSITIONS = ("confirmed", "misread", "not of interest", "no action")


def no_alert(alert_id: str) -> NotFound:
    """There is none, or none that the caller may know of."""
    return NotFound(f"there is no alert {alert_id}")


class Alert(EventSourced):
    """Raised, acknowledged, resolved with a disposition."""

    class Raised(Event[AlertRaised]):
        """A read matched an entry."""

        TOPIC = "ring.alert.raised"
        BODY = AlertRaised

    class Acknowledged(Event[AlertAcknowledged]):
        """Somebody has seen it."""

        TOPIC = "ring.alert.acknowledged"
        BODY = AlertAcknowledged

    class Resolved(Event[AlertResolved]):
        """How it ended."""

        TOPIC = "ring.alert.resolved"
        BODY = AlertResolved

    raised: AlertRaised
    state = alert_pb2.ALERT_STATE_UNSPECIFIED
    disposition = ""
    changes: tuple[alert_pb2.AlertChange, ...] = ()

    def acknowledge(self, by: str, note: str, at: Timestamp) -> bool:
        """Somebody has seen it; False where that is known. StateForbids once it is resolved."""
        check_text(note, "note")
        if self.state == alert_pb2.ALERT_STATE_ACKNOWLEDGED:
            return False
        if self.state == alert_pb2.ALERT_STATE_RESOLVED:
            raise StateForbids(f"the alert is resolved already, as {self.disposition!r}")
        body = AlertAcknowledged(at=at, alert_id=str(self.id), by=by, note=note)
        self.trigger(self.Acknowledged, body)
        return True

    def resolve(self, disposition: str, by: str, note: str, at: Timestamp) -> bool:
        """How it ended; False where that is known. StateForbids where it ended otherwise."""
        check_text(note, "note")
        if disposition not in DISPOSITIONS:
            raise InvalidRequest(
                f"{disposition!r} is not a disposition: use one of {', '.join(DISPOSITIONS)}"
            )
        if self.state == alert_pb2.ALERT_STATE_RESOLVED:
            if self.disposition == disposition:
                return False
            raise StateForbids(f"the alert is resolved already, as {self.disposition!r}")
        body = AlertResolved(
            at=at, alert_id=str(self.id), by=by, disposition=disposition, note=note
        )
        self.trigger(self.Resolved, body)
        return True

    def when(self, event: Event[Any]) -> None:
        """Folds one event in."""
        match event:
            case Alert.Raised():
                self.raised = event.body
                self.state = alert_pb2.ALERT_STATE_RAISED
            case Alert.Acknowledged():
                self._change(alert_pb2.ALERT_STATE_ACKNOWLEDGED, event.body)
            case Alert.Resolved():
                self.disposition = event.body.disposition
                self._change(alert_pb2.ALERT_STATE_RESOLVED, event.body)

    def _change(
        self, state: alert_pb2.AlertState.ValueType, body: AlertAcknowledged | AlertResolved
    ) -> None:
        self.state = state
        change = alert_pb2.AlertChange(
            state=state, at=body.at, by=body.by, disposition=self.disposition, note=body.note
        )
        self.changes = (*self.changes, change)

    def message(self, position: LogPosition) -> alert_pb2.Alert:
        """It as the world sees it, after the event at `position`."""
        raised = self.raised
        return alert_pb2.Alert(
            alert_id=raised.alert_id,
            position=position,
            hotlist=raised.hotlist,
            agency=raised.agency,
            entry=raised.entry,
            sighting=raised.sighting,
            match_probability=raised.match_probability,
            match_path=raised.match_path,
            state=self.state,
            raised_at=raised.at,
            delayed=raised.delayed,
            disposition=self.disposition,
            look_back_id=raised.look_back_id,
            changes=self.changes,
        )


def explanation(read: str, plate: str) -> list[str]:
    """How the plate read becomes another, change by change; empty where it is the same."""
    if read == plate:
        return []
    return [_told(place, was, is_) for place, was, is_ in measured().changes(plate, read)]


def _told(place: int, was: str, is_: str) -> str:
    if not is_:
        return f"{was} too many at {place}"
    if was:
        return f"{was}→{is_} at {place}"
    return f"{is_} missing after {place}" if place else f"{is_} missing at the beginning"
