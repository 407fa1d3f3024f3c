"""How every part of the server is: in the gRPC health service, in GetStatus and in the metrics.

Always true here: an ill read side never makes ingest or alerts look ill, nor the other way round.
"""

import asyncio
from typing import Any

import grpc.aio
import structlog
from grpc_health.v1 import health_pb2

from proto.ring.v1 import operations_pb2 as pb
from proto.ring.v1 import operations_pb2_grpc
from ring import metrics
from ring.application import Ring
from ring.ingest import Committer
from ring.matching import Matcher
from ring.rpc.alerts import AlertService
from ring.rpc.ingest import IngestService
from ring.rpc.look_back import LookBacks

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0
# Which part each service depends on; "" is the server as a whole: that reads come in.
_SERVICES = {
    "": "event log",
    "ring.v1.IngestService": "event log",
    "ring.v1.RegistryService": "event log",
    "ring.v1.HotlistService": "event log",
    "ring.v1.OperationsService": "event log",
    "ring.v1.AlertService": "matching",
    "ring.v1.WebhookService": "matching",
    "ring.v1.LookBackService": "looking back",
    "ring.v1.InvestigationService": "read side",
    "ring.v1.IncidentService": "read side",
}


class Watch:
    """Looks at every part, again and again. `checks`: the health servicer."""

    def __init__(
        self,
        ring: Ring,
        committer: Committer,
        matcher: Matcher,
        ingest: IngestService,
        alerts: AlertService,
        look_backs: LookBacks,
        channel: grpc.aio.Channel,
        checks: Any,
    ) -> None:
        self._ring = ring
        self._committer = committer
        self._matcher = matcher
        self._ingest = ingest
        self._alerts = alerts
        self._look_backs = look_backs
        self._read_side = operations_pb2_grpc.ProjectionServiceStub(channel)
        self._checks = checks
        self._ill: dict[str, str] = {}

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> pb.GetStatusResponse:
        """One look: how far everything has come, and how it is."""
        status = pb.GetStatusResponse(
            matched=self._ring.position(self._matcher.position),
            streams=self._ingest.streams,
            subscribers=self._alerts.subscribers,
        )
        trouble = {
            "event log": self._ring.event_log.refusal or self._committer.trouble,
            "matching": self._matcher.trouble,
            "looking back": self._look_backs.trouble,
            "read side": "",
            "pictures": self._ingest.picture_trouble,
        }
        try:
            head = await asyncio.to_thread(self._ring.event_log.head)
            status.head.CopyFrom(self._ring.position(head))
        except Exception as error:
            trouble["event log"] = f"can't be read: {error}"
        try:
            projection: pb.ProjectionStatus = await self._read_side.GetStatus(
                pb.GetStatusRequest(), timeout=_PATIENCE_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            trouble["read side"] = f"does not answer ({error.code().name})"
        else:
            status.projected.CopyFrom(projection.projected)
            trouble["read side"] = "" if projection.health == "ok" else projection.health
        status.read_side = trouble["read side"] or "ok"
        for part, message in trouble.items():
            status.parts.add(part=part, well=not message, message=message)
        await self._tell(status, trouble)
        return status

    async def _tell(self, status: pb.GetStatusResponse, trouble: dict[str, str]) -> None:
        for part, message in trouble.items():
            before = self._ill.get(part, "")
            if message and not before:
                _log.error("a part is ill", part=part, trouble=message)
            elif before and not message:
                _log.info("a part is well again", part=part)
            self._ill[part] = message
            metrics.WELL.labels(part).set(not message)
        for service, part in _SERVICES.items():
            well = health_pb2.HealthCheckResponse.SERVING
            ill = health_pb2.HealthCheckResponse.NOT_SERVING
            await self._checks.set(service, ill if trouble[part] else well)
        metrics.HEAD.set(status.head.position)
        metrics.MATCHED.set(status.matched.position)
        if status.HasField("projected"):
            metrics.PROJECTED.set(status.projected.position)
        metrics.STREAMS.set(status.streams)
        metrics.SUBSCRIBERS.set(status.subscribers)
        for reader_id, health in self._ingest.readers.each():
            metrics.SPOOL_DEPTH.labels(reader_id).set(health.spool_depth)
            metrics.CLOCK_OFFSET.labels(reader_id).set(health.clock_offset_seconds)
