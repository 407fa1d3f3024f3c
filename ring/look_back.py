"""Looking back: the reads that were kept before entries went live, matched with them.

Always true here: what made entries live at a position q says itself whether there is a looking
back, so that none is forgotten; it matches reads before q, as live matching does those after q,
with the lists as folded up to q, and raises alerts for the entries of that change alone. So no read
falls between the two, and none is alerted twice. It goes on after a stop where its last event left
it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import (
    EntriesActivated,
    LookBackAdvanced,
    LookBackStarted,
)
from proto.ring.v1.look_back_pb2 import (
    LOOK_BACK_STATE_ENDED,
    LOOK_BACK_STATE_STARTED,
    LOOK_BACK_STATE_WAITING,
    LookBackStatus,
)
from proto.ring.v1.look_back_pb2 import LookBack as Asked
from ring.application import Ring
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.hotlist import Hotlist
from ring.store import unseal
from ring.values import check_text, from_micros, look_back_id, micros

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
    check_text(result.purpose.case_number, "case number")
    check_text(result.purpose.reason, "reason")
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


def status_of(ring: Ring, order: Order) -> LookBackStatus:
    """How far a looking back has come."""
    activated = order.activated
    status = LookBackStatus(
        look_back_id=str(order.look_back_id),
        agency=activated.agency,
        hotlist=activated.name,
        hotlist_version=activated.version,
        position=ring.position(order.position),
        activated_at=activated.at,
        look_back=activated.look_back,
        state=LOOK_BACK_STATE_WAITING,
        entries=activated.added,
        by=activated.by,
    )
    found = ring.get(LookBack, order.look_back_id)
    if found is not None:
        status.state = LOOK_BACK_STATE_STARTED
        status.started_at.CopyFrom(found.started.at)
        status.reads, status.alerts = found.done.reads, found.done.alerts
        if found.ended:
            status.state = LOOK_BACK_STATE_ENDED
            status.ended_at.CopyFrom(found.done.at)
    return status
