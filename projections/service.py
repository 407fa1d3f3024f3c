"""The services of the read process, on gRPC.

Always true here: every blocking call runs in a thread; a question is checked before anything is
waited for or looked up; what ClickHouse says of a failed question, which may quote plates, goes
nowhere.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from projections.answering import City, Context, ask, caught_up, run, wait, work
from projections.candidates import candidates, wanted_of
from projections.clones import clone_suspects, hunt_of
from projections.encounters import companions_of, travel_of
from projections.flows import flows_in, traffic_of
from projections.frequency import check_frequency, estimate
from projections.movements import timeline_of
from projections.presence import moment_of, present_at
from projections.read_side import ReadSide
from projections.reconcile import reconcile
from projections.requests import Span, check_purpose, span_of
from projections.scenes import common_plates, places_of
from projections.search import page_of, search
from projections.sightings import stretch
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import PlateSighting
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceServicer
from proto.ring.v1.operations_pb2 import (
    Candidates,
    EstimateFrequencyRequest,
    FindCandidatesRequest,
    FrequencyEstimate,
    GetStatusRequest,
    ProjectionStatus,
    RebuildProgress,
    RebuildRequest,
    ReconcileProgress,
    ReconcileRequest,
)
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceServicer
from ring.errors import NotBuilt
from ring.values import plate_of

_PROGRESS_SECONDS = 1.0


class Investigation(InvestigationServiceServicer):
    """Plate histories out. GetPicture is the write process's."""

    def __init__(
        self, read_side: ReadSide, threads: ThreadPoolExecutor, city: City | None = None
    ) -> None:
        self._side = read_side
        self._threads = threads
        self._city = city or City()

    async def SearchPlates(  # noqa: N802
        self, request: pb.SearchPlatesRequest, context: Context
    ) -> pb.SearchPlatesResponse:
        """Which plates match a pattern."""
        check_purpose(request.purpose)
        page = page_of(request)
        await wait(self._side, request.at_least, context)
        log = self._side.log
        return await ask(self._side, self._threads, lambda client: search(client, log, page))

    async def ListReads(  # noqa: N802
        self, request: pb.ListReadsRequest, context: Context
    ) -> AsyncIterator[PlateSighting]:
        """Raw reads of one plate."""
        check_purpose(request.purpose)
        plate, span = plate_of(request.plate), span_of(request.range)
        await wait(self._side, request.at_least, context)
        log = self._side.log
        left: Span | None = span
        while left:
            now = left
            sightings, left = await ask(
                self._side,
                self._threads,
                lambda client: stretch(client, log, plate, now),  # noqa: B023
            )
            for sighting in sightings:
                yield sighting

    async def GetTimeline(  # noqa: N802
        self, request: pb.GetTimelineRequest, context: Context
    ) -> pb.GetTimelineResponse:
        """Passages and visits of one plate."""
        check_purpose(request.purpose)
        plate, span = plate_of(request.plate), span_of(request.range)
        await wait(self._side, request.at_least, context)
        log = self._side.log
        return await ask(
            self._side, self._threads, lambda client: timeline_of(client, log, plate, span)
        )

    async def ListFlows(  # noqa: N802
        self, request: pb.ListFlowsRequest, context: Context
    ) -> pb.ListFlowsResponse:
        """Passages per checkpoint, direction and hour."""
        traffic = traffic_of(request, self._city.zone, _now())
        await wait(self._side, request.at_least, context)
        return await ask(self._side, self._threads, lambda client: flows_in(client, traffic))

    async def FindCompanions(  # noqa: N802
        self, request: pb.FindCompanionsRequest, context: Context
    ) -> pb.FindCompanionsResponse:
        """Who travelled with a plate."""
        check_purpose(request.purpose)
        travel = travel_of(request)
        await wait(self._side, request.at_least, context)
        log = self._side.log
        return await ask(
            self._side, self._threads, lambda client: companions_of(client, log, travel)
        )

    async def FindCommonPlates(  # noqa: N802
        self, request: pb.FindCommonPlatesRequest, context: Context
    ) -> pb.FindCommonPlatesResponse:
        """Who was at several scenes."""
        check_purpose(request.purpose)
        places = places_of(request)
        await wait(self._side, request.at_least, context)
        log = self._side.log
        return await ask(
            self._side, self._threads, lambda client: common_plates(client, log, places)
        )

    async def ListCloneSuspects(  # noqa: N802
        self, request: pb.ListCloneSuspectsRequest, context: Context
    ) -> pb.ListCloneSuspectsResponse:
        """Which plates two vehicles seem to carry."""
        check_purpose(request.purpose)
        hunt = hunt_of(request, _now())
        await wait(self._side, request.at_least, context)
        log = self._side.log
        return await ask(
            self._side, self._threads, lambda client: clone_suspects(client, log, hunt)
        )

    async def ListPresent(  # noqa: N802
        self, request: pb.ListPresentRequest, context: Context
    ) -> pb.ListPresentResponse:
        """Who is inside the ring at a time."""
        check_purpose(request.purpose)
        max_visit = self._city.max_visit // timedelta(microseconds=1)
        moment = moment_of(request, _now(), max_visit)
        await wait(self._side, request.at_least, context)
        side = self._side
        return await ask(
            side,
            self._threads,
            lambda client: present_at(client, side.log, side.passages, moment),
        )

    async def GetPicture(  # noqa: N802
        self, request: pb.GetPictureRequest, context: Context
    ) -> pb.GetPictureResponse:
        """Pictures lie with the write process."""
        raise NotBuilt("GetPicture is answered on the ring's public address")


class Projections(ProjectionServiceServicer):
    """How the read side is, and building it anew."""

    def __init__(self, read_side: ReadSide, threads: ThreadPoolExecutor) -> None:
        self._side = read_side
        self._threads = threads

    async def GetStatus(  # noqa: N802
        self, request: GetStatusRequest, context: Context
    ) -> ProjectionStatus:
        """How far it has come, and whether it is well."""
        if not self._side.is_open:
            return ProjectionStatus(health=self._side.health)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._side.status)

    async def FindCandidates(  # noqa: N802
        self, request: FindCandidatesRequest, context: Context
    ) -> AsyncIterator[Candidates]:
        """Where the log has the reads that could have been one of some entries."""
        wanted = wanted_of(request)
        await wait(self._side, request.at_least, context)
        pages = candidates(self._side.readers, self._side.log.log_id, wanted)
        while (page := await run(self._threads, lambda: next(pages, None))) is not None:
            yield Candidates(positions=page)

    async def EstimateFrequency(  # noqa: N802
        self, request: EstimateFrequencyRequest, context: Context
    ) -> FrequencyEstimate:
        """How often plates and patterns are read."""
        check_frequency(request)
        return await ask(self._side, self._threads, lambda client: estimate(client, request))

    async def Reconcile(  # noqa: N802
        self, request: ReconcileRequest, context: Context
    ) -> AsyncIterator[ReconcileProgress]:
        """Accounts for everything up to the head of now, once that is projected."""
        head = await asyncio.to_thread(self._side.log.head)
        async for _ in caught_up(self._side, head):
            yield ReconcileProgress(head=head)
        steps = reconcile(self._side.log, self._side.readers, head)
        with work("reconciling"):
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                yield step

    async def Rebuild(  # noqa: N802
        self, request: RebuildRequest, context: Context
    ) -> AsyncIterator[RebuildProgress]:
        """Builds the projections anew, and swaps or compares."""
        latest = RebuildProgress()
        cancelled = threading.Event()

        def report(progress: RebuildProgress) -> None:
            nonlocal latest
            latest = progress

        if not self._side.rebuilding.acquire(blocking=False):
            await context.abort(
                grpc.StatusCode.ABORTED, "another rebuild is running: wait until it ends"
            )
        building = asyncio.ensure_future(
            asyncio.to_thread(
                self._side.rebuild, request.verify_only, report=report, cancelled=cancelled.is_set
            )
        )
        building.add_done_callback(lambda _: self._side.rebuilding.release())
        try:
            while not (await asyncio.wait({building}, timeout=_PROGRESS_SECONDS))[0]:
                yield latest
            with work("comparing" if request.verify_only else "rebuilding"):
                outcome = await building
            yield outcome
        finally:
            cancelled.set()
            # Nobody may be left to hear how it failed.
            building.add_done_callback(lambda f: f.exception())


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
