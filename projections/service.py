"""The services of the read process, on gRPC.

Always true here: every blocking call runs in a thread; a question is checked before anything is
waited for or looked up; what ClickHouse says of a failed question, which may quote plates, goes
nowhere.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import grpc
import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from projections.candidates import candidates, wanted_of
from projections.clickhouse import ClickHouseError, Client
from projections.clones import clone_suspects, hunt_of
from projections.encounters import common_plates, companions_of, places_of, travel_of
from projections.flows import flows_in, traffic_of
from projections.frequency import check_frequency, estimate
from projections.movements import timeline_of
from projections.presence import moment_of, present_at
from projections.read_side import ReadSide
from projections.reconcile import reconcile
from projections.requests import Span, check_purpose, span_of
from projections.search import page_of, search
from projections.sightings import stretch
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import LogPosition, PlateSighting
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
from ring.errors import NotBuilt, NotInTime, StateForbids, Unavailable
from ring.values import plate_of

_T = TypeVar("_T")
_logger = structlog.get_logger("projections.service")
_Context = grpc.aio.ServicerContext[Message, Message]

# Without a deadline of the caller's.
_WAIT_SECONDS = 60.0
# Before the caller's deadline, so that the answer says what it waited for.
_MARGIN_SECONDS = 0.05
_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class City:
    """What the city's settings say: after how long a visit is over, and whose hours count."""

    max_visit: timedelta = timedelta(hours=72)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


class Investigation(InvestigationServiceServicer):
    """Plate histories out. GetPicture is the write process's."""

    def __init__(
        self, read_side: ReadSide, threads: ThreadPoolExecutor, city: City | None = None
    ) -> None:
        self._side = read_side
        self._threads = threads
        self._city = city or City()

    async def SearchPlates(  # noqa: N802
        self, request: pb.SearchPlatesRequest, context: _Context
    ) -> pb.SearchPlatesResponse:
        """Which plates match a pattern."""
        check_purpose(request.purpose)
        page = page_of(request)
        await _wait(self._side, request.at_least, context)
        log = self._side.log
        return await _ask(self._side, self._threads, lambda client: search(client, log, page))

    async def ListReads(  # noqa: N802
        self, request: pb.ListReadsRequest, context: _Context
    ) -> AsyncIterator[PlateSighting]:
        """Raw reads of one plate."""
        check_purpose(request.purpose)
        plate, span = plate_of(request.plate), span_of(request.range)
        await _wait(self._side, request.at_least, context)
        log = self._side.log
        left: Span | None = span
        while left:
            now = left
            sightings, left = await _ask(
                self._side,
                self._threads,
                lambda client: stretch(client, log, plate, now),  # noqa: B023
            )
            for sighting in sightings:
                yield sighting

    async def GetTimeline(  # noqa: N802
        self, request: pb.GetTimelineRequest, context: _Context
    ) -> pb.GetTimelineResponse:
        """Passages and visits of one plate."""
        check_purpose(request.purpose)
        plate, span = plate_of(request.plate), span_of(request.range)
        await _wait(self._side, request.at_least, context)
        log = self._side.log
        return await _ask(
            self._side, self._threads, lambda client: timeline_of(client, log, plate, span)
        )

    async def ListFlows(  # noqa: N802
        self, request: pb.ListFlowsRequest, context: _Context
    ) -> pb.ListFlowsResponse:
        """Passages per checkpoint, direction and hour."""
        traffic = traffic_of(request, self._city.zone)
        await _wait(self._side, request.at_least, context)
        return await _ask(self._side, self._threads, lambda client: flows_in(client, traffic))

    async def FindCompanions(  # noqa: N802
        self, request: pb.FindCompanionsRequest, context: _Context
    ) -> pb.FindCompanionsResponse:
        """Who travelled with a plate."""
        check_purpose(request.purpose)
        travel = travel_of(request)
        await _wait(self._side, request.at_least, context)
        found = await _ask(self._side, self._threads, lambda client: companions_of(client, travel))
        return pb.FindCompanionsResponse(companions=found)

    async def FindCommonPlates(  # noqa: N802
        self, request: pb.FindCommonPlatesRequest, context: _Context
    ) -> pb.FindCommonPlatesResponse:
        """Who was at several scenes."""
        check_purpose(request.purpose)
        places = places_of(request)
        await _wait(self._side, request.at_least, context)
        found = await _ask(self._side, self._threads, lambda client: common_plates(client, places))
        return pb.FindCommonPlatesResponse(plates=found)

    async def ListCloneSuspects(  # noqa: N802
        self, request: pb.ListCloneSuspectsRequest, context: _Context
    ) -> pb.ListCloneSuspectsResponse:
        """Which plates two vehicles seem to carry."""
        check_purpose(request.purpose)
        hunt = hunt_of(request, _now())
        await _wait(self._side, request.at_least, context)
        found = await _ask(self._side, self._threads, lambda client: clone_suspects(client, hunt))
        return pb.ListCloneSuspectsResponse(suspects=found)

    async def ListPresent(  # noqa: N802
        self, request: pb.ListPresentRequest, context: _Context
    ) -> pb.ListPresentResponse:
        """Who is inside the ring at a time."""
        check_purpose(request.purpose)
        max_visit = self._city.max_visit // timedelta(microseconds=1)
        moment = moment_of(request, _now(), max_visit)
        await _wait(self._side, request.at_least, context)
        return await _ask(self._side, self._threads, lambda client: present_at(client, moment))

    async def GetPicture(  # noqa: N802
        self, request: pb.GetPictureRequest, context: _Context
    ) -> pb.GetPictureResponse:
        """Pictures lie with the write process."""
        raise NotBuilt("GetPicture is answered on the ring's public address")


class Projections(ProjectionServiceServicer):
    """How the read side is, and building it anew."""

    def __init__(self, read_side: ReadSide, threads: ThreadPoolExecutor) -> None:
        self._side = read_side
        self._threads = threads

    async def GetStatus(  # noqa: N802
        self, request: GetStatusRequest, context: _Context
    ) -> ProjectionStatus:
        """How far it has come, and whether it is well."""
        if not self._side.is_open:
            return ProjectionStatus(health=self._side.health)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._side.status)

    async def FindCandidates(  # noqa: N802
        self, request: FindCandidatesRequest, context: _Context
    ) -> AsyncIterator[Candidates]:
        """Where the log has the reads that could have been one of some entries."""
        wanted = wanted_of(request)
        await _wait(self._side, request.at_least, context)
        pages = candidates(self._side.readers, self._side.log.log_id, wanted)
        while (page := await _run(self._threads, lambda: next(pages, None))) is not None:
            yield Candidates(positions=page)

    async def EstimateFrequency(  # noqa: N802
        self, request: EstimateFrequencyRequest, context: _Context
    ) -> FrequencyEstimate:
        """How often plates and patterns are read."""
        check_frequency(request)
        return await _ask(self._side, self._threads, lambda client: estimate(client, request))

    async def Reconcile(  # noqa: N802
        self, request: ReconcileRequest, context: _Context
    ) -> AsyncIterator[ReconcileProgress]:
        """Accounts for everything up to the head of now, once that is projected."""
        head = await asyncio.to_thread(self._side.log.head)
        await self._side.follower.reached(head)
        steps = reconcile(self._side.log, self._side.readers, head)
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            yield step

    async def Rebuild(  # noqa: N802
        self, request: RebuildRequest, context: _Context
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
            yield await building
        finally:
            cancelled.set()
            # Nobody may be left to hear how it failed.
            building.add_done_callback(lambda f: f.exception())


async def _ask(side: ReadSide, threads: ThreadPoolExecutor, question: Callable[[Client], _T]) -> _T:
    readers = side.readers

    def answer() -> _T:
        with readers.client() as client:
            return question(client)

    return await _run(threads, answer)


async def _run(threads: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    """What it returns; Unavailable, without a plate, where ClickHouse fails."""
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
    except ClickHouseError as error:
        _logger.error("question_failed", code=error.code, name=error.name)
        raise Unavailable(
            f"ClickHouse could not answer (code {error.code}, {error.name or 'no name'}): try "
            "again, and see `ring status`"
        ) from None


async def _wait(side: ReadSide, at_least: Iterable[LogPosition], context: _Context) -> None:
    """Returns once the read side has come so far; NotInTime where that takes too long."""
    follower, log_id = side.follower, side.log.log_id
    wanted = 0
    for position in at_least:
        if position.log_id != log_id:
            raise StateForbids(
                f"at_least names the log {position.log_id!r}, but this ring's log is {log_id}: "
                "the ring was restored or is another one; forget that position and ask without"
            )
        wanted = max(wanted, position.position)
    if wanted <= follower.position:
        return
    remaining = context.time_remaining()
    seconds = _WAIT_SECONDS if remaining is None else max(0.0, remaining - _MARGIN_SECONDS)
    try:
        await asyncio.wait_for(follower.reached(wanted), seconds)
    except TimeoutError:
        raise NotInTime(
            f"the read side has applied the log up to {follower.position}, not yet to {wanted} "
            f"(it says: {follower.health}): ask again, or without at_least"
        ) from None


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
