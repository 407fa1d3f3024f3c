"""A hotlist: the plates that an agency has a reason to look for.

Always true here: entries are staged in the stream of one import and made live by one event, so a
list changes as a whole or not at all, and has a version for each change. An entry that is the
same in every field as a live one keeps its id; any other gets a new one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import (
    ConfirmedEntry,
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
    HotlistGranted,
    HotlistGrantRevoked,
    HotlistPolicyChanged,
    RemovedEntry,
)
from proto.ring.v1.hotlist_pb2 import HotlistKind, HotlistPolicy
from proto.ring.v1.look_back_pb2 import LookBack
from ring.access import Right
from ring.errors import InvalidRequest
from ring.events import Event, EventSourced
from ring.policy import Policy, checked_policy
from ring.values import hotlist_id, name_of

CHUNK = 5000


class Hotlist(EventSourced):
    """Created by an agency, changed by imports and removals."""

    class Created(Event[HotlistCreated]):
        """There is such a list; nothing is on it."""

        TOPIC = "ring.hotlist.created"
        BODY = HotlistCreated

    class Activated(Event[EntriesActivated]):
        """What was staged in an import is live from here on."""

        TOPIC = "ring.hotlist.activated"
        BODY = EntriesActivated

    class Granted(Event[HotlistGranted]):
        """Another agency may see or change it."""

        TOPIC = "ring.hotlist.granted"
        BODY = HotlistGranted

    class GrantRevoked(Event[HotlistGrantRevoked]):
        """And may not any more."""

        TOPIC = "ring.hotlist.grant_revoked"
        BODY = HotlistGrantRevoked

    class PolicyChanged(Event[HotlistPolicyChanged]):
        """When reads of its vehicles are alerts is decided otherwise from here on."""

        TOPIC = "ring.hotlist.policy_changed"
        BODY = HotlistPolicyChanged

    created: HotlistCreated
    policy: Policy
    entries = 0
    changes = 0

    @classmethod
    def create(
        cls,
        agency: str,
        name: str,
        by: str,
        at: Timestamp,
        policy: HotlistPolicy | None = None,
        kind: int = HotlistKind.HOTLIST_KIND_ALERT,
    ) -> "Hotlist":
        """A new, empty list; without a policy, with the default one."""
        name_of(agency, "agency")
        name_of(name, "hotlist name")
        if kind not in HotlistKind.values():
            raise InvalidRequest(f"{kind} is not a kind of hotlist")
        asked = checked_policy(policy or HotlistPolicy())
        hotlist = cls(hotlist_id(agency, name))
        body = HotlistCreated(
            at=at,
            agency=agency,
            name=name,
            confidence_floor=Policy.of(asked).confidence_floor,
            kind=kind,  # type: ignore[arg-type] # the protocol's own number
            policy=asked,
            by=by,
        )
        hotlist.trigger(cls.Created, body)
        return hotlist

    def change_policy(self, policy: HotlistPolicy, by: str, at: Timestamp) -> None:
        """Decides otherwise from here on, which is a version; nothing where it is the same."""
        asked = checked_policy(policy)
        if Policy.of(asked) != self.policy:
            body = HotlistPolicyChanged(
                at=at,
                agency=self.created.agency,
                name=self.created.name,
                policy=asked,
                version=self.changes + 1,
                by=by,
            )
            self.trigger(self.PolicyChanged, body)

    def activate(
        self, staged: "Import", by: str, at: Timestamp, look_back: LookBack | None = None
    ) -> None:
        """Makes an import live; `look_back`: how to look back for what it adds."""
        self.trigger(
            self.Activated,
            EntriesActivated(
                at=at,
                agency=self.created.agency,
                name=self.created.name,
                import_id=str(staged.id),
                chunks=staged.version,
                version=self.changes + 1,
                added=staged.added,
                removed=staged.removed,
                entries=self.entries + staged.added - staged.removed,
                digest=staged.digest(),
                look_back=look_back,
                by=by,
                confirmed=staged.confirmed,
            ),
        )

    def grant(
        self, grantee: str, right: Right, by: str, at: Timestamp, *, look_back: bool = False
    ) -> None:
        """Lets another agency see or change it, and its imports look back."""
        self.trigger(
            self.Granted,
            HotlistGranted(
                at=at,
                agency=self.created.agency,
                name=self.created.name,
                grantee=grantee,
                right=right.value,  # type: ignore[arg-type] # the protocol's own number
                by=by,
                look_back=look_back,
            ),
        )

    def revoke_grant(self, grantee: str, by: str, at: Timestamp) -> None:
        """Takes a grant back."""
        body = HotlistGrantRevoked(
            at=at, agency=self.created.agency, name=self.created.name, grantee=grantee, by=by
        )
        self.trigger(self.GrantRevoked, body)

    def when(self, event: Event[Any]) -> None:
        """Folds one event in."""
        match event:
            case Hotlist.Created():
                self.created = event.body
                self.policy = Policy.at_first(event.body)
                self.imports: list[UUID] = []
                self.grants: dict[str, Right] = {}
                # Those of them whose imports may look back.
                self.looking_back: set[str] = set()
            case Hotlist.Activated():
                self.entries = event.body.entries
                self.changes = event.body.version
                self.imports.append(UUID(event.body.import_id))
            case Hotlist.PolicyChanged():
                self.policy = Policy.of(event.body.policy)
                self.changes = event.body.version
            case Hotlist.Granted():
                self.grants[event.body.grantee] = Right(event.body.right)
                self.looking_back.discard(event.body.grantee)
                if event.body.look_back:
                    self.looking_back.add(event.body.grantee)
            case Hotlist.GrantRevoked():
                del self.grants[event.body.grantee]
                self.looking_back.discard(event.body.grantee)


class Import(EventSourced):
    """What is to be added to and removed from a list, in chunks."""

    class Staged(Event[EntriesStaged]):
        """A chunk of it; nothing is live yet."""

        TOPIC = "ring.hotlist.staged"
        BODY = EntriesStaged

    def __init__(self, id_: UUID | None = None) -> None:
        super().__init__(id_ or uuid4())
        self.added = 0
        self.removed = 0
        self.confirmed = 0
        self._digest = hashlib.sha256()

    def stage(
        self,
        added: list[HotlistEntry],
        removed: list[RemovedEntry],
        at: Timestamp,
        confirmed: Sequence[ConfirmedEntry] = (),
    ) -> None:
        """One chunk, at most CHUNK of each; `confirmed`: those of the added that had to be."""
        body = EntriesStaged(at=at, added=added, removed=removed, confirmed=confirmed)
        self.trigger(self.Staged, body)

    def when(self, event: Event[Any]) -> None:
        """Counts it."""
        self.added += len(event.body.added)
        self.removed += len(event.body.removed)
        self.confirmed += len(event.body.confirmed)
        self._digest.update(event.body.SerializeToString(deterministic=True))

    def digest(self) -> bytes:
        """SHA-256 over the bodies in order."""
        return self._digest.digest()


class LiveEntries:
    """The live entries of one list, folded from what its imports staged."""

    def __init__(self) -> None:
        self._by_content: dict[bytes, str] = {}
        self._content: dict[str, bytes] = {}
        self._plates: set[bytes] | None = None

    def fold(self, staged: EntriesStaged) -> None:
        """One staged chunk of a live import."""
        self._plates = None
        for gone in staged.removed:
            content = self._content.pop(gone.entry_id, None)
            if content is not None:
                del self._by_content[content]
        for entry in staged.added:
            entry_id, entry.entry_id = entry.entry_id, ""
            content = entry.SerializeToString(deterministic=True)
            self._content[entry_id] = content
            self._by_content[content] = entry_id

    def id_of(self, content: bytes) -> str | None:
        """The id of the live entry with this content."""
        return self._by_content.get(content)

    def has_plate(self, plate: str) -> bool:
        """A live entry has this plate or pattern."""
        if self._plates is None:
            # Few imports ask for it: a million plates are not kept for the others.
            self._plates = {_plate_of(content) for content in self._by_content}
        return plate.encode() in self._plates

    def entries(self) -> Iterator[HotlistEntry]:
        """All of them with their ids, in order of plate."""
        for entry_id, content in sorted(self._content.items(), key=lambda item: _plate_of(item[1])):
            entry = HotlistEntry.FromString(content)
            entry.entry_id = entry_id
            yield entry

    def without(self, kept: set[str]) -> list[RemovedEntry]:
        """The live entries whose ids are not among `kept`."""
        return [
            RemovedEntry(entry_id=entry_id, plate=HotlistEntry.FromString(content).plate)
            for entry_id, content in self._content.items()
            if entry_id not in kept
        ]

    def matching(self, entry_ids: set[str], plates: set[str]) -> list[RemovedEntry]:
        """The live entries with one of these ids or plates."""
        return [
            gone
            for gone in self.without(set())
            if gone.entry_id in entry_ids or gone.plate in plates
        ]


def _plate_of(content: bytes) -> bytes:
    # The plate is the first field: one byte of tag, one of length, then itself.
    return content[2 : 2 + content[1]]
