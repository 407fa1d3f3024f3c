"""AlertService: alerts out, each once, and what became of them.

Always true here: a subscriber is served what lies in the log, by position, so it can't miss or
repeat one; a slow one costs nothing but its own place.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from proto.ring.v1 import alert_pb2 as pb
from proto.ring.v1 import alert_pb2_grpc
from ring.access import Caller, Right, check_right
from ring.alert import Alert, no_alert
from ring.application import Ring
from ring.errors import Unavailable
from ring.rpc.alert_tail import Seat, Tail
from ring.rpc.caller import caller_of
from ring.rpc.clock import now
from ring.rpc.sending import send
from ring.selection import is_wanted
from ring.sharing import Shares
from ring.telling import RAISED, WITH_UPDATES, Teller, start_position
from ring.wakeup import Wakeup

_PROGRESS_SECONDS = 2.0


class AlertService(alert_pb2_grpc.AlertServiceServicer):
    """The servicer. `wakeup` is notified at each stored alert or change of one.

    `patience`: seconds that one message may wait for room in a subscriber's connection.
    """

    def __init__(self, ring: Ring, teller: Teller, wakeup: Wakeup, patience: float) -> None:
        self._ring = ring
        self._wakeup = wakeup
        self._patience = patience
        self._stopping = False
        self._teller = teller
        self._tail = Tail(teller, ring.event_log.head(), wakeup)
        self._shares = Shares(ring)

    @property
    def subscribers(self) -> int:
        """Subscribers that are there now."""
        return len(self._tail)

    def stop(self) -> None:
        """Ends every subscription: the server goes away."""
        self._stopping = True
        self._tail.stop()
        self._tail.ring_all()

    async def Subscribe(  # type: ignore[override] # noqa: N802 - writes by its context
        self, request: pb.SubscribeRequest, context: Any
    ) -> None:
        """Alerts from a position on, until the subscriber leaves."""
        caller = caller_of(context)
        position = await asyncio.to_thread(
            start_position, self._ring, request.after, from_beginning=request.from_beginning
        )
        seat = Seat()
        self._tail.add(seat)
        try:
            await self._serve(request, caller, position, context, seat)
        finally:
            self._tail.discard(seat)

    async def _serve(
        self,
        request: pb.SubscribeRequest,
        caller: Caller,
        position: int,
        context: Any,
        seat: Seat,
    ) -> None:
        topics = WITH_UPDATES if request.include_updates else RAISED
        told_at = 0.0
        while True:
            seat.changed.clear()
            if seat.taken or self._tail.join(seat, position):
                found, upto = seat.take(), self._tail.position
            else:
                found, upto = await asyncio.to_thread(self._teller.stretch, position, topics)
            if caller.agency and found:
                await asyncio.to_thread(self._shares.catch_up)
            for told in found:
                alert = told.message.alert
                if self._shares.right(caller, alert.agency, alert.hotlist) < Right.SEE:
                    continue
                if told.update and not request.include_updates:
                    continue
                if told.position > position and is_wanted(request, alert):
                    await self._send(context, told.message)
            position = max(position, upto)
            if self._stopping:
                raise Unavailable("the server is stopping: subscribe again after your position")
            if not seat.taken:
                continue  # it has not come to the tail yet, or lost its seat while it was told
            if time.monotonic() - told_at >= _PROGRESS_SECONDS:
                progress = self._ring.position(position)
                await self._send(context, pb.SubscribeResponse(progress=progress))
                told_at = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(seat.changed.wait(), _PROGRESS_SECONDS)

    async def _send(self, context: Any, message: pb.SubscribeResponse) -> None:
        advice = "subscribe again after your last position"
        await send(context, message, self._patience, advice)

    async def Acknowledge(  # noqa: N802
        self, request: pb.AcknowledgeRequest, context: Any
    ) -> pb.Alert:
        """Somebody has seen it."""
        caller = caller_of(context)
        return await self._change(
            caller,
            request.alert_id,
            lambda alert: alert.acknowledge(caller.name, request.note, now()),
        )

    async def Resolve(self, request: pb.ResolveRequest, context: Any) -> pb.Alert:  # noqa: N802
        """How it ended."""
        caller = caller_of(context)
        return await self._change(
            caller,
            request.alert_id,
            lambda alert: alert.resolve(request.disposition, caller.name, request.note, now()),
        )

    async def _change(
        self, caller: Caller, alert_id: str, change: Callable[[Alert], bool]
    ) -> pb.Alert:
        def allowed(alert: Alert) -> bool:
            self._shares.catch_up()
            agency, name = alert.raised.agency, alert.raised.hotlist
            held = self._shares.right(caller, agency, name)
            if held < Right.SEE:
                raise no_alert(alert_id)
            check_right(held, Right.CHANGE, agency, name)
            return change(alert)

        alert, position = await asyncio.to_thread(self._ring.change_alert, alert_id, allowed)
        self._wakeup.notify()
        return await asyncio.to_thread(self._teller.changed, alert, position.position)
