"""From reads to alerts: follows the log and matches each read with the hotlists.

Always true here: a read at position p is matched with the lists as folded up to p, whenever and
however often it is matched; an alert has the identity of its read and entry, so it is raised once;
the matcher's place in the log is stored in the transaction of the alerts.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, tzinfo
from uuid import UUID

import structlog
from eventsourcing.persistence import PersistenceError, Tracking

from proto.ring.v1.events_pb2 import (
    AlertRaised,
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
    HotlistPolicyChanged,
    StoredRead,
)
from ring import metrics
from ring.alert import Alert, explanation
from ring.application import Ring
from ring.hotlist import Hotlist
from ring.hotlist_index import HotlistIndex, Match
from ring.reads import ReadLog, is_delayed, sighting
from ring.store import EventLog, unseal
from ring.values import alert_id, from_micros, read_id
from ring.wakeup import Wakeup

_log = structlog.get_logger(__name__)

_READ = ReadLog.PlateRead.TOPIC
_CREATED = Hotlist.Created.TOPIC
_ACTIVATED = Hotlist.Activated.TOPIC
_POLICY_CHANGED = Hotlist.PolicyChanged.TOPIC
LIST_TOPICS = [_CREATED, _ACTIVATED, _POLICY_CHANGED]
MATCHER = "matcher"
_PAGE = 5000
# How much matching without a hit may be done again after a stop.
_TRACK_EVERY = 20_000
_TRACK_SECONDS = 2.0


def fold_lists(log: EventLog, index: HotlistIndex, after: int, upto: int) -> None:
    """Brings an index that has the lists as of `after` to what they are as of `upto`."""
    while page := log.select_notifications(
        after, _PAGE, upto, LIST_TOPICS, inclusive_of_start=False
    ):
        for notification in page:
            fold_list(log, index, notification.topic, notification.state)
        after = page[-1].id


def fold_list(log: EventLog, index: HotlistIndex, topic: str, state: bytes) -> None:
    """Folds one event of a list, which has one of LIST_TOPICS, into an index."""
    if topic == _CREATED:
        index.create(HotlistCreated.FromString(unseal(state)))
        return
    if topic == _POLICY_CHANGED:
        index.change_policy(HotlistPolicyChanged.FromString(unseal(state)))
        return
    activated = EntriesActivated.FromString(unseal(state))
    staged = [
        EntriesStaged.FromString(unseal(event.state))
        for event in log.select_events(UUID(activated.import_id), lte=activated.chunks)
    ]
    index.activate(activated, staged)


def alert_raised(position: int, stored: StoredRead, match: Match, at: float) -> Alert.Raised:
    """The alert of the read at `position` and what it hit. `at`: now, seconds since 1970, UTC."""
    read = str(read_id(stored.reader_id, stored.epoch, stored.read.sequence))
    id_ = alert_id(read, match.entry.entry_id)
    body = AlertRaised(
        at=from_micros(int(at * 1_000_000)),
        alert_id=str(id_),
        agency=match.hotlist.agency,
        hotlist=match.hotlist.name,
        hotlist_version=match.version,
        entry=match.entry,
        sighting=sighting(stored),
        read_position=position,
        match_probability=match.probability,
        match_path=explanation(stored.read.plate, match.plate),
        delayed=is_delayed(stored),
    )
    return Alert.Raised(id_, 1, body)


class Matcher:
    """The thread that raises alerts. `on_alerts` is called after each that were stored.

    zone: of the hours of watch orders.
    """

    def __init__(
        self,
        ring: Ring,
        wakeup: Wakeup,
        on_alerts: Callable[[], None],
        zone: tzinfo = UTC,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ring = ring
        self._log = ring.event_log
        self._wakeup = wakeup
        self._on_alerts = on_alerts
        self._now = now
        self._zone = zone
        self._index = HotlistIndex(zone)
        self._stopping = threading.Event()
        self._stepping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="matcher", daemon=True)
        self._tracked = self._log.max_tracking_id(MATCHER) or 0
        self._tracked_at = time.monotonic()
        self._in_doubt = False
        self.position = self._tracked
        self.trouble = ""

    def start(self) -> None:
        """Folds the lists up to where it stopped, then follows in a thread of its own."""
        fold_lists(self._log, self._index, 0, self.position)
        self._thread.start()

    def stop(self) -> None:
        """Stores its place and ends the thread."""
        self._stopping.set()
        self._wakeup.notify()
        self._thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is matched meanwhile; afterwards it starts again from the place in the log."""
        with self._stepping:
            yield
            self._index = HotlistIndex(self._zone)
            self.position = self._tracked = self._log.max_tracking_id(MATCHER) or 0
            fold_lists(self._log, self._index, 0, self.position)
        self._wakeup.notify()

    def _run(self) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            seen = self._wakeup.count
            try:
                with self._stepping:
                    went = self._step()
            except Exception as error:
                trouble = f"stands at {self.position} and tries again: {error}"
                if trouble != self.trouble:
                    _log.error("matching tries again", exc_info=error)
                self.trouble = trouble
                self._in_doubt = True
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
                continue
            pause, self.trouble = 0.1, ""
            if not went:
                self._wakeup.wait(seen, 1.0)
        try:
            self._track()
        except PersistenceError as error:
            _log.warning("the matcher's place was not stored", error=str(error))

    def _step(self) -> bool:
        """Matches one page of the log; False at its end."""
        if self._in_doubt:
            # What failed may have been stored all the same, its place in the log with it: the same
            # place is not stored twice.
            self._tracked = self._log.max_tracking_id(MATCHER) or 0
            self._in_doubt = False
        page = self._log.select_states(self.position, _PAGE)
        if not page:
            if time.monotonic() - self._tracked_at > _TRACK_SECONDS:
                self._track()
            return False
        alerts: list[Alert.Raised] = []
        for number, (position, topic, state) in enumerate(page):
            if topic == _READ:
                stored = StoredRead.FromString(unseal(state))
                alerts += [
                    alert_raised(position, stored, match, self._now())
                    for match in self._index.match(stored)
                ]
            elif topic in LIST_TOPICS:
                # A change of the lists is a step of its own, so that a step which has to be done
                # again never folds it twice.
                if number:
                    self._settle(alerts, page[number - 1][0])
                else:
                    fold_list(self._log, self._index, topic, state)
                    self.position = position
                return True
        self._settle(alerts, page[-1][0])
        return True

    def _settle(self, alerts: list[Alert.Raised], position: int) -> None:
        """Stores the alerts that are new, with the place in the log, and moves on."""
        if alerts:
            known = self._log.select_known([alert.originator_id for alert in alerts])
            new = {a.originator_id: a for a in alerts if a.originator_id not in known}
            events = [self._ring.mapper.to_stored_event(alert) for alert in new.values()]
            tracking = Tracking(MATCHER, position) if position > self._tracked else None
            self._log.insert_events(events, tracking=tracking)
            for alert in new.values():
                metrics.ALERTS.labels("yes" if alert.body.delayed else "no").inc()
            self._tracked, self._tracked_at = position, time.monotonic()
        self.position = position
        if alerts:
            self._on_alerts()
        elif position - self._tracked >= _TRACK_EVERY:
            self._track()

    def _track(self) -> None:
        if self.position > self._tracked:
            self._log.insert_tracking(Tracking(MATCHER, self.position))
            self._tracked = self.position
        self._tracked_at = time.monotonic()
