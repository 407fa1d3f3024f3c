"""The looking back that goes on behind everything else.

Always true here: live matching has passed a change before its looking back begins; half of the time
at least is left to others; what fails, because the read side is away for instance, is tried again
until it is done. Changes of up to 5,000 entries come between the chunks of longer ones, so that an
urgent plate does not wait behind a million; of the longer ones the first is done first, a chunk
after each turn of short ones, however many of those come.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta, tzinfo

import grpc.aio
import structlog

from proto.ring.v1.hotlist_pb2 import ImportHeader
from proto.ring.v1.look_back_pb2 import LookBack
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceStub
from ring.application import Ring
from ring.hotlist import CHUNK
from ring.look_back import LookBack as StoredLookBack
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


@dataclass
class _Job:
    """A looking back that has begun, and how its candidates are asked for."""

    request: FindCandidatesRequest
    look_back: StoredLookBack


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
        # Those that go on, by the position of their change.
        self._jobs: dict[int, _Job] = {}
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
        waiting: list[Order] = []
        while True:
            self._changed.clear()
            try:
                head = await asyncio.to_thread(self._ring.event_log.head)
                new, owed = await asyncio.to_thread(self._new_orders, position)
                waiting += owed
                position = max(position, head, *(order.position for order in new))
                worked = await self._take_turn(waiting)
            except Exception as error:
                self._jobs.clear()
                self._tell(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                continue
            pause, self.trouble, self._told = _PAUSE_SECONDS, "", ""
            if worked:
                idle_since = time.monotonic()
                continue
            if time.monotonic() - idle_since > _FORGET_SECONDS:
                self._looker.forget()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _IDLE_SECONDS)

    def _new_orders(self, after: int) -> tuple[list[Order], list[Order]]:
        """Those after a position, and those of them that have not ended."""
        new = list(orders(self._ring, after))
        return new, [order for order in new if not self._looker.has_ended(order)]

    async def _take_turn(self, waiting: list[Order]) -> bool:
        """All short ones, then a chunk of the first long one; takes off what has ended."""
        short = [order for order in waiting if order.activated.added <= CHUNK]
        long = [order for order in waiting if order.activated.added > CHUNK]
        for order in short:
            while not await self._advance(order):
                pass
            waiting.remove(order)
        if long and await self._advance(long[0]):
            waiting.remove(long[0])
        return bool(short or long)

    async def _advance(self, order: Order) -> bool:
        """Looks back for a chunk more; whether it was the last one."""
        looker = self._looker
        job = self._jobs.get(order.position) or await self._begin(order)
        if not job.look_back.ended:
            chunk = job.look_back.done.chunks + 1
            entries = await asyncio.to_thread(looker.entries, order, chunk)
            job.request.plates[:] = sorted({entry.plate for entry in entries})
            entry_ids = {entry.entry_id for entry in entries}
            reads = alerts = 0
            async for page in self._read_side.FindCandidates(job.request):
                for start in range(0, len(page.positions), _READS):
                    began = time.monotonic()
                    positions = page.positions[start : start + _READS]
                    looked, raised = await asyncio.to_thread(
                        looker.look, order, entry_ids, positions
                    )
                    reads, alerts = reads + looked, alerts + raised
                    await asyncio.sleep(time.monotonic() - began)
            await asyncio.to_thread(looker.advance, job.look_back, order, reads, alerts)
        if job.look_back.ended:
            del self._jobs[order.position]
            return True
        return False

    async def _begin(self, order: Order) -> "_Job":
        """Once matching and the read side have come to it; or goes on with it after a stop."""
        looker = self._looker
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
        job = _Job(request, await asyncio.to_thread(looker.begin, order))
        self._jobs[order.position] = job
        return job

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
