"""AlertReportService of the read process: what the write process asks on behalf of a caller.

Always true here: nothing outside of the scope that comes with a question is looked at.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from projections.answering import City, Context, ask, wait
from projections.incidents import incident_with, incidents, page_of
from projections.precision import precision, question_of
from projections.read_side import ReadSide
from proto.ring.v1 import incident_pb2 as pb
from proto.ring.v1.incident_pb2_grpc import AlertReportServiceServicer


class AlertReports(AlertReportServiceServicer):
    """Incidents, and how often alerts were right."""

    def __init__(
        self, read_side: ReadSide, threads: ThreadPoolExecutor, city: City | None = None
    ) -> None:
        self._side = read_side
        self._threads = threads
        self._city = city or City()
        self._gap = self._city.incident_gap // timedelta(microseconds=1)

    async def ListIncidents(  # noqa: N802
        self, request: pb.ScopedListIncidentsRequest, context: Context
    ) -> pb.ListIncidentsResponse:
        """The one seen last first."""
        page = page_of(request.request, request.scope)
        await wait(self._side, request.request.at_least, context)
        return await ask(
            self._side, self._threads, lambda client: incidents(client, self._gap, page)
        )

    async def GetIncident(  # noqa: N802
        self, request: pb.ScopedGetIncidentRequest, context: Context
    ) -> pb.Incident:
        """The one that an alert belongs to."""
        await wait(self._side, request.request.at_least, context)
        return await ask(
            self._side,
            self._threads,
            lambda client: incident_with(client, self._gap, request.request, request.scope),
        )

    async def GetPrecision(  # noqa: N802
        self, request: pb.ScopedGetPrecisionRequest, context: Context
    ) -> pb.GetPrecisionResponse:
        """Per list, reader and period."""
        asked = question_of(request.request, request.scope, self._city.zone)
        await wait(self._side, request.request.at_least, context)
        rows = await ask(self._side, self._threads, lambda client: precision(client, asked))
        return pb.GetPrecisionResponse(rows=rows)
