"""The looking back that goes on behind everything else, one change of a list after the other.

Always true here: live matching has passed a change before its looking back begins; half of the time
at least is left to others; what fails, because the read side is away for instance, is tried again
until it is done.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta, tzinfo

import grpc.aio
import structlog

from proto.ring.v1.hotlist_pb2 import ImportHeader
from proto.ring.v1.look_back_pb2 import LookBack
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceStub
from ring.application import Ring
from ring.look_back import Order, asked_look_back, orders
from ring.looker import Looker
from ring.matching import Matcher
from ring.rpc.history import History

_log = structlog.get_logger(__name__)

# Reads that are matched without a rest.
_READS = 200
_IDLE_SECONDS, _WAIT_SECONDS = 1.0, 0.02
# After so long without a change, the lists' memory is given back.
_FORGET_SECONDS = 600.0
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0


class LookBacks:
    """Looks back for every change that says so.

    `channel`: to the read process; `period`: what an import looks back that does not say;
    `zone`: of the hours of watch orders; `patience`: see History.
    """

    def __init__(
        self,
        ring: Ring,
        matcher: Matcher,
        channel: grpc.aio.Channel,
        on_alerts: Callable[[], None],
        period: timedelta,
        zone: tzinfo,
        patience: float,
    ) -> None:
        self._period = period // timedelta(microseconds=1)
        self._ring = ring
        self._matcher = matcher
        self._read_side = ProjectionServiceStub(channel)
        self._looker = Looker(ring, on_alerts, zone)
        self._changed = asyncio.Event()
        self.history = History(ring, matcher, channel, zone, patience)
        # Why it does not go on, other than that the read side is away, which tells of itself.
        self.trouble = ""
        self._told = ""

    def asked(self, header: ImportHeader) -> LookBack | None:
        """How an import looks back, None where it does not; InvalidRequest where it can't."""
        asked = header.look_back if header.HasField("look_back") else None
        return asked_look_back(asked, self._period)

    def notify(self) -> None:
        """A list changed. From the event loop's thread."""
        self._changed.set()

    async def run(self) -> None:
        """Looks back until it is cancelled."""
        position, pause, idle_since = 0, _PAUSE_SECONDS, time.monotonic()
        while True:
            self._changed.clear()
            try:
                head = await asyncio.to_thread(self._ring.event_log.head)
                order = await asyncio.to_thread(next, orders(self._ring, position), None)
                if order is not None:
                    await self._look_back(order)
            except Exception as error:
                self._tell(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause, self.trouble, self._told = _PAUSE_SECONDS, "", ""
            if order is not None:
                position, idle_since = order.position, time.monotonic()
                continue
            position = max(position, head)
            if time.monotonic() - idle_since > _FORGET_SECONDS:
                self._looker.forget()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _IDLE_SECONDS)

    async def _look_back(self, order: Order) -> None:
        looker = self._looker
        if await asyncio.to_thread(looker.has_ended, order):
            return
        while self._matcher.position < order.position:  # noqa: ASYNC110
            await asyncio.sleep(_WAIT_SECONDS)  # the matcher tells nobody
        policy = await asyncio.to_thread(looker.policy, order)
        request = FindCandidatesRequest(
            before=order.position,
            received_from=order.received_from(),
            threshold=policy.lowest,
            at_least=[self._ring.position(order.position)],
        )
        # Without a plate it only waits until the read side has come so far.
        async for _ in self._read_side.FindCandidates(request):
            pass
        look_back = await asyncio.to_thread(looker.begin, order)
        while not look_back.ended:
            chunk = look_back.done.chunks + 1
            entries = await asyncio.to_thread(looker.entries, order, chunk)
            request.plates[:] = sorted({entry.plate for entry in entries})
            entry_ids = {entry.entry_id for entry in entries}
            reads = alerts = 0
            async for page in self._read_side.FindCandidates(request):
                for start in range(0, len(page.positions), _READS):
                    began = time.monotonic()
                    positions = page.positions[start : start + _READS]
                    looked, raised = await asyncio.to_thread(
                        looker.look, order, entry_ids, positions
                    )
                    reads, alerts = reads + looked, alerts + raised
                    await asyncio.sleep(time.monotonic() - began)
            await asyncio.to_thread(looker.advance, look_back, order, reads, alerts)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            self.trouble, cause = "", None
            reason = f"waits for the read side ({error.code().name})"
        else:
            self.trouble = reason = f"tries again: {error}"
            cause = error
        if reason != self._told:
            _log.warning("looking back tries again", reason=reason, exc_info=cause)
        self._told = reason
