"""Whose message is next: each read log's in its own order, the logs in turn.

Always true here: a message waits for no more than one message of each other log and one group, so
a reader that comes back with a day's reads holds up nobody.
"""

import threading
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar
from uuid import UUID

# Messages and reads that one group takes: bounds its memory and the wait for its commit.
MOST_MESSAGES = 256
MOST_READS = 2000


class Sized(Protocol):
    """What waits; `size` in reads."""

    @property
    def size(self) -> int: ...


W = TypeVar("W", bound=Sized)


class Turns(Generic[W]):
    """Any number of threads put, one takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[UUID, deque[W]] = OrderedDict()
        self._closed = False

    def put(self, log: UUID, work: W) -> None:
        """Queues a message of a read log."""
        with self._changed:
            self._waiting.setdefault(log, deque()).append(work)
            self._changed.notify()

    def close(self) -> None:
        """After what is queued, `take` returns nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> list[W]:
        """The next group; waits for one. Empty once it is closed and everything was taken."""
        group: list[W] = []
        reads = 0
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            while self._waiting and len(group) < MOST_MESSAGES and reads < MOST_READS:
                log, queue = self._waiting.popitem(last=False)
                work = queue.popleft()
                if queue:
                    self._waiting[log] = queue
                group.append(work)
                reads += work.size
        return group
