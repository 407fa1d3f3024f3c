"""Sessions of their own beside the pool: one that listens, one that holds the claim to write.

Always true here: each is a thread that makes its connection anew, whatever happens to it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog

from ring.errors import StateForbids
from ring.store.log import CLAIMED, Growth
from ring.store.statements import statements

_log = structlog.get_logger(__name__)

_SQL = statements("postgres")
_LONGEST_PAUSE = 2.0
# A session of a server that was just killed may live a moment longer than it.
_CLAIM_SECONDS = 5.0
_LOOK_SECONDS = 2.0


def line(error: Exception) -> str:
    """What a database's error says, in one line."""
    return " ".join(str(error).split())


class Listener(Growth):
    """A thread that LISTENs, and listens again whatever happens to its connection.

    Between two connections it calls out as well: what was told meanwhile was told to nobody.
    """

    def __init__(self, arguments: dict[str, Any], on_growth: Callable[[], None]) -> None:
        self._arguments = arguments
        self._on_growth = on_growth
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            try:
                with psycopg.connect(**self._arguments, autocommit=True) as connection:
                    connection.execute(_SQL["listen"])
                    self._on_growth()
                    pause = 0.1
                    while not self._stopping.is_set():
                        for _ in connection.notifies(timeout=0.2, stop_after=1):
                            self._on_growth()
            except Exception as error:
                if not self._stopping.is_set():
                    _log.warning("listening to the event log again", error=line(error))
                    self._stopping.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join()


class Claim:
    """An advisory lock, held by a session of its own until `release`.

    StateForbids where another session keeps it. It goes with the session: where that breaks, it is
    taken again as soon as the database is back; whoever was quicker is told of in the log.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._stopping = threading.Event()
        deadline = time.monotonic() + _CLAIM_SECONDS
        while (session := self._take()) is None:
            if time.monotonic() > deadline:
                raise StateForbids(CLAIMED)
            time.sleep(0.2)
        self._thread = threading.Thread(
            target=self._run, args=(session,), name="claim", daemon=True
        )
        self._thread.start()

    def _take(self) -> "psycopg.Connection[Any] | None":
        session = psycopg.connect(**self._arguments, autocommit=True)
        row = session.execute(_SQL["claim"]).fetchone()
        if row is not None and row["ours"]:
            return session
        session.close()
        return None

    def _run(self, taken: "psycopg.Connection[Any]") -> None:
        session: psycopg.Connection[Any] | None = taken
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                if session is None:
                    session = self._take()
                    if session is None:
                        _log.error("the claim to write is another's", trouble=CLAIMED)
                else:
                    session.execute(_SQL["still_there"])
            except psycopg.Error as error:
                _log.warning("claiming the event log again", error=line(error))
                if session is not None:
                    session.close()
                session = None
        if session is not None:
            session.close()

    def release(self) -> None:
        """Gives it up."""
        self._stopping.set()
        self._thread.join(_LOOK_SECONDS)
