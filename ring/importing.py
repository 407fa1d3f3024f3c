"""Changing a hotlist: entries come in any number, and go live as one change.

Always true here: until `finish`, nothing is live; an import that breaks off leaves staged chunks
that nothing refers to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import ConfirmedEntry
from proto.ring.v1.hotlist_pb2 import HotlistKind
from proto.ring.v1.look_back_pb2 import LookBack
from ring.access import Caller, Right, check_maker, may_look_back, no_look_back
from ring.application import Ring
from ring.checkpoint import Checkpoint
from ring.entry import checked_entry
from ring.errors import InvalidRequest, NotFound
from ring.frequency import Doubt, Frequencies
from ring.hotlist import (
    CHUNK,
    Hotlist,
    Import,
)
from ring.sharing import reach
from ring.values import checkpoint_id, look_back_id
from ring.versions import live_entries

_NAMED = 1000
# One stored event's share of the log's transactions, whatever the entries' texts.
_CHUNK_BYTES = 2 << 20


@dataclass
class Summary:
    """What an import did; `rejected` and `unconfirmed` name the first thousand rows."""

    hotlist: Hotlist
    position: int
    added: int = 0
    removed: int = 0
    unchanged: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    rejected_total: int = 0
    unconfirmed: list[tuple[int, str, Doubt]] = field(default_factory=list)
    unconfirmed_total: int = 0
    look_back_id: str = ""
    look_back_denied: bool = False


class EntriesImport:
    """One import into one list. Call `add` any number of times, then `finish`.

    `replace`: what is not among the entries comes off the list. `confirm`: entries that would hit
    too often by the `frequencies`, which may grow until they are added, go live too. `allow_empty`:
    entries of which none can be used empty the list, else `finish` is InvalidRequest. `now`: asked
    whenever something is stored. `must_look_back`: NotAllowed where the caller may not, instead of
    an import that does not. Two imports into one list at a time: the later to finish fails
    with eventsourcing's IntegrityError, and changes nothing.
    """

    def __init__(
        self,
        ring: Ring,
        caller: Caller,
        agency: str,
        name: str,
        *,
        replace: bool,
        create: bool,
        now: Callable[[], Timestamp],
        confirm: bool = False,
        allow_empty: bool = False,
        frequencies: Frequencies | None = None,
        look_back: LookBack | None = None,
        must_look_back: bool = False,
    ) -> None:
        self._ring = ring
        self._by = caller.name
        self._now = now
        self._replace = replace
        self._confirm = confirm
        self._allow_empty = allow_empty
        self._frequencies = frequencies or Frequencies()
        self._is_new = False
        try:
            self._hotlist = reach(ring, caller, agency, name, Right.CHANGE)
        except NotFound:
            if not create:
                raise
            owner = caller.owner(agency)
            check_maker(caller, owner)
            # Stored in the transaction that makes the entries live, where it is made once more.
            self._is_new = True
            self._hotlist = Hotlist.create(owner, name, self._by, now())
        created = self._hotlist.created
        may = may_look_back(caller, created.agency, self._hotlist.looking_back)
        if must_look_back and look_back is not None and not may:
            raise no_look_back(created.agency, created.name)
        self._look_back = look_back
        self._may_look_back = may
        self._live = live_entries(ring, self._hotlist)
        self._import = Import()
        self._kept: set[str] = set()
        # Staged or left unconfirmed: what comes again counts once.
        self._seen: set[bytes] = set()
        self._places: dict[str, bool] = {}
        self._chunk: list[HotlistEntry] = []
        self._chunk_bytes = 0
        self._row = 0
        self._rejected: list[tuple[int, str]] = []
        self._rejected_total = 0
        self._confirmed: list[ConfirmedEntry] = []
        self._unconfirmed: list[tuple[int, str, Doubt]] = []
        self._unconfirmed_total = 0

    def add(self, entries: Sequence[HotlistEntry], rows: Sequence[int] = ()) -> None:
        """Entries that are to be live. Bad ones are noted; doubles count once.

        rows: the sender's number of each; without, they are counted from 1.
        """
        if rows and len(rows) != len(entries):
            raise InvalidRequest(f"{len(rows)} rows number {len(entries)} entries: give as many")
        first = self._row + 1
        self._row += len(entries)
        for row, entry in zip(rows or range(first, self._row + 1), entries, strict=True):
            try:
                checked = checked_entry(entry)
                self._check_places(checked)
            except InvalidRequest as error:
                self._rejected_total += 1
                if len(self._rejected) < _NAMED:
                    self._rejected.append((row, str(error)))
                continue
            content = checked.SerializeToString(deterministic=True)
            live = self._live.id_of(content)
            if live is not None:
                self._kept.add(live)
            elif content not in self._seen:
                self._seen.add(content)
                if self._may_go_live(row, checked):
                    self._stage(checked, len(content))

    def _stage(self, entry: HotlistEntry, size: int) -> None:
        self._chunk.append(entry)
        self._chunk_bytes += size
        if len(self._chunk) == CHUNK or self._chunk_bytes >= _CHUNK_BYTES:
            self._flush()

    def _may_go_live(self, row: int, entry: HotlistEntry) -> bool:
        """Gives it its id, and notes where it would hit too often. An allow-list raises nothing.

        How often it hits follows from its plate alone: one that is live already, whatever its other
        fields, is not asked about again, or a new reason for it would take it off the list.
        """
        entry.entry_id = str(uuid4())
        doubt = self._frequencies.doubt(entry.plate) if self._raises else None
        if doubt is None or (not self._confirm and self._live.has_plate(entry.plate)):
            return True
        if self._confirm:
            self._confirmed.append(
                ConfirmedEntry(entry_id=entry.entry_id, reads_a_day=doubt.reads_a_day)
            )
            return True
        self._unconfirmed_total += 1
        if len(self._unconfirmed) < _NAMED:
            self._unconfirmed.append((row, entry.plate, doubt))
        return False

    @property
    def _raises(self) -> bool:
        """Whether its entries raise alerts."""
        return self._hotlist.created.kind == HotlistKind.HOTLIST_KIND_ALERT

    def finish(self) -> Summary:
        """Makes it live."""
        self._flush()
        if self._replace:
            gone = self._live.without(self._kept)
            if gone and not self._allow_empty:
                self._check_usable()
            for start in range(0, len(gone), CHUNK):
                self._import.stage([], gone[start : start + CHUNK], self._now())
        wanted = self._looks_back()
        look_back = wanted if self._may_look_back else None
        # The time at which it is live, not the one at which it began: an import may take minutes.
        at, created = self._now(), self._hotlist.created
        if self._is_new:
            self._hotlist = Hotlist.create(created.agency, created.name, self._by, at)
        if self._import.version:
            self._hotlist.activate(self._import, self._by, at, look_back)
        # A new list is stored even where nothing goes live.
        position = self._ring.store(self._import, self._hotlist)
        return Summary(
            hotlist=self._hotlist,
            position=position,
            added=self._import.added,
            removed=self._import.removed,
            unchanged=len(self._kept),
            rejected=self._rejected,
            rejected_total=self._rejected_total,
            unconfirmed=self._unconfirmed,
            unconfirmed_total=self._unconfirmed_total,
            look_back_id=str(look_back_id(str(self._import.id))) if look_back else "",
            look_back_denied=wanted is not None and look_back is None,
        )

    def _check_usable(self) -> None:
        """A wrong column taken for the plates would take everything off the list."""
        if not self._row or self._kept or self._import.added:
            return
        if self._rejected:
            row, why = self._rejected[0]
        else:
            row, plate, _ = self._unconfirmed[0]
            why = f"{plate} would hit too often and is not confirmed"
        raise InvalidRequest(
            f"none of the entries can be used (row {row}: {why}), so the list stays as it is: see "
            "that the plates are in their column, or allow that it becomes empty (the ring "
            "command: --allow-empty)"
        )

    def _looks_back(self) -> LookBack | None:
        """How to look back for what was added; None where there is nothing to raise."""
        if self._look_back is None or not self._import.added or not self._raises:
            return None
        result = LookBack()
        result.CopyFrom(self._look_back)
        if not result.HasField("purpose"):
            result.purpose.case_number = str(self._import.id)
        return result

    def _check_places(self, entry: HotlistEntry) -> None:
        """A watch order for a checkpoint that is none would never be heard of."""
        for code in entry.checkpoints:
            if code not in self._places:
                self._places[code] = self._ring.get(Checkpoint, checkpoint_id(code)) is not None
            if not self._places[code]:
                raise InvalidRequest(f"there is no checkpoint {code!r}: see ring checkpoints list")

    def _flush(self) -> None:
        if self._chunk:
            self._import.stage(self._chunk, [], self._now(), self._confirmed)
            self._ring.store(self._import)
            self._chunk, self._confirmed, self._chunk_bytes = [], [], 0


def remove_entries(
    ring: Ring,
    caller: Caller,
    agency: str,
    name: str,
    entry_ids: set[str],
    plates: set[str],
    now: Callable[[], Timestamp],
) -> Summary:
    """Takes entries off a list, by id or by normalised plate."""

    def attempt() -> Summary:
        hotlist = reach(ring, caller, agency, name, Right.CHANGE)
        gone = live_entries(ring, hotlist).matching(entry_ids, plates)
        if not gone:
            return Summary(hotlist, ring.event_log.head())
        staged, at = Import(), now()
        for start in range(0, len(gone), CHUNK):
            staged.stage([], gone[start : start + CHUNK], at)
        hotlist.activate(staged, caller.name, at)
        return Summary(hotlist, ring.store(staged, hotlist), removed=staged.removed)

    return ring.command(attempt)
