"""The end of the alerts: read from the log once, for all subscribers who have come that far.

Always true here: what is handed out comes from the log, in order of position, with nothing left
out; who can't take it in time loses his seat, not alerts: he reads on from the log by himself.
"""

import asyncio
import threading

import structlog

from ring.telling import WITH_UPDATES, Stretch, Teller, Told
from ring.wakeup import Wakeup

_log = structlog.get_logger(__name__)

# Alerts that a seat holds at the most: bounds what a slow subscriber costs.
_MOST_WAITING = 1000
_IDLE_SECONDS = 1.0


class Seat:
    """One subscriber's place. Used in the event loop's thread."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.taken = False
        self._waiting: list[Told] = []

    def give(self, told: list[Told]) -> None:
        """Something new."""
        if not self.taken or not told:
            return
        if len(self._waiting) + len(told) > _MOST_WAITING:
            self.leave()
        else:
            self._waiting += told
        self.changed.set()

    def leave(self) -> None:
        """Holds nothing any more, and is given nothing."""
        self.taken = False
        self._waiting = []

    def take(self) -> list[Told]:
        """What was given since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting


class Tail:
    """The thread that reads on from a position, and the seats.

    `wakeup` is notified when there may be something.
    """

    def __init__(self, teller: Teller, position: int, wakeup: Wakeup) -> None:
        self._teller = teller
        self._wakeup = wakeup
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._seats: set[Seat] = set()
        # Everything up to here was handed out.
        self.position = position
        self._thread.start()

    def __len__(self) -> int:
        return len(self._seats)

    def add(self, seat: Seat) -> None:
        """A subscriber is there."""
        self._seats.add(seat)

    def discard(self, seat: Seat) -> None:
        """A subscriber is gone."""
        self._seats.discard(seat)

    def join(self, seat: Seat, position: int) -> bool:
        """From now on the seat is given what comes; False where `position` is too far back."""
        seat.taken = position >= self.position
        return seat.taken

    def ring_all(self) -> None:
        """Every subscriber looks up."""
        for seat in self._seats:
            seat.changed.set()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._wakeup.notify()

    def _run(self) -> None:
        position = self.position
        while not self._stopping.is_set():
            seen = self._wakeup.count
            try:
                found = self._teller.stretch(position, WITH_UPDATES)
                if found.upto > position:
                    self._loop.call_soon_threadsafe(self._hand_out, found)
                    position = found.upto
            except Exception as error:
                if not self._stopping.is_set():
                    _log.warning("reading alerts tries again", error=str(error))
                self._stopping.wait(_IDLE_SECONDS)
                continue
            if not found.told:
                self._wakeup.wait(seen, _IDLE_SECONDS)

    def _hand_out(self, found: Stretch) -> None:
        self.position = found.upto
        for seat in self._seats:
            seat.give(found.told)
