"""Looking back: the reads that were kept before entries went live, matched with them.

Always true here: what made entries live at a position q says itself whether there is a looking
back, so that none is forgotten; it matches reads before q, as live matching does those after q,
with the lists as folded up to q, and raises alerts for the entries of that change alone. So no read
falls between the two, and none is alerted twice. It goes on after a stop where its last event left
it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import (
    EntriesActivated,
    EntriesStaged,
    LookBackAdvanced,
    LookBackStarted,
    StoredRead,
)
from proto.ring.v1.look_back_pb2 import LookBack as Asked
from ring import metrics
from ring.alert import Alert
from ring.application import Ring
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.hotlist import Hotlist
from ring.hotlist_index import HotlistIndex
from ring.likelihood import most_changes
from ring.matching import alert_raised, fold_lists
from ring.policy import Policy
from ring.reads import ReadLog
from ring.store import unseal
from ring.values import from_micros, look_back_id, micros

_MOST_SECONDS = 100 * 366 * 86_400
_PAGE = 500


class LookBack(EventSourced):
    """The looking back of one import: started, advanced by some chunks, ended."""

    class Started(Event[LookBackStarted]):
        """The read side has come up to the change."""

        TOPIC = "ring.look_back.started"
        BODY = LookBackStarted

    class Advanced(Event[LookBackAdvanced]):
        """The first chunks of the import are done."""

        TOPIC = "ring.look_back.advanced"
        BODY = LookBackAdvanced

    class Ended(Event[LookBackAdvanced]):
        """All of them are."""

        TOPIC = "ring.look_back.ended"
        BODY = LookBackAdvanced

    started: LookBackStarted
    done = LookBackAdvanced()
    ended = False

    def start(self, order: "Order", at: Timestamp) -> None:
        """It begins."""
        activated = order.activated
        self.trigger(
            self.Started,
            LookBackStarted(
                at=at,
                look_back_id=str(self.id),
                import_id=activated.import_id,
                agency=activated.agency,
                hotlist=activated.name,
                hotlist_version=activated.version,
                position=order.position,
                received_from=order.received_from(),
                purpose=activated.look_back.purpose,
                entries=activated.added,
            ),
        )

    def advance(self, chunks: int, reads: int, alerts: int, *, last: bool, at: Timestamp) -> None:
        """So many chunks are done; with these reads and alerts more than before."""
        body = LookBackAdvanced(
            at=at,
            look_back_id=str(self.id),
            chunks=chunks,
            reads=self.done.reads + reads,
            alerts=self.done.alerts + alerts,
        )
        self.trigger(self.Ended if last else self.Advanced, body)

    def when(self, event: Event[Any]) -> None:
        """Folds one event in."""
        match event:
            case LookBack.Started():
                self.started = event.body
            case LookBack.Advanced():
                self.done = event.body
            case LookBack.Ended():
                self.done, self.ended = event.body, True


class Order(NamedTuple):
    """A change of a list that is to be looked back for, and where it is in the log."""

    position: int
    list_id: UUID
    list_version: int
    activated: EntriesActivated

    @property
    def look_back_id(self) -> UUID:
        """Of its looking back."""
        return look_back_id(self.activated.import_id)

    def received_from(self) -> Timestamp:
        """Reads received before that are not looked at."""
        period = self.activated.look_back.period
        length = period.seconds * 1_000_000 + period.nanos // 1000
        return from_micros(max(0, micros(self.activated.at) - length))


def asked_look_back(asked: Asked | None, default: int) -> Asked | None:
    """What an import asks for, None where it is nothing; InvalidRequest where it can't be.

    default: the server's own period, microseconds.
    """
    result = Asked()
    if asked is not None:
        result.CopyFrom(asked)
        result.DiscardUnknownFields()
    if not result.HasField("period"):
        result.period.CopyFrom(Duration(seconds=default // 1_000_000))
        result.period.nanos = default % 1_000_000 * 1000
    period = result.period
    if not (0 <= period.seconds <= _MOST_SECONDS and 0 <= period.nanos < 1_000_000_000):
        raise InvalidRequest("the period to look back over is not between 0 and 100 years")
    given = [bool(result.purpose.case_number.strip()), bool(result.purpose.reason.strip())]
    if any(given) and not all(given):
        raise InvalidRequest(
            "looking back has a purpose of its own or none: give both the case number and the "
            "reason (the ring command: --case and --reason), or neither"
        )
    return result if period.seconds or period.nanos else None


def orders(ring: Ring, after: int) -> Iterator[Order]:
    """The changes after a position that are looked back for, in order."""
    while page := ring.event_log.select_notifications(
        after, _PAGE, None, [Hotlist.Activated.TOPIC], inclusive_of_start=False
    ):
        for notification in page:
            activated = EntriesActivated.FromString(unseal(notification.state))
            if activated.HasField("look_back"):
                id_: Any = notification.originator_id
                yield Order(notification.id, id_, notification.originator_version, activated)
        after = page[-1].id


def reach(policy: Policy) -> tuple[int, float]:
    """What a list can match: changed characters at most, and how sure a read of several may be.

    A match in several characters has several plates that are each likelier than the threshold, so
    the read can't have been surer than what that leaves, unless its posterior contradicts it.
    """
    least = min(policy.threshold, *policy.priority_thresholds.values(), 1.0)
    return most_changes(least), 1.0 - least


class Looker:
    """Matches chunk by chunk. Used by one thread at a time.

    `on_alerts` is called after each group that was stored; `now`: seconds since 1970, UTC; zone: of
    the hours of watch orders.
    """

    def __init__(
        self,
        ring: Ring,
        on_alerts: Callable[[], None],
        zone: tzinfo,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ring = ring
        self._log = ring.event_log
        self._on_alerts = on_alerts
        self._now = now
        self._zone = zone
        self._index = HotlistIndex(zone)
        self._folded = 0

    def has_ended(self, order: Order) -> bool:
        """There is nothing left to do."""
        found = self._ring.get(LookBack, order.look_back_id)
        return found is not None and found.ended

    def begin(self, order: Order) -> LookBack:
        """The looking back, which is started where it was not."""
        found = self._ring.get(LookBack, order.look_back_id)
        if found is None:
            found = LookBack(order.look_back_id)
            found.start(order, self._at())
            self._ring.store(found)
        return found

    def policy(self, order: Order) -> Policy:
        """The list's, as of the change."""
        hotlist = self._ring.get(Hotlist, order.list_id, order.list_version)
        assert hotlist is not None
        return hotlist.policy

    def entries(self, order: Order, chunk: int) -> Sequence[HotlistEntry]:
        """What a chunk of the import added; chunks count from 1."""
        id_ = UUID(order.activated.import_id)
        (event,) = self._log.select_events(id_, gt=chunk - 1, lte=chunk)
        return EntriesStaged.FromString(unseal(event.state)).added

    def look(
        self, order: Order, entry_ids: AbstractSet[str], positions: Sequence[int]
    ) -> tuple[int, int]:
        """Matches the reads at these positions: how many they were, and alerts of ours on them."""
        self._fold(order.position)
        alerts: dict[UUID, Alert.Raised] = {}
        reads = 0
        for event in self._log.select_positions(positions):
            if event.topic != ReadLog.PlateRead.TOPIC:
                continue
            reads += 1
            stored = StoredRead.FromString(unseal(event.state))
            for match in self._index.match(stored):
                if match.entry.entry_id in entry_ids:
                    alert = alert_raised(event.id, stored, match, self._now())
                    alert.body.look_back_id = str(order.look_back_id)
                    alerts[alert.originator_id] = alert
        return reads, self._raise(alerts) if alerts else 0

    def _raise(self, alerts: dict[UUID, Alert.Raised]) -> int:
        known = self._log.select_known(list(alerts))
        new = [alert for id_, alert in alerts.items() if id_ not in known]
        if new:
            self._log.insert_events([self._ring.mapper.to_stored_event(alert) for alert in new])
            for alert in new:
                metrics.ALERTS.labels("yes" if alert.body.delayed else "no").inc()
            self._on_alerts()
        # Those that are known were raised before a stop: by us, for no other does.
        return len(alerts)

    def advance(self, look_back: LookBack, order: Order, reads: int, alerts: int) -> None:
        """One chunk more is done."""
        chunks = look_back.done.chunks + 1
        last = chunks >= order.activated.chunks
        look_back.advance(chunks, reads, alerts, last=last, at=self._at())
        self._ring.store(look_back)

    def forget(self) -> None:
        """Gives the lists' memory back; what comes next folds them anew."""
        self._index, self._folded = HotlistIndex(self._zone), 0

    def _fold(self, position: int) -> None:
        if position < self._folded:
            self.forget()
        if position > self._folded:
            fold_lists(self._log, self._index, self._folded, position)
            self._folded = position

    def _at(self) -> Timestamp:
        return from_micros(int(self._now() * 1_000_000))
