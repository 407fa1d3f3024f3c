"""Matching kept reads with some entries, as the lists were at a position, and raising the alerts.

Always true here: it is the matcher of live matching that decides, on the lists as live matching had
them at that position; an alert is stored once, however often its read is looked at.
"""

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import tzinfo
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import EntriesStaged, StoredRead
from ring import metrics
from ring.alert import Alert
from ring.application import Ring
from ring.hotlist import Hotlist
from ring.hotlist_index import HotlistIndex
from ring.look_back import LookBack, Order
from ring.matching import alert_raised, fold_lists
from ring.policy import Policy
from ring.reads import ReadLog
from ring.store import EventLog, unseal
from ring.values import from_micros


def matched(
    log: EventLog,
    index: HotlistIndex,
    entry_ids: AbstractSet[str],
    positions: Sequence[int],
    at: float,
) -> tuple[int, list[Alert.Raised]]:
    """How many reads there are at these positions, and the alerts on them of some entries.

    at: when they are raised, seconds since 1970, UTC.
    """
    reads = 0
    alerts: list[Alert.Raised] = []
    for event in log.select_positions(positions):
        if event.topic == ReadLog.PlateRead.TOPIC:
            reads += 1
            stored = StoredRead.FromString(unseal(event.state))
            alerts += [
                alert_raised(event.id, stored, match, at)
                for match in index.match(stored)
                if match.entry.entry_id in entry_ids
            ]
    return reads, alerts


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
        reads, alerts = matched(self._log, self._index, entry_ids, positions, self._now())
        for alert in alerts:
            alert.body.look_back_id = str(order.look_back_id)
        return reads, self._raise({a.originator_id: a for a in alerts}) if alerts else 0

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
