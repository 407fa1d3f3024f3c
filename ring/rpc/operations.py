"""OperationsService: how far the ring has come, what was rejected, rebuilding."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

import ring as product
from proto.ring.v1 import operations_pb2 as pb
from proto.ring.v1 import operations_pb2_grpc
from proto.ring.v1.events_pb2 import StoredReject
from ring.application import Ring
from ring.errors import StateForbids, Unavailable
from ring.matching import Matcher
from ring.reads import Conflict, ReadLog
from ring.rpc.clock import now
from ring.store import unseal

_REJECTS = [ReadLog.ReadRejected.TOPIC, Conflict.Recorded.TOPIC]
_DEFAULT_LIMIT = 1000
_PAGE = 500
_STATUS_SECONDS = 2.0


class OperationsService(operations_pb2_grpc.OperationsServiceServicer):
    """The servicer. `counts`: open streams and subscribers, just now."""

    def __init__(
        self,
        ring: Ring,
        matcher: Matcher,
        channel: grpc.aio.Channel,
        counts: Callable[[], tuple[int, int]],
    ) -> None:
        self._ring = ring
        self._matcher = matcher
        self._read_side = operations_pb2_grpc.ProjectionServiceStub(channel)
        self._counts = counts
        self._started = now()

    async def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: Any
    ) -> pb.GetStatusResponse:
        """How far everything has come."""
        head = await asyncio.to_thread(self._ring.event_log.head)
        streams, subscribers = self._counts()
        status = pb.GetStatusResponse(
            version=product.__version__,
            head=self._ring.position(head),
            matched=self._ring.position(self._matcher.position),
            streams=streams,
            subscribers=subscribers,
            started_at=self._started,
        )
        try:
            projection: pb.ProjectionStatus = await self._read_side.GetStatus(
                request, timeout=_STATUS_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            status.read_side = f"does not answer ({error.code().name})"
        else:
            status.projected.CopyFrom(projection.projected)
            status.read_side = projection.health
        return status

    async def ListRejects(  # noqa: N802
        self, request: pb.ListRejectsRequest, context: Any
    ) -> AsyncIterator[pb.Reject]:
        """As they were sent, in order of position."""
        log = self._ring.event_log
        position = request.after.position
        if request.after.log_id not in ("", log.log_id):
            raise StateForbids(f"the position is of another log, this one is {log.log_id}")
        left = request.limit or _DEFAULT_LIMIT
        while left:
            page = await asyncio.to_thread(
                log.select_notifications, position, _PAGE, None, _REJECTS, inclusive_of_start=False
            )
            for notification in page:
                reject = StoredReject.FromString(unseal(notification.state))
                if request.reader_id in ("", reject.reader_id) and left:
                    left -= 1
                    yield pb.Reject(
                        position=self._ring.position(notification.id),
                        reader_id=reject.reader_id,
                        epoch=reject.epoch,
                        received_at=reject.received_at,
                        reason=reject.reason,
                        read=reject.read,
                        conflict=notification.topic == Conflict.Recorded.TOPIC,
                    )
            if len(page) < _PAGE:
                return
            position = page[-1].id

    async def Rebuild(  # noqa: N802
        self, request: pb.RebuildRequest, context: Any
    ) -> AsyncIterator[pb.RebuildProgress]:
        """The read side does it; this passes its progress on."""
        try:
            async for progress in self._read_side.Rebuild(request):
                yield progress
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise Unavailable("the read side does not answer just now: try again") from None
            await context.abort(error.code(), error.details() or "")
