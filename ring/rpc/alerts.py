"""AlertService: alerts out, each once, and what became of them.

Always true here: a subscriber is served from the log by position, never from memory, so it can't
miss or repeat one, and a slow one costs nothing but its own place.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from eventsourcing.persistence import Notification

from proto.ring.v1 import alert_pb2 as pb
from proto.ring.v1 import alert_pb2_grpc
from ring.alert import Alert
from ring.application import Ring
from ring.errors import BeyondLog, InvalidRequest, StateForbids, TooSlow, Unavailable
from ring.rpc.clock import now
from ring.wakeup import Wakeup

_RAISED = [Alert.Raised.TOPIC]
_ALL = [Alert.Raised.TOPIC, Alert.Acknowledged.TOPIC, Alert.Resolved.TOPIC]
_PAGE = 200
_PROGRESS_SECONDS = 2.0
# How long one message may wait for room in the subscriber's connection.
_STALL_SECONDS = 30.0
# Until identity exists, nobody knows who it was.
_SOMEBODY = "insecure"


class AlertService(alert_pb2_grpc.AlertServiceServicer):
    """The servicer. `wakeup` is notified at each stored alert or change of one."""

    def __init__(
        self, ring: Ring, wakeup: Wakeup, *, stall_seconds: float = _STALL_SECONDS
    ) -> None:
        self._ring = ring
        self._wakeup = wakeup
        self._stall = stall_seconds
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        # One a subscriber; set when there may be something new for it.
        self._bells: set[asyncio.Event] = set()
        wakeup.listen(self._ring_from_thread)

    @property
    def subscribers(self) -> int:
        """Subscribers that are there now."""
        return len(self._bells)

    def _ring_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._ring_bells)

    def _ring_bells(self) -> None:
        for bell in self._bells:
            bell.set()

    def stop(self) -> None:
        """Ends every subscription: the server goes away."""
        self._stopping = True
        self._ring_bells()

    async def Subscribe(  # type: ignore[override] # noqa: N802 - writes by its context
        self, request: pb.SubscribeRequest, context: Any
    ) -> None:
        """Alerts from a position on, until the subscriber leaves."""
        position = await self._start(request)
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            await self._serve(request, position, context, bell)
        finally:
            self._bells.discard(bell)

    async def _start(self, request: pb.SubscribeRequest) -> int:
        head = await asyncio.to_thread(self._ring.event_log.head)
        if request.from_beginning:
            if request.after:
                raise InvalidRequest("from_beginning and after exclude each other")
            return 0
        if not request.after:
            return head
        log_id = self._ring.event_log.log_id
        ours = [after.position for after in request.after if after.log_id == log_id]
        if not ours:
            raise StateForbids(
                f"the position is of another log, this one is {log_id}: the ring was restored or "
                "is another one; subscribe with from_beginning and drop the alerts you know"
            )
        if ours[0] > head:
            raise BeyondLog(f"the log has not reached position {ours[0]}: it ends at {head}")
        return ours[0]

    async def _serve(
        self, request: pb.SubscribeRequest, position: int, context: Any, bell: asyncio.Event
    ) -> None:
        log = self._ring.event_log
        topics = _ALL if request.include_updates else _RAISED
        told_at = 0.0
        while True:
            bell.clear()
            # Looked at before the page, so that the page holds all up to it.
            head = await asyncio.to_thread(log.head)
            page = await asyncio.to_thread(
                log.select_notifications, position, _PAGE, None, topics, inclusive_of_start=False
            )
            for notification in page:
                position = notification.id
                alert = await self._alert(notification)
                if _wanted(request, alert):
                    await self._send(context, pb.SubscribeResponse(alert=alert))
            if len(page) == _PAGE:
                continue
            position = max(position, head)
            if time.monotonic() - told_at >= _PROGRESS_SECONDS:
                progress = self._ring.position(position)
                await self._send(context, pb.SubscribeResponse(progress=progress))
                told_at = time.monotonic()
            if self._stopping:
                raise Unavailable("the server is stopping: subscribe again after your position")
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), _PROGRESS_SECONDS)

    async def _alert(self, notification: Notification) -> pb.Alert:
        if notification.topic == Alert.Raised.TOPIC:
            alert: Alert | None = Alert(notification.originator_id)  # type: ignore[arg-type]
            assert alert is not None
            event: Any = self._ring.mapper.to_domain_event(notification)
            alert.apply(event)
        else:
            id_: Any = notification.originator_id
            alert = await asyncio.to_thread(
                lambda: self._ring.get(Alert, id_, notification.originator_version)
            )
            assert alert is not None
        return alert.message(self._ring.position(notification.id))

    async def _send(self, context: Any, message: pb.SubscribeResponse) -> None:
        try:
            await asyncio.wait_for(context.write(message), self._stall)
        except TimeoutError:
            raise TooSlow(
                f"nothing was taken from this stream for {self._stall:.0f} s: subscribe again "
                "after your last position"
            ) from None

    async def Acknowledge(  # noqa: N802
        self, request: pb.AcknowledgeRequest, context: Any
    ) -> pb.Alert:
        """Somebody has seen it."""
        return await self._change(
            request.alert_id, lambda alert: alert.acknowledge(_SOMEBODY, request.note, now())
        )

    async def Resolve(self, request: pb.ResolveRequest, context: Any) -> pb.Alert:  # noqa: N802
        """How it ended."""
        return await self._change(
            request.alert_id,
            lambda alert: alert.resolve(request.disposition, _SOMEBODY, request.note, now()),
        )

    async def _change(self, alert_id: str, change: Any) -> pb.Alert:
        alert, position = await asyncio.to_thread(self._ring.change_alert, alert_id, change)
        self._wakeup.notify()
        return alert.message(position)


def _wanted(request: pb.SubscribeRequest, alert: pb.Alert) -> bool:
    if request.hotlists and alert.hotlist not in request.hotlists:
        return False
    return not request.checkpoints or alert.sighting.checkpoint in request.checkpoints
