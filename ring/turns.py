"""Whose message is next: each read log's in its own order, the logs in turn, short ones first.

Always true here: short messages go in groups, a long one goes alone, and where both wait they
alternate; among the short and among the long, the logs take turns. So a live read waits for one
long message and one group, however much of a day's reads waits behind that message.
"""

import threading
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar
from uuid import UUID

# Messages and reads that one group takes: bounds its memory and the wait for its commit.
MOST_MESSAGES = 256
MOST_READS = 2000
# Reads from which on a message is long: a reader's backlog comes so, live reads never do.
LONG = 500


class Sized(Protocol):
    """What waits; `size` in reads."""

    @property
    def size(self) -> int: ...


W = TypeVar("W", bound=Sized)


class Turns(Generic[W]):
    """Any number of threads put, one takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # The logs with something that waits, each in one of the two, by its first message.
        self._short: OrderedDict[UUID, deque[W]] = OrderedDict()
        self._long: OrderedDict[UUID, deque[W]] = OrderedDict()
        self._long_is_due = False
        self._closed = False

    def put(self, log: UUID, work: W) -> None:
        """Queues a message of a read log."""
        with self._changed:
            queue = self._short.get(log) or self._long.get(log)
            if queue is None:
                self._line_up(log, deque((work,)))
            else:
                queue.append(work)
            self._changed.notify()

    def close(self) -> None:
        """After what is queued, `take` returns nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> list[W]:
        """The next group; waits for one. Empty once it is closed and everything was taken."""
        with self._changed:
            while not (self._short or self._long or self._closed):
                self._changed.wait()
            if self._long and (self._long_is_due or not self._short):
                self._long_is_due = False
                return [self._first(self._long)]
            self._long_is_due = True
            group: list[W] = []
            reads = 0
            while self._short and len(group) < MOST_MESSAGES and reads < MOST_READS:
                group.append(self._first(self._short))
                reads += group[-1].size
            return group

    def _first(self, line: OrderedDict[UUID, deque[W]]) -> W:
        log, queue = line.popitem(last=False)
        work = queue.popleft()
        if queue:
            self._line_up(log, queue)
        return work

    def _line_up(self, log: UUID, queue: deque[W]) -> None:
        line = self._long if queue[0].size >= LONG else self._short
        line[log] = queue
