"""A hotlist as it was: its versions, and the entries that were live at each.

Always true here: the version follows from the list's events alone, so what it held is the same
whenever it is asked; a version's entries are those of the imports up to it.
"""

from collections.abc import Iterator
from typing import Any

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import EntriesStaged
from proto.ring.v1.hotlist_pb2 import HotlistVersion
from ring.application import Ring
from ring.errors import NotFound
from ring.hotlist import CHUNK, Hotlist, LiveEntries
from ring.policy import Policy
from ring.store import unseal

_CHUNK_BYTES = 2 << 20


def live_entries(ring: Ring, hotlist: Hotlist) -> LiveEntries:
    """A list's entries as of the object's version."""
    live = LiveEntries()
    for import_id in hotlist.imports:
        for event in ring.event_log.select_events(import_id):
            live.fold(EntriesStaged.FromString(unseal(event.state)))
    return live


def as_of(ring: Ring, hotlist: Hotlist, version: int) -> Hotlist:
    """The list as it was then; grants are those of now. NotFound where it has not come so far."""
    if version > hotlist.changes:
        raise NotFound(
            f"the hotlist {hotlist.created.name!r} has no version {version}: "
            f"it has come to {hotlist.changes}"
        )
    then = Hotlist(hotlist.id)
    for event in _events(ring, hotlist):
        if _version_of(event) > version:
            break
        then.apply(event)
    then.grants, then.looking_back = hotlist.grants, hotlist.looking_back
    return then


def versions_of(ring: Ring, hotlist: Hotlist) -> Iterator[HotlistVersion]:
    """Each change of it, in order."""
    entries = 0
    for event in _events(ring, hotlist):
        body = event.body
        if isinstance(event, Hotlist.Created):
            policy = Policy.at_first(body).message()
            yield HotlistVersion(at=body.at, by=body.by, policy=policy)
        elif isinstance(event, Hotlist.Activated):
            entries = body.entries
            yield HotlistVersion(
                version=body.version,
                at=body.at,
                by=body.by,
                added=body.added,
                removed=body.removed,
                entries=entries,
                digest=body.digest,
                confirmed=body.confirmed,
            )
        elif isinstance(event, Hotlist.PolicyChanged):
            policy = Policy.of(body.policy).message()
            yield HotlistVersion(
                version=body.version, at=body.at, by=body.by, entries=entries, policy=policy
            )


def chunks_of(live: LiveEntries) -> Iterator[list[HotlistEntry]]:
    """The entries in order of plate, in lists that a message has room for."""
    chunk: list[HotlistEntry] = []
    size = 0
    for entry in live.entries():
        length = entry.ByteSize()
        if chunk and (len(chunk) == CHUNK or size + length > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += length
    if chunk:
        yield chunk


def _events(ring: Ring, hotlist: Hotlist) -> Iterator[Any]:
    events: Any = ring.events.get(hotlist.id, lte=hotlist.version)
    return iter(events)


def _version_of(event: Any) -> int:
    """The list's version after an event that makes one; 0 for the others."""
    made = isinstance(event, Hotlist.Activated | Hotlist.PolicyChanged)
    return int(event.body.version) if made else 0
