"""What ingest must know of the ring, in memory: its checkpoints and readers.

Always true here: it is folded from the log alone, in order; readers of the maps see whole objects.
"""

import threading
from typing import Any
from uuid import UUID

from ring.application import Ring
from ring.checkpoint import Checkpoint
from ring.events import EventSourced
from ring.reader import Reader

_TOPICS: dict[str, type[EventSourced]] = {
    Checkpoint.Registered.TOPIC: Checkpoint,
    Checkpoint.Moved.TOPIC: Checkpoint,
    Reader.Registered.TOPIC: Reader,
    Reader.Assigned.TOPIC: Reader,
    Reader.Revoked.TOPIC: Reader,
    Reader.WentSilent.TOPIC: Reader,
    Reader.Recovered.TOPIC: Reader,
}
_PAGE = 5000


class Directory:
    """Checkpoints by code and readers by id, as of the last `catch_up`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._position = 0
        self._objects: dict[UUID, Any] = {}
        self._lock = threading.Lock()
        self.checkpoints: dict[str, Checkpoint] = {}
        self.readers: dict[str, Reader] = {}

    def catch_up(self) -> None:
        """Folds in what the log has had since the last call."""
        log = self._ring.event_log
        with self._lock:
            while page := log.select_notifications(
                self._position, _PAGE, None, list(_TOPICS), inclusive_of_start=False
            ):
                for notification in page:
                    self._fold(notification)
                self._position = page[-1].id

    def _fold(self, notification: Any) -> None:
        event: Any = self._ring.mapper.to_domain_event(notification)
        object_ = self._objects.get(event.originator_id)
        if object_ is None:
            object_ = _TOPICS[notification.topic](event.originator_id)
            self._objects[event.originator_id] = object_
        object_.apply(event)
        if isinstance(object_, Reader):
            self.readers[object_.reader_id] = object_
        elif isinstance(object_, Checkpoint):
            self.checkpoints[object_.place.code] = object_
