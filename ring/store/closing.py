"""Closing a log whose database may be away.

Always true here: a database that answers is given the time to finish; one that does not is not
waited for.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ring.store.log import EventLog


@contextmanager
def closed_after(log: EventLog, seconds: float) -> Iterator[None]:
    """Closes the log where what is inside takes longer: what waits for it then fails at once."""
    timer = threading.Timer(seconds, log.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
