"""What entries and lists would have raised: the dry run of looking back, and replay.

Always true here: nothing is stored; one question is answered at a time, so that the lists are in
memory once more and no more often, and half of the time at least is left to others. Who asks and
does not read the answer is given up, and holds up nobody.
"""

import asyncio
import time
from datetime import tzinfo
from typing import Any
from uuid import UUID

import grpc.aio

from proto.ring.v1 import look_back_pb2 as pb
from proto.ring.v1 import look_back_pb2_grpc
from proto.ring.v1.alert_pb2 import Alert as AlertMessage
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition, TimeRange
from proto.ring.v1.events_pb2 import (
    AlertRaised,
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
)
from proto.ring.v1.hotlist_pb2 import CheckHistoryRequest, HotlistPolicy
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from proto.ring.v1.operations_pb2_grpc import ProjectionServiceStub
from ring.access import Caller, Right, check_maker
from ring.alert import Alert
from ring.application import Ring
from ring.entry import checked_entry
from ring.errors import InvalidRequest
from ring.hotlist import CHUNK, Hotlist
from ring.hotlist_index import HotlistIndex
from ring.look_back import orders, status_of
from ring.looker import matched
from ring.matching import Matcher, fold_lists
from ring.policy import Policy, checked_policy
from ring.replay import (
    Comparison,
    Period,
    Question,
    compare,
    differences,
    index_as_of,
    position_at,
    raised,
    replay,
)
from ring.rpc.caller import caller_of
from ring.rpc.investigation import check_purpose, pass_on
from ring.rpc.sending import send
from ring.sharing import reach, visible_hotlists
from ring.values import micros

_READS = 200
_DEFAULT_LIMIT, _MOST = 100, 1000
# No list has it: a slash is in no name.
_DRY = "dry run/"


class History:
    """Asked by the services. `channel`: to the read process; zone: of watch orders' hours.

    `patience`: seconds that one message may wait for room in the connection of whoever asks.
    """

    def __init__(
        self,
        ring: Ring,
        matcher: Matcher,
        channel: grpc.aio.Channel,
        zone: tzinfo,
        patience: float,
    ) -> None:
        self._ring = ring
        self._log = ring.event_log
        self._matcher = matcher
        self._read_side = ProjectionServiceStub(channel)
        self._zone = zone
        self._patience = patience
        self._turn = asyncio.Lock()

    async def check(self, request: CheckHistoryRequest, caller: Caller, context: Any) -> None:
        """What these entries would have raised, among the reads stored so far."""
        check_purpose(request.purpose)
        entries = _checked(request)
        head = await asyncio.to_thread(self._log.head)
        async with self._turn:
            index, policy = await asyncio.to_thread(
                self._with, request, caller, head, list(entries.values())
            )
            wanted = FindCandidatesRequest(
                plates=sorted({entry.plate for entry in entries.values()}),
                range=request.range,
                threshold=policy.lowest,
                at_least=[*request.at_least, self._ring.position(head)],
            )
            call = self._read_side.FindCandidates(wanted, timeout=context.time_remaining())
            try:
                async for page in call:
                    for start in range(0, len(page.positions), _READS):
                        began = time.monotonic()
                        _, alerts = await asyncio.to_thread(
                            matched,
                            self._log,
                            index,
                            entries.keys(),
                            page.positions[start : start + _READS],
                            0.0,
                        )
                        for alert in alerts:
                            number = int(alert.body.entry.entry_id)
                            alert.body.entry.entry_id = request.entries[number].entry_id
                            await self._send(context, _dry(alert.body, request.hotlist))
                        await asyncio.sleep(time.monotonic() - began)
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)
            finally:
                call.cancel()

    def _with(
        self, request: CheckHistoryRequest, caller: Caller, head: int, entries: list[HotlistEntry]
    ) -> tuple[HotlistIndex, Policy]:
        """The lists as of the head, with the entries on the list named, or on a new one.

        What an allow-list of the owner's silences tells what is on it: so it is answered to those
        alone who could put the entries there.
        """
        index = HotlistIndex(self._zone)
        fold_lists(self._log, index, 0, head)
        if request.hotlist:
            hotlist = reach(self._ring, caller, request.agency, request.hotlist, Right.CHANGE)
            agency, name = hotlist.created.agency, hotlist.created.name
            policy, version, live = hotlist.policy, hotlist.changes, hotlist.entries
        else:
            agency, name = caller.owner(request.agency), _DRY
            check_maker(caller, agency)
            policy, version, live = Policy(), 0, 0
            index.create(HotlistCreated(agency=agency, name=name, policy=HotlistPolicy()))
        change = EntriesActivated(
            agency=agency, name=name, version=version + 1, entries=live + len(entries)
        )
        index.activate(change, [EntriesStaged(added=entries)])
        return index, policy

    async def replay(self, request: pb.ReplayHotlistRequest, caller: Caller, context: Any) -> None:
        """What a list would have raised, compared with what it did."""
        check_purpose(request.purpose)
        period = _period(request.range)
        async with self._turn:
            head = await asyncio.to_thread(self._log.head)
            question = await asyncio.to_thread(self._question, request, caller, period)
            index = await asyncio.to_thread(index_as_of, self._log, question, self._zone)
            would: list[AlertRaised] = []
            reads = 0
            steps = replay(self._log, index, question, head, time.time())
            began = time.monotonic()
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                reads += step.reads
                would += step.alerts
                progress = pb.ReplayProgress(position=step.position, head=head)
                await self._send(context, pb.ReplayHotlistResponse(progress=progress))
                await asyncio.sleep(time.monotonic() - began)
                began = time.monotonic()
            found = await asyncio.to_thread(
                lambda: compare(raised(self._log, question, head), would)
            )
            steps_of = differences(self._log, question, found, self._matcher.position)
            while (one := await asyncio.to_thread(next, steps_of, None)) is not None:
                difference = pb.ReplayDifference(
                    alert=_message(one.alert), raised=one.was_raised, reason=one.reason
                )
                await self._send(context, pb.ReplayHotlistResponse(difference=difference))
            outcome = _outcome(found, reads, question)
            await self._send(context, pb.ReplayHotlistResponse(outcome=outcome))

    async def _send(self, context: Any, message: AlertMessage | pb.ReplayHotlistResponse) -> None:
        await send(context, message, self._patience, "ask again, and read the answer as it comes")

    def _question(
        self, request: pb.ReplayHotlistRequest, caller: Caller, period: Period
    ) -> Question:
        hotlist = reach(self._ring, caller, request.agency, request.hotlist, Right.SEE)
        at = request.as_of if request.HasField("as_of") else None
        position = position_at(self._log, at)
        then = self._as_of(hotlist, position)
        policy = None
        if request.HasField("confidence_floor") or request.HasField("threshold"):
            policy = then.policy.message()
            if request.HasField("threshold"):
                policy.threshold = request.threshold
                policy.priority_thresholds.clear()
            if request.HasField("confidence_floor"):
                policy.confidence_floor = request.confidence_floor
            policy = checked_policy(policy)
        return Question(then, position, period, policy)

    def _as_of(self, hotlist: Hotlist, position: int) -> Hotlist:
        """The list at a position of the log."""
        versions = [
            notification.originator_version
            for notification in self._log.select_notifications(
                0, 1_000_000, position, [Hotlist.Activated.TOPIC, Hotlist.PolicyChanged.TOPIC]
            )
            if notification.originator_id == hotlist.id
        ]
        then = self._ring.get(Hotlist, hotlist.id, max(versions, default=1))
        assert then is not None
        return then


def _checked(request: CheckHistoryRequest) -> dict[str, HotlistEntry]:
    """The entries as they can be, by their numbers."""
    if not request.entries:
        raise InvalidRequest("name the entries to check: at least one plate")
    if len(request.entries) > CHUNK:
        raise InvalidRequest(f"at most {CHUNK:,} entries at a time")
    if request.rows and len(request.rows) != len(request.entries):
        raise InvalidRequest(
            f"{len(request.rows)} rows number {len(request.entries)} entries: give as many"
        )
    found: dict[str, HotlistEntry] = {}
    rows = request.rows or range(1, len(request.entries) + 1)
    for number, (row, entry) in enumerate(zip(rows, request.entries, strict=True)):
        try:
            checked = checked_entry(entry)
        except InvalidRequest as error:
            raise InvalidRequest(f"row {row}: {error}") from None
        checked.entry_id = str(number)
        found[checked.entry_id] = checked
    return found


def _period(range_: TimeRange) -> Period:
    period = Period()
    if range_.HasField("start_time"):
        period = period._replace(start=micros(range_.start_time))
    if range_.HasField("end_time"):
        period = period._replace(end=micros(range_.end_time))
    if period.start >= period.end:
        raise InvalidRequest("the range is empty: start_time must be before end_time")
    return period


def _dry(body: AlertRaised, hotlist: str) -> AlertMessage:
    """An alert that was not raised."""
    result = _message(body)
    result.hotlist = hotlist
    for name in ("alert_id", "raised_at"):
        result.ClearField(name)
    return result


def _message(body: AlertRaised) -> AlertMessage:
    """As the world sees it, without a state: nobody acts on it."""
    alert = Alert(UUID(body.alert_id))
    alert.raised = body
    result = alert.message(LogPosition())
    for name in ("position", "state"):
        result.ClearField(name)
    return result


def _outcome(found: Comparison, reads: int, question: Question) -> pb.ReplayOutcome:
    return pb.ReplayOutcome(
        equal=found.equal,
        only_raised=len(found.only_raised),
        only_replayed=len(found.only_replayed),
        reads=reads,
        hotlist_version=question.hotlist.changes,
    )


class LookBackService(look_back_pb2_grpc.LookBackServiceServicer):
    """The servicer."""

    def __init__(self, ring: Ring, history: History) -> None:
        self._ring = ring
        self._history = history

    async def ListLookBacks(  # noqa: N802
        self, request: pb.ListLookBacksRequest, context: Any
    ) -> pb.ListLookBacksResponse:
        """The newest first."""
        caller = caller_of(context)
        found = await asyncio.to_thread(self._list, caller, request)
        return pb.ListLookBacksResponse(look_backs=found)

    def _list(self, caller: Caller, request: pb.ListLookBacksRequest) -> list[pb.LookBackStatus]:
        seen = {(h.created.agency, h.created.name) for h in visible_hotlists(self._ring, caller)}
        wanted = [
            order
            for order in orders(self._ring, 0)
            if (order.activated.agency, order.activated.name) in seen
            and request.look_back_id in ("", str(order.look_back_id))
        ]
        limit = min(request.limit or _DEFAULT_LIMIT, _MOST)
        return [status_of(self._ring, order) for order in wanted[: -limit - 1 : -1]]

    async def ReplayHotlist(  # type: ignore[override] # noqa: N802 - writes by its context
        self, request: pb.ReplayHotlistRequest, context: Any
    ) -> None:
        """What it would have raised."""
        await self._history.replay(request, caller_of(context), context)
