"""Tells threads and an event loop that the log has grown.

Always true here: a wake-up between a look and a wait is not missed.
"""

import threading
from collections.abc import Callable


class Wakeup:
    """One writer's side, any number of waiting threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener` at each wake-up, from the waking thread. It must not block."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """Wakes everybody."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    @property
    def count(self) -> int:
        """Look at this first, then at the log, then wait for more than this."""
        return self._count

    def wait(self, seen: int, timeout: float) -> None:
        """Waits until there was a wake-up after `seen`, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._count != seen, timeout)
