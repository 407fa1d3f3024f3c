"""Flows counted before anybody asks, so that a question adds up and need not count.

Always true here: what is counted is kept by the rule of flows.py, as what a question counts is; a
client is taken for two hours of traffic at a time, and for as long as that took it is left alone.
"""

import threading
import time
from collections.abc import Callable

import structlog

from projections.clickhouse import ClickHouseError, Readers
from projections.flows import QUARTER, count_ahead, kept_quarters

# Seconds: before the first round, and between two.
_FIRST, _BETWEEN = 20.0, 60.0
# A quarter of an hour is left alone until its reads have had time to arrive, seconds.
_SETTLING = 120
# Quarters at a time; how many of the latest a round looks at; a round in so many looks at all.
_STEP, _RECENT, _ALL_IN = 8, 2 * 96, 60

_logger = structlog.get_logger("projections.counting")


class FlowCounter:
    """A thread that counts flows ahead. Make one for the readers of the live projection."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flow-counter", daemon=True)

    def start(self) -> None:
        """Begins, after a while."""
        self._thread.start()

    def stop(self) -> None:
        """Blocks until what is being counted is kept."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait, rounds = _FIRST, 0
        while not self._stop.wait(wait):
            wait = _BETWEEN
            try:
                count_round(
                    self._readers,
                    time.time(),
                    everything=rounds % _ALL_IN == 0,
                    rest=self._stop.wait,
                )
            except ClickHouseError as error:
                # The follower says the same, louder: here nothing is lost, questions count.
                _logger.info("flows_not_counted", code=error.code)
                continue
            rounds += 1


def count_round(
    readers: Readers, now: float, *, everything: bool, rest: Callable[[float], bool]
) -> None:
    """Counts what is not counted yet, the latest first. `now`: seconds since 1970.

    everything: all that is kept, not the last two days alone. `rest` waits some seconds, and gives
    True where it is time to stop.
    """
    with readers.client() as client:
        kept = kept_quarters(client)
    end = min(kept.stop, int(now - _SETTLING) * 1_000_000 // QUARTER)
    begin = kept.start if everything else max(kept.start, end - _RECENT)
    for upto in range(end, begin, -_STEP):
        started = time.monotonic()
        with readers.client() as client:
            count_ahead(client, range(max(begin, upto - _STEP), upto))
        if rest(time.monotonic() - started):
            return
