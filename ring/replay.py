"""What a list would have raised, found by matching the log's reads anew, and what it did raise.

Always true here: nothing is stored; the lists are those of one position, whenever a read came; two
alerts are the same where their read and their entry are, so both sides name them alike; neither
side has more alerts than there is room for beside everything else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.events_pb2 import (
    AlertRaised,
    EntriesActivated,
    EntriesStaged,
    HotlistPolicyChanged,
    StoredRead,
)
from proto.ring.v1.hotlist_pb2 import HotlistPolicy
from ring.alert import Alert
from ring.errors import InvalidRequest
from ring.hotlist import Hotlist
from ring.hotlist_index import HotlistIndex
from ring.look_back import Order
from ring.matching import LIST_TOPICS, alert_raised, fold_list
from ring.reads import ReadLog, seen_at
from ring.store import EventLog, unseal
from ring.values import micros

_PAGE = 5000
_NEVER = 2**63 - 1
# Both sides are held to be compared, 1.3 kB an alert, in the process that takes the reads.
MOST_ALERTS = 300_000
# Those of LIST_TOPICS: each says when it happened.
_BODIES: dict[str, Any] = {
    event.TOPIC: event.BODY for event in (Hotlist.Created, Hotlist.Activated, Hotlist.PolicyChanged)
}


class Period(NamedTuple):
    """Reads captured from `start` on and before `end`, microseconds since 1970."""

    start: int = -_NEVER
    end: int = _NEVER

    def has(self, at: Timestamp) -> bool:
        """It lies in the period."""
        return self.start <= micros(at) < self.end


@dataclass(frozen=True)
class Question:
    """Which list, as it was at which position of the log, under which policy (None: its own)."""

    hotlist: Hotlist
    as_of: int
    period: Period
    policy: HotlistPolicy | None = None

    def is_ours(self, agency: str, name: str) -> bool:
        """That is the list."""
        created = self.hotlist.created
        return (agency, name) == (created.agency, created.name)


class Step(NamedTuple):
    """A page of the log is done: up to here, so many reads, and what they would have raised."""

    position: int
    reads: int
    alerts: list[AlertRaised]


def position_at(log: EventLog, at: Timestamp | None) -> int:
    """The head of the log, or the last change of a list up to a time."""
    if at is None:
        return log.head()
    position = after = 0
    while page := log.select_notifications(
        after, _PAGE, None, LIST_TOPICS, inclusive_of_start=False
    ):
        for event in page:
            body: Any = _BODIES[event.topic].FromString(unseal(event.state))
            if micros(body.at) > micros(at):
                return position
            position = event.id
        after = page[-1].id
    return position


def index_as_of(log: EventLog, question: Question, zone: tzinfo) -> HotlistIndex:
    """The lists as of the question's position, the list asked for under its policy.

    Before it was created nothing was on it, which no policy changes.
    """
    index = HotlistIndex(zone)
    after = 0
    while page := log.select_notifications(
        after, _PAGE, question.as_of, LIST_TOPICS, inclusive_of_start=False
    ):
        for event in page:
            fold_list(log, index, event.topic, event.state)
        after = page[-1].id
    created = question.hotlist.created
    if question.policy is not None and index.has_list(created.agency, created.name):
        index.change_policy(
            HotlistPolicyChanged(
                agency=created.agency,
                name=created.name,
                policy=question.policy,
                version=question.hotlist.changes,
            )
        )
    return index


def replay(
    log: EventLog, index: HotlistIndex, question: Question, upto: int, at: float
) -> Iterator[Step]:
    """Matches every read of the log up to a position that was captured in the period.

    at: when they are raised, seconds since 1970, UTC. InvalidRequest beyond MOST_ALERTS.
    """
    position = total = 0
    while page := log.select_states(position, _PAGE, upto):
        reads = 0
        alerts: list[AlertRaised] = []
        for read_position, topic, state in page:
            if topic != ReadLog.PlateRead.TOPIC:
                continue
            stored = StoredRead.FromString(unseal(state))
            if not question.period.has(seen_at(stored)):
                continue
            reads += 1
            alerts += [
                alert_raised(read_position, stored, match, at).body
                for match in index.match(stored)
                if question.is_ours(match.hotlist.agency, match.hotlist.name)
            ]
        position = page[-1][0]
        total += len(alerts)
        _check_count(total)
        yield Step(position, reads, alerts)


def _check_count(alerts: int) -> None:
    if alerts > MOST_ALERTS:
        raise InvalidRequest(
            f"it comes to more than {MOST_ALERTS:,} alerts: replay a shorter period (the ring "
            "command: --from and --to)"
        )


def raised(log: EventLog, question: Question, upto: int) -> Iterator[AlertRaised]:
    """What the list raised on reads of the period, up to a position of the reads.

    InvalidRequest beyond MOST_ALERTS.
    """
    after = total = 0
    while page := log.select_notifications(
        after, _PAGE, None, [Alert.Raised.TOPIC], inclusive_of_start=False
    ):
        for event in page:
            body = AlertRaised.FromString(unseal(event.state))
            if (
                question.is_ours(body.agency, body.hotlist)
                and question.period.has(body.sighting.captured_at)
                and body.read_position <= upto
            ):
                total += 1
                _check_count(total)
                yield body
        after = page[-1].id


class Difference(NamedTuple):
    """An alert that one side alone has. was_raised: the log has it, the replay has not."""

    alert: AlertRaised
    was_raised: bool
    reason: str


@dataclass
class Comparison:
    """Two sets of alerts."""

    equal: int = 0
    only_raised: list[AlertRaised] = field(default_factory=list)
    only_replayed: list[AlertRaised] = field(default_factory=list)


def compare(was: Iterable[AlertRaised], would: Iterable[AlertRaised]) -> Comparison:
    """By their ids; each side in its own order."""
    raised_ids = {alert.alert_id: alert for alert in was}
    result = Comparison()
    for alert in would:
        if raised_ids.pop(alert.alert_id, None) is None:
            result.only_replayed.append(alert)
        else:
            result.equal += 1
    result.only_raised += raised_ids.values()
    return result


@dataclass
class _Life:
    """Where an entry went live and where it ended; the change that did."""

    order: Order
    ends: int = _NEVER


def differences(
    log: EventLog, question: Question, found: Comparison, matched: int
) -> Iterator[Difference]:
    """Each difference with its reason. matched: how far live matching has come."""
    lives = _lives(
        log,
        question.hotlist.id,
        {alert.entry.entry_id for alert in (*found.only_raised, *found.only_replayed)},
    )
    for alert in found.only_raised:
        yield Difference(alert, True, _why_raised(lives[alert.entry.entry_id], question))
    for alert in found.only_replayed:
        yield Difference(alert, False, _why_not(alert, lives[alert.entry.entry_id], matched))


def _why_raised(life: _Life, question: Question) -> str:
    if life.order.position > question.as_of:
        return "the entry was not on the list yet"
    if life.ends <= question.as_of:
        return "the entry was no longer on the list"
    return "it was raised under another policy, or before the vehicle was allowed"


def _why_not(alert: AlertRaised, life: _Life, matched: int) -> str:
    read, order = alert.read_position, life.order
    if read > matched:
        return "the read has not been matched yet"
    if read > life.ends:
        return "the entry had been taken off the list before the read"
    if read > order.position:
        return "it was matched under another policy, or the vehicle was allowed"
    if not order.activated.HasField("look_back"):
        return "the read came before the entry was live, and was not looked back for"
    if micros(alert.sighting.received_at) < micros(order.received_from()):
        return "the read came earlier than was looked back for"
    return "looking back has not come to it, or was done under another policy"


def _lives(log: EventLog, list_id: UUID, entry_ids: set[str]) -> dict[str, _Life]:
    """When some of a list's entries were live."""
    lives: dict[str, _Life] = {}
    for order in changes_of(log, list_id):
        activated = order.activated
        for event in log.select_events(UUID(activated.import_id), lte=activated.chunks):
            staged = EntriesStaged.FromString(unseal(event.state))
            for gone in staged.removed:
                if gone.entry_id in lives:
                    lives[gone.entry_id].ends = order.position
            for entry in staged.added:
                if entry.entry_id in entry_ids:
                    lives[entry.entry_id] = _Life(order)
    return lives


def changes_of(log: EventLog, list_id: UUID) -> Iterator[Order]:
    """Where each change of a list's entries is in the log, in order."""
    after = 0
    while page := log.select_notifications(
        after, _PAGE, None, [Hotlist.Activated.TOPIC], inclusive_of_start=False
    ):
        for event in page:
            if event.originator_id == list_id:
                activated = EntriesActivated.FromString(unseal(event.state))
                yield Order(event.id, list_id, event.originator_version, activated)
        after = page[-1].id
