"""Asks the read process how often plates are read.

Always true here: an import waits a bounded time for the answer, and goes on without it.
"""

from collections.abc import Iterable

import grpc
import grpc.aio

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.operations_pb2 import EstimateFrequencyRequest, FrequencyEstimate
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceStub
from ring.entry import entry_plate_of, is_pattern
from ring.errors import InvalidRequest
from ring.frequency import MOST_A_DAY, Frequencies

_AT_A_TIME = 200
_SECONDS = 30.0


class Estimator:
    """What one import asks; the answers are in `frequencies`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._read_side = ProjectionServiceStub(channel)
        self._answers = True
        self.frequencies = Frequencies()

    async def ask_for_plates(self) -> None:
        """Which plates are read too often."""
        answer = await self._ask(EstimateFrequencyRequest(above=MOST_A_DAY))
        self.frequencies.plates = {f.plate: f.reads_a_day for f in answer.plates}

    async def ask_for(self, entries: Iterable[HotlistEntry]) -> None:
        """How often the patterns among them are read."""
        known = self.frequencies.patterns
        new = sorted({p for e in entries if (p := _pattern_of(e)) and p not in known})
        for start in range(0, len(new), _AT_A_TIME):
            some = new[start : start + _AT_A_TIME]
            answer = await self._ask(EstimateFrequencyRequest(patterns=some))
            known.update((f.plate, f.reads_a_day) for f in answer.patterns)

    async def _ask(self, request: EstimateFrequencyRequest) -> FrequencyEstimate:
        if not self._answers:
            return FrequencyEstimate()
        try:
            return await self._read_side.EstimateFrequency(request, timeout=_SECONDS)
        except grpc.aio.AioRpcError:
            # Once is enough: a long import would wait at every message.
            self._answers = False
            return FrequencyEstimate()


def _pattern_of(entry: HotlistEntry) -> str:
    if not is_pattern(entry.plate):
        return ""
    try:
        return entry_plate_of(entry.plate)
    except InvalidRequest:
        return ""  # it is refused by its row
