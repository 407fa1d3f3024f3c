"""Notes readers that went silent, and that are heard again, as events.

Always true here: a reader that has a stream is heard, whether or not anything passes its camera.
"""

import asyncio
import time
from datetime import timedelta

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from ring.application import Ring
from ring.directory import Directory
from ring.rpc.clock import now
from ring.rpc.readers import Readers

_log = structlog.get_logger(__name__)


class SilenceWatch:
    """Looks at the readers that were ever heard. `limit`: how long is silent."""

    def __init__(
        self, ring: Ring, directory: Directory, readers: Readers, limit: timedelta
    ) -> None:
        self._ring = ring
        self._directory = directory
        self._readers = readers
        self._limit = limit.total_seconds()

    async def run(self) -> None:
        """Looks until it is cancelled. What can't be noted just now is noted at a later look."""
        told = ""
        while True:
            await asyncio.sleep(min(30.0, self._limit / 2))
            try:
                await self._look()
                told = ""
            except Exception as error:
                if str(error) != told:
                    _log.warning("silent readers can't be noted; trying again", error=str(error))
                told = str(error)

    async def _look(self) -> None:
        for reader_id, last in self._readers.last_heard().items():
            reader = self._directory.readers.get(reader_id)
            silent = time.time() - last.seconds > self._limit
            if reader is not None and reader.silent != silent:
                await asyncio.to_thread(self._note, reader_id, silent, last)

    def _note(self, reader_id: str, silent: bool, last: Timestamp) -> None:
        self._ring.hear_reader(reader_id, silent, now(), last)
        self._directory.catch_up()
