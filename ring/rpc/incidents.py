"""IncidentService on the public address: scoped here, answered by the read process.

Always true here: a question reaches the read side together with the lists that its caller may see,
as the log has the grants at that moment.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc.aio

from proto.ring.v1 import incident_pb2 as pb
from proto.ring.v1 import incident_pb2_grpc
from ring.access import Caller
from ring.application import Ring
from ring.rpc.caller import caller_of
from ring.rpc.investigation import pass_on
from ring.sharing import visible_hotlists

_T = TypeVar("_T")


class IncidentService(incident_pb2_grpc.IncidentServiceServicer):
    """The servicer. `channel`: to the read process."""

    def __init__(self, ring: Ring, channel: grpc.aio.Channel) -> None:
        self._ring = ring
        self._reports: Any = incident_pb2_grpc.AlertReportServiceStub(channel)

    async def ListIncidents(  # noqa: N802
        self, request: pb.ListIncidentsRequest, context: Any
    ) -> pb.ListIncidentsResponse:
        """The one seen last first."""
        scope = await self._scope(context)
        scoped = pb.ScopedListIncidentsRequest(request=request, scope=scope)
        answer: pb.ListIncidentsResponse = await _ask(self._reports.ListIncidents, scoped, context)
        return answer

    async def GetIncident(  # noqa: N802
        self, request: pb.GetIncidentRequest, context: Any
    ) -> pb.Incident:
        """The one that an alert belongs to."""
        scope = await self._scope(context)
        scoped = pb.ScopedGetIncidentRequest(request=request, scope=scope)
        answer: pb.Incident = await _ask(self._reports.GetIncident, scoped, context)
        return answer

    async def GetPrecision(  # noqa: N802
        self, request: pb.GetPrecisionRequest, context: Any
    ) -> pb.GetPrecisionResponse:
        """Per list, reader and period."""
        scope = await self._scope(context)
        scoped = pb.ScopedGetPrecisionRequest(request=request, scope=scope)
        answer: pb.GetPrecisionResponse = await _ask(self._reports.GetPrecision, scoped, context)
        return answer

    async def _scope(self, context: Any) -> pb.ReportScope:
        caller: Caller = caller_of(context)
        if not caller.agency:
            return pb.ReportScope(everything=True)
        lists = await asyncio.to_thread(visible_hotlists, self._ring, caller)
        return pb.ReportScope(
            agencies=[hotlist.created.agency for hotlist in lists],
            hotlists=[hotlist.created.name for hotlist in lists],
        )


async def _ask(call: Callable[..., Awaitable[_T]], request: Any, context: Any) -> _T:
    try:
        return await call(request, timeout=context.time_remaining())
    except grpc.aio.AioRpcError as error:
        await pass_on(error, context)
        raise
