"""The end of the alerts: read from the log once, for all subscribers who have come that far.

Always true here: what is handed out comes from the log, in order of position, with nothing left
out; who can't take it in time loses his seat, not alerts: he reads on from the log by himself.
"""

import asyncio
import threading
from typing import Any, NamedTuple

import structlog
from eventsourcing.persistence import Notification

from proto.ring.v1 import alert_pb2 as pb
from ring.alert import Alert
from ring.application import Ring
from ring.wakeup import Wakeup

_log = structlog.get_logger(__name__)

RAISED = [Alert.Raised.TOPIC]
WITH_UPDATES = [Alert.Raised.TOPIC, Alert.Acknowledged.TOPIC, Alert.Resolved.TOPIC]
_PAGE = 200
# Alerts that a seat holds at the most: bounds what a slow subscriber costs.
_MOST_WAITING = 1000
_IDLE_SECONDS = 1.0


class Told(NamedTuple):
    """One message for subscribers."""

    position: int
    update: bool
    message: pb.SubscribeResponse


class Stretch(NamedTuple):
    """Everything there is up to a position."""

    told: list[Told]
    upto: int


def stretch(ring: Ring, after: int, topics: list[str]) -> Stretch:
    """What comes after a position; reads the log."""
    log = ring.event_log
    # Looked at before the page, so that the page holds all up to it.
    head = log.head()
    page = log.select_notifications(after, _PAGE, None, topics, inclusive_of_start=False)
    told = [_told(ring, notification) for notification in page]
    last = page[-1].id if page else after
    return Stretch(told, last if len(page) == _PAGE else max(last, head))


def _told(ring: Ring, notification: Notification) -> Told:
    id_: Any = notification.originator_id
    raised = notification.topic == Alert.Raised.TOPIC
    if raised:
        alert: Alert | None = Alert(id_)
        assert alert is not None
        event: Any = ring.mapper.to_domain_event(notification)
        alert.apply(event)
    else:
        alert = ring.get(Alert, id_, notification.originator_version)
        assert alert is not None
    message = alert.message(ring.position(notification.id))
    return Told(notification.id, not raised, pb.SubscribeResponse(alert=message))


class Seat:
    """One subscriber's place. Used in the event loop's thread."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.taken = False
        self._waiting: list[Told] = []

    def give(self, told: list[Told]) -> None:
        """Something new."""
        if not self.taken or not told:
            return
        if len(self._waiting) + len(told) > _MOST_WAITING:
            self.leave()
        else:
            self._waiting += told
        self.changed.set()

    def leave(self) -> None:
        """Holds nothing any more, and is given nothing."""
        self.taken = False
        self._waiting = []

    def take(self) -> list[Told]:
        """What was given since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting


class Tail:
    """The thread that reads, and the seats. `wakeup` is notified when there may be something."""

    def __init__(self, ring: Ring, wakeup: Wakeup) -> None:
        self._ring = ring
        self._wakeup = wakeup
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._seats: set[Seat] = set()
        # Everything up to here was handed out.
        self.position = ring.event_log.head()
        self._thread.start()

    def __len__(self) -> int:
        return len(self._seats)

    def add(self, seat: Seat) -> None:
        """A subscriber is there."""
        self._seats.add(seat)

    def discard(self, seat: Seat) -> None:
        """A subscriber is gone."""
        self._seats.discard(seat)

    def join(self, seat: Seat, position: int) -> bool:
        """From now on the seat is given what comes; False where `position` is too far back."""
        seat.taken = position >= self.position
        return seat.taken

    def ring_all(self) -> None:
        """Every subscriber looks up."""
        for seat in self._seats:
            seat.changed.set()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._wakeup.notify()

    def _run(self) -> None:
        position = self.position
        while not self._stopping.is_set():
            seen = self._wakeup.count
            try:
                found = stretch(self._ring, position, WITH_UPDATES)
                if found.upto > position:
                    self._loop.call_soon_threadsafe(self._hand_out, found)
                    position = found.upto
            except Exception as error:
                if not self._stopping.is_set():
                    _log.warning("reading alerts tries again", error=str(error))
                self._stopping.wait(_IDLE_SECONDS)
                continue
            if not found.told:
                self._wakeup.wait(seen, _IDLE_SECONDS)

    def _hand_out(self, found: Stretch) -> None:
        self.position = found.upto
        for seat in self._seats:
            seat.give(found.told)
