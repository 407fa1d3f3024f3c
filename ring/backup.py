"""A copy of log and pictures while everything goes on, and a log filled from one.

Always true here: a backup holds exactly the events up to the head at its start, at the positions
they have; `backup.json` is written last, so a folder that has it is whole; whatever the event store
is, the copy is an SQLite log, and can be restored into any.
"""

import json
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Notification, Tracking

from ring.application import Ring
from ring.errors import AlreadyExists, InvalidRequest, StateForbids
from ring.matching import MATCHER
from ring.pictures import Pictures
from ring.store import EventLog, open_log

_PAGE = 5000
_PICTURES = 500
_MANIFEST = "backup.json"
_EVENTS = "events.sqlite"
_FORMAT = 1
# In the pictures' folder while a restore runs.
_RESTORING = "restoring"


@dataclass
class Copied:
    """How far a copy has come. `log_id`, `position`: what it is a copy of, and up to where."""

    log_id: str
    position: int
    events: int = 0
    events_total: int = 0
    pictures: int = 0
    pictures_total: int = 0
    done: bool = False


def backup(ring: Ring, pictures: Pictures, folder: Path) -> Generator[Copied, None, None]:
    """Copies into an empty or new folder; yields after each page."""
    if not folder.is_absolute():
        raise InvalidRequest(f"{folder} is not an absolute path on the server's machine")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise InvalidRequest(f"the folder {folder} can't be used: {error.strerror}") from None
    if taken:
        raise AlreadyExists(f"the folder {folder} is not empty: name a new one")
    log = ring.event_log
    # Before the head: the matcher's place must never be beyond what is copied.
    matched = log.max_tracking_id(MATCHER) or 0
    head = log.head()
    copied = Copied(log.log_id, head, events_total=head)
    with _opened(folder / _EVENTS) as copy:
        for page in _pages(log, head):
            copy.adopt(page)
            copied.events = page[-1].id
            yield copied
    copied.events = head
    # After the log: whatever a copied read names and had come by then, is there.
    names = sorted(pictures.paths())
    copied.pictures_total = len(names)
    for start in range(0, len(names), _PICTURES):
        for name in names[start : start + _PICTURES]:
            target = folder / "pictures" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pictures.folder / name, target)
        copied.pictures = min(start + _PICTURES, len(names))
        yield copied
    manifest = {"format": _FORMAT, "log_id": log.log_id, "position": head, "matched": matched}
    partial = folder / f"{_MANIFEST}.partial"
    partial.write_text(json.dumps(manifest) + "\n", encoding="utf-8")
    partial.replace(folder / _MANIFEST)
    copied.done = True
    yield copied


def restore(ring: Ring, pictures: Pictures, folder: Path) -> Generator[Copied, None, None]:
    """Fills an empty log from a backup; yields after each page.

    The caller keeps the matcher still meanwhile, and has it start again afterwards. Nobody else
    writes to the log meanwhile: readers that come back too early are told to come again.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidRequest(
            f"{folder} holds no whole backup: {_MANIFEST} is missing or damaged"
        ) from None
    if manifest["format"] != _FORMAT:
        raise InvalidRequest(
            f"the backup was made by a newer version (format {manifest['format']})"
        )
    with ring.event_log.filling():
        yield from _fill(ring, pictures, folder, manifest)


def _fill(
    ring: Ring, pictures: Pictures, folder: Path, manifest: Mapping[str, Any]
) -> Generator[Copied, None, None]:
    log = ring.event_log
    if log.head():
        raise StateForbids(
            "this ring is not empty: restore into a server that was started on a new data folder "
            "(and, on PostgreSQL, a new database)"
        )
    marker = pictures.folder / _RESTORING
    marker.touch()
    names = sorted(str(p.relative_to(folder / "pictures")) for p in folder.glob("pictures/*/*.jpg"))
    copied = Copied(
        manifest["log_id"],
        manifest["position"],
        events_total=manifest["position"],
        pictures_total=len(names),
    )
    for name in names:
        path = folder / "pictures" / name
        pictures.store(bytes.fromhex(path.stem), path.read_bytes())
        copied.pictures += 1
        if copied.pictures % _PICTURES == 0:
            yield copied
    with _opened(folder / _EVENTS) as copy:
        for page in _pages(copy, manifest["position"]):
            log.adopt(page)
            copied.events = page[-1].id
            yield copied
    if manifest["matched"]:
        log.insert_tracking(Tracking(MATCHER, manifest["matched"]))
    marker.unlink()
    copied.events = copied.events_total
    copied.done = True
    yield copied


def check_whole(pictures: Pictures) -> None:
    """StateForbids where a restore was cut short: half a log must not be worked on."""
    if (pictures.folder / _RESTORING).exists():
        raise StateForbids(
            "a restore into this data folder was cut short: remove the folder (and, on "
            "PostgreSQL, the database), start on a new one and restore again"
        )


@contextmanager
def _opened(path: Path) -> Iterator[EventLog]:
    """A log of a backup, closed in the end."""
    log = open_log(f"sqlite:///{path}")
    try:
        yield log
    finally:
        log.close()


def _pages(log: EventLog, stop: int) -> Iterator[Sequence[Notification]]:
    position = 0
    while page := log.select_notifications(position, _PAGE, stop, inclusive_of_start=False):
        yield page
        position = page[-1].id
