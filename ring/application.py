"""The ring as an event-sourced application: its log, and the commands of its operators.

Always true here: a command either stores all of its events in one transaction or none; commands
that lose a race for a version are tried again on what the winner left.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, Mapper
from eventsourcing.utils import Environment, EnvType
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import LogPosition
from proto.ring.v1.hotlist_pb2 import HotlistKind, HotlistPolicy
from proto.ring.v1.registry_pb2 import Checkpoint as CheckpointRow
from proto.ring.v1.registry_pb2 import Reader as ReaderRow
from ring.alert import Alert, no_alert
from ring.checkpoint import Checkpoint
from ring.errors import AlreadyExists, InvalidRequest, NotFound
from ring.events import Event, EventSourced
from ring.hotlist import Hotlist
from ring.reader import Reader
from ring.store import EnvelopeMapper, EventLog, persistence_env
from ring.values import checkpoint_id, hotlist_id, reader_stream_id

T = TypeVar("T")
S = TypeVar("S", bound=EventSourced)

_ATTEMPTS = 10
_PAGE = 5000


class Imported(NamedTuple):
    """What an import of rows did; `rejected` counts rows from 1."""

    added: int
    changed: int
    unchanged: int
    rejected: list[tuple[int, str]]


class Ring(Application[UUID]):
    """Opens (or makes) the event log of a DSN. Close it when done."""

    name = "ring"

    def __init__(self, event_store: str) -> None:
        super().__init__(persistence_env(event_store))
        self._commands = threading.RLock()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """What the DSN says, and that alone: the library would let variables overrule it."""
        return Environment(name, env)

    def construct_mapper(self) -> Mapper[UUID]:
        """Envelopes with protobuf bodies."""
        return EnvelopeMapper()

    def construct_recorder(self) -> EventLog:
        """The store behind its port."""
        recorder = self.factory.process_recorder()
        assert isinstance(recorder, EventLog)
        return recorder

    @property
    def event_log(self) -> EventLog:
        """The log itself."""
        assert isinstance(self.recorder, EventLog)
        return self.recorder

    def position(self, position: int) -> LogPosition:
        """A position of this log."""
        return LogPosition(log_id=self.event_log.log_id, position=position)

    def get(self, cls: type[S], id_: UUID, version: int | None = None) -> S | None:
        """An event-sourced object as of a version, or None where there is none."""
        events: Iterable[Any] = self.events.get(id_, lte=version)
        return cls.fold(None, events)

    def command(self, attempt: Callable[[], T]) -> T:
        """Runs a command, again where another one was quicker."""
        for last in range(_ATTEMPTS):
            try:
                with self._commands:
                    return attempt()
            except IntegrityError:
                if last == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def store(self, *objects: EventSourced) -> int:
        """Stores what the objects triggered; the position of the last event, or the head.

        IntegrityError where somebody else was quicker. A store that lost its connection while it
        committed, and tried again, may have been that somebody: then it is stored, and no error.
        """
        events = [event for each in objects for event in each.pending]
        try:
            recordings = self.save(*objects)
        except IntegrityError:
            position = self._position_if_stored(events)
            if position is None:
                raise
            return position
        return recordings[-1].notification.id if recordings else self.event_log.head()

    def _position_if_stored(self, events: Sequence[Event[Any]]) -> int | None:
        """Of the last of these events, where the log has all of them, each to the byte."""
        for event in events:
            ours, version = self.mapper.to_stored_event(event), event.originator_version
            if [ours] != list(
                self.event_log.select_events(event.originator_id, gt=version - 1, lte=version)
            ):
                return None
        last, after = events[-1], 0
        while page := self.event_log.select_notifications(
            after, _PAGE, None, [last.TOPIC], inclusive_of_start=False
        ):
            for found in page:
                if (found.originator_id, found.originator_version) == (
                    last.originator_id,
                    last.originator_version,
                ):
                    return found.id
            after = page[-1].id
        return None

    # ---- the registry ---------------------------------------------------------

    def import_checkpoints(self, rows: Sequence[CheckpointRow], at: Timestamp) -> Imported:
        """Registers new checkpoints and moves known ones."""

        def change(row: CheckpointRow, known: Checkpoint | None) -> tuple[Checkpoint, bool]:
            if known is None:
                return Checkpoint.register(row, at), True
            return known, known.move(row, at)

        return self.command(
            lambda: self._import(rows, Checkpoint, lambda row: checkpoint_id(row.code), change)
        )

    def import_readers(self, rows: Sequence[ReaderRow], at: Timestamp) -> Imported:
        """Registers new readers and assigns known ones anew, from `at` on."""
        places: dict[str, bool] = {}

        def change(row: ReaderRow, known: Reader | None) -> tuple[Reader, bool]:
            code = row.checkpoint
            if code not in places:
                places[code] = self.get(Checkpoint, checkpoint_id(code)) is not None
            if not places[code]:
                raise InvalidRequest(
                    f"there is no checkpoint {code!r}: import it first (ring checkpoints import)"
                )
            if known is None:
                return Reader.register(row, at), True
            return known, known.assign(row, at)

        return self.command(
            lambda: self._import(rows, Reader, lambda row: reader_stream_id(row.reader_id), change)
        )

    def _import(
        self,
        rows: Iterable[Any],
        cls: type[S],
        identity: Callable[[Any], UUID],
        change: Callable[[Any, S | None], tuple[S, bool]],
    ) -> Imported:
        touched: dict[UUID, S] = {}
        added = changed = unchanged = 0
        rejected: list[tuple[int, str]] = []
        for number, row in enumerate(rows, 1):
            id_ = identity(row)
            known = touched.get(id_) or self.get(cls, id_)
            try:
                touched[id_], different = change(row, known)
            except InvalidRequest as error:
                rejected.append((number, str(error)))
                continue
            if known is None:
                added += 1
            elif different:
                changed += 1
            else:
                unchanged += 1
        self.store(*touched.values())
        return Imported(added, changed, unchanged, rejected)

    def revoke_reader(self, reader_id: str, reason: str, at: Timestamp) -> Reader:
        """Refuses a reader from now on."""

        def attempt() -> Reader:
            reader = self.get(Reader, reader_stream_id(reader_id))
            if reader is None:
                raise NotFound(f"there is no reader {reader_id!r}: see ring readers list")
            reader.revoke(reason, at)
            self.store(reader)
            return reader

        return self.command(attempt)

    def hear_reader(self, reader_id: str, silent: bool, at: Timestamp, last: Timestamp) -> None:
        """Notes that a reader went silent or was heard again."""

        def attempt() -> None:
            reader = self.get(Reader, reader_stream_id(reader_id))
            if reader is not None and reader.hear(silent=silent, at=at, last_heard=last):
                self.store(reader)

        self.command(attempt)

    # ---- hotlists and alerts --------------------------------------------------

    def create_hotlist(
        self,
        agency: str,
        name: str,
        by: str,
        at: Timestamp,
        policy: HotlistPolicy | None = None,
        kind: int = HotlistKind.HOTLIST_KIND_ALERT,
    ) -> Hotlist:
        """A new, empty list. AlreadyExists where the agency has one of that name."""

        def attempt() -> Hotlist:
            if self.find_hotlist(agency, name):
                raise AlreadyExists(f"there is a hotlist {name!r} already")
            hotlist = Hotlist.create(agency, name, by, at, policy, kind)
            self.store(hotlist)
            return hotlist

        return self.command(attempt)

    def find_hotlist(self, agency: str, name: str) -> Hotlist | None:
        """An agency's list, or None."""
        return self.get(Hotlist, hotlist_id(agency, name))

    def hotlists(self) -> list[Hotlist]:
        """Every list, in order of agency and name."""
        topics = [Hotlist.Created.TOPIC]
        ids = [
            n.originator_id for n in self.event_log.select_notifications(0, 100_000, None, topics)
        ]
        found = [self.get(Hotlist, id_) for id_ in ids]  # type: ignore[arg-type]
        return sorted((h for h in found if h), key=lambda h: (h.created.agency, h.created.name))

    def change_alert(
        self, alert_id: str, change: Callable[[Alert], bool]
    ) -> tuple[Alert, LogPosition]:
        """Applies a change to an alert; with the position of its last event."""
        try:
            id_ = UUID(alert_id)
        except ValueError:
            raise InvalidRequest(f"the alert id {alert_id!r} is not a UUID") from None

        def attempt() -> tuple[Alert, LogPosition]:
            alert = self.get(Alert, id_)
            if alert is None:
                raise no_alert(alert_id)
            change(alert)
            return alert, self.position(self.store(alert))

        return self.command(attempt)
