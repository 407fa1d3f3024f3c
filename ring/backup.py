"""A copy of log and pictures while everything goes on, and a log filled from one.

Always true here: a backup holds exactly the events up to the head at its start, at the positions
they have; `backup.json` is written last, so a folder that has it is whole; whatever the event store
is, the copy is an SQLite log, and can be restored into any.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from eventsourcing.persistence import Notification, PersistenceError, Tracking

from ring.application import Ring
from ring.errors import AlreadyExists, InvalidRequest, StateForbids, Unavailable
from ring.matching import MATCHER
from ring.pictures import Pictures
from ring.store import EventLog, open_log
from ring.store.log import CUT_SHORT
from ring.store.sqlite import opened_copy

_log = structlog.get_logger(__name__)

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
    """Copies into an empty or new folder; yields after each page.

    InvalidRequest or AlreadyExists where it can't be that folder, Unavailable where it can't be
    written to any more.
    """
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
    with _written(folder):
        copy = open_log(f"sqlite:///{folder / _EVENTS}")
    with closing(copy):
        for page in _pages(log, head):
            with _written(folder):
                copy.adopt(page)
            copied.events = page[-1].id
            yield copied
        end = copy.head()
    copied.events = head
    # After the log: whatever a copied read names and had come by then, is there.
    names = sorted(pictures.paths())
    copied.pictures_total = len(names)
    for start in range(0, len(names), _PICTURES):
        with _written(folder):
            for name in names[start : start + _PICTURES]:
                target = folder / "pictures" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(pictures.folder / name, target)
        copied.pictures = min(start + _PICTURES, len(names))
        yield copied
    manifest = {
        "format": _FORMAT,
        "log_id": log.log_id,
        "position": end,
        "matched": min(matched, end),
        "pictures": len(names),
    }
    with _written(folder):
        _sign(folder, json.dumps(manifest) + "\n")
    copied.done = True
    yield copied


def _sign(folder: Path, manifest: str) -> None:
    # All of it is on the disk before this says that it is whole, at a loss of power too.
    os.sync()
    partial = folder / f"{_MANIFEST}.partial"
    partial.write_text(manifest, encoding="utf-8")
    partial.replace(folder / _MANIFEST)
    os.sync()


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, PersistenceError, Unavailable) as error:
        raise Unavailable(
            f"the backup can't be written to {folder} ({_line(error)}): make room or mend that, "
            "remove the folder and back up again"
        ) from error


def restore(ring: Ring, pictures: Pictures, folder: Path) -> Generator[Copied, None, None]:
    """Fills an empty log from a backup; yields after each page.

    The caller keeps the matcher still meanwhile, and has it start again afterwards. Nobody else
    writes to the log meanwhile: readers that come back too early are told to come again.

    InvalidRequest, and nothing is changed, where the folder holds no whole backup; StateForbids
    where the log is not empty. Pictures that are missing there or damaged are left out: in the end
    `pictures` is less than `pictures_total`.
    """
    manifest = _manifest_of(folder)
    with _whole_copy(folder, manifest["position"]) as copy, ring.event_log.filling():
        try:
            yield from _fill(ring, pictures, folder, copy, manifest)
        except (OSError, PersistenceError) as error:
            raise StateForbids(f"{CUT_SHORT} ({_line(error)})") from error


def _manifest_of(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        format_ = int(manifest["format"])
        if format_ == _FORMAT:
            found = {key: int(manifest[key]) for key in ("position", "matched")}
            # Versions before did not count them.
            pictures = int(manifest.get("pictures", 0))
            return found | {"log_id": str(manifest["log_id"]), "pictures": pictures}
    except (OSError, ValueError, TypeError, KeyError):
        raise InvalidRequest(
            f"{folder} holds no whole backup: {_MANIFEST} is missing or damaged"
        ) from None
    raise InvalidRequest(
        f"the backup was made by a newer version (format {format_}): restore it with that one"
    )


@contextmanager
def _whole_copy(folder: Path, position: int) -> Iterator[EventLog]:
    """The log of a backup, which has every event up to the position."""
    copy = opened_copy(folder.absolute() / _EVENTS)
    try:
        with _readable(folder):
            found = copy.head()
        if found != position:
            raise InvalidRequest(
                f"{folder} holds no whole backup: {_EVENTS} ends at {found}, not at {position}"
            )
        yield copy
    finally:
        copy.close()


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, PersistenceError) as error:
        raise InvalidRequest(
            f"{folder} holds no whole backup: {_EVENTS} is missing or damaged ({_line(error)})"
        ) from error


def _fill(
    ring: Ring, pictures: Pictures, folder: Path, copy: EventLog, manifest: Mapping[str, Any]
) -> Generator[Copied, None, None]:
    log = ring.event_log
    marker = pictures.folder / _RESTORING
    marker.touch()
    names = sorted(str(p.relative_to(folder / "pictures")) for p in folder.glob("pictures/*/*.jpg"))
    copied = Copied(
        manifest["log_id"],
        manifest["position"],
        events_total=manifest["position"],
        pictures_total=max(manifest["pictures"], len(names)),
    )
    for count, name in enumerate(names, 1):
        path = folder / "pictures" / name
        try:
            pictures.store(bytes.fromhex(path.stem), path.read_bytes())
            copied.pictures += 1
        except (InvalidRequest, ValueError) as error:
            _log.warning("a picture of the backup is damaged", picture=name, error=str(error))
        if count % _PICTURES == 0:
            yield copied
    for page in _copied_pages(copy, manifest["position"], folder):
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
        raise StateForbids(CUT_SHORT)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _pages(log: EventLog, stop: int) -> Iterator[Sequence[Notification]]:
    position = 0
    while page := log.select_notifications(position, _PAGE, stop, inclusive_of_start=False):
        yield page
        position = page[-1].id


def _copied_pages(copy: EventLog, stop: int, folder: Path) -> Iterator[Sequence[Notification]]:
    with _readable(folder):
        yield from _pages(copy, stop)
