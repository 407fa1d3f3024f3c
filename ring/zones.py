"""Which zone of the city a checkpoint was in, and when.

Always true here: it is folded from the log alone, so an alert's zone is the same whenever and by
whomever it is asked.
"""

import threading
from bisect import bisect_right
from collections import defaultdict
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ring.application import Ring
from ring.checkpoint import Checkpoint
from ring.values import micros

_TOPICS = [Checkpoint.Registered.TOPIC, Checkpoint.Moved.TOPIC]
_PAGE = 5000


class Zones:
    """Every checkpoint's zones in memory, as of the last `catch_up`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._position = 0
        self._lock = threading.Lock()
        # Code → (from when, microseconds since 1970; which zone), in order of time.
        self._placed: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def catch_up(self) -> None:
        """Folds in what the log has had since the last call."""
        log = self._ring.event_log
        with self._lock:
            while page := log.select_notifications(
                self._position, _PAGE, None, _TOPICS, inclusive_of_start=False
            ):
                for notification in page:
                    event: Any = self._ring.mapper.to_domain_event(notification)
                    placed = self._placed[event.body.code]
                    if not placed or placed[-1][1] != event.body.zone:
                        # A clock that was set back does not undo what was said after.
                        since = max(micros(event.body.at), placed[-1][0] if placed else 0)
                        placed.append((since, event.body.zone))
                self._position = page[-1].id

    def zone(self, checkpoint: str, at: Timestamp) -> str:
        """The zone that it was in; empty where it was in none."""
        placed = self._placed.get(checkpoint, ())
        before = bisect_right(placed, micros(at), key=lambda place: place[0])
        return placed[before - 1][1] if before else ""
