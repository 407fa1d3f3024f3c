"""OperationsService: how far the ring has come, what was rejected, rebuilding."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

import ring as product
from proto.ring.v1 import operations_pb2 as pb
from proto.ring.v1 import operations_pb2_grpc
from proto.ring.v1.common_pb2 import LogPosition
from proto.ring.v1.events_pb2 import StoredReject
from ring.application import Ring
from ring.backup import Copied, backup, restore
from ring.errors import StateForbids, Unavailable
from ring.matching import Matcher
from ring.pictures import Pictures
from ring.readmission import REJECTS, readmit
from ring.reads import Conflict
from ring.rpc.clock import now
from ring.rpc.health import Watch
from ring.rpc.readers import Readers
from ring.store import unseal

_DEFAULT_LIMIT = 1000
_PAGE = 500


class OperationsService(operations_pb2_grpc.OperationsServiceServicer):
    """The servicer. `on_growth`: the log has events that came by another way than a stream."""

    def __init__(
        self,
        ring: Ring,
        matcher: Matcher,
        watch: Watch,
        channel: grpc.aio.Channel,
        pictures: Pictures,
        readers: Readers,
        on_growth: Callable[[], None],
    ) -> None:
        self._ring = ring
        self._pictures = pictures
        self._readers = readers
        self._on_growth = on_growth
        self._matcher = matcher
        self._read_side = operations_pb2_grpc.ProjectionServiceStub(channel)
        self._watch = watch
        self._started = now()

    async def GetStatus(  # noqa: N802
        self, request: pb.GetStatusRequest, context: Any
    ) -> pb.GetStatusResponse:
        """How far everything has come."""
        status = await self._watch.look()
        status.version = product.__version__
        status.started_at.CopyFrom(self._started)
        return status

    async def ListRejects(  # noqa: N802
        self, request: pb.ListRejectsRequest, context: Any
    ) -> AsyncIterator[pb.Reject]:
        """As they were sent, in order of position."""
        log = self._ring.event_log
        position = request.after.position
        if request.after.log_id not in ("", log.log_id):
            raise StateForbids(
                f"the position is of another log, this one is {log.log_id}: the ring was restored "
                "or is another one; `ring rejects` lists the positions of today"
            )
        left = request.limit or _DEFAULT_LIMIT
        while left:
            page = await asyncio.to_thread(
                log.select_notifications, position, _PAGE, None, REJECTS, inclusive_of_start=False
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

    async def ReadmitReject(  # noqa: N802
        self, request: pb.ReadmitRejectRequest, context: Any
    ) -> pb.ReadmitRejectResponse:
        """Judges it again."""
        position, already = await asyncio.to_thread(readmit, self._ring, request.position)
        self._on_growth()
        return pb.ReadmitRejectResponse(position=position, already=already)

    async def Backup(  # noqa: N802
        self, request: pb.BackupRequest, context: Any
    ) -> AsyncIterator[pb.CopyProgress]:
        """Copies while everything goes on."""
        steps = backup(self._ring, self._pictures, Path(request.folder))
        async for copied in _in_thread(steps, abandon=steps.close):
            yield _progress(copied)

    async def Restore(  # noqa: N802
        self, request: pb.RestoreRequest, context: Any
    ) -> AsyncIterator[pb.CopyProgress]:
        """Fills an empty ring."""
        # Once begun it goes on to its end, whether or not somebody listens.
        steps = self._restore(Path(request.folder))
        async for copied in _in_thread(steps, abandon=lambda: deque(steps, maxlen=0)):
            yield _progress(copied)

    def _restore(self, folder: Path) -> Iterator[Copied]:
        with self._matcher.held():
            yield from restore(self._ring, self._pictures, folder)
        self._on_growth()

    async def Reconcile(  # noqa: N802
        self, request: pb.ReconcileRequest, context: Any
    ) -> AsyncIterator[pb.ReconcileProgress]:
        """The read side does it; this adds what was lost that only readers know of."""
        lost = self._readers.lost()
        last: pb.ReconcileProgress | None = None
        async for progress in _passed_on(self._read_side.Reconcile(request), context):
            if last is not None:
                yield last
            last = progress
        if last is not None:
            note_lost(last, lost)
            yield last

    async def Rebuild(  # noqa: N802
        self, request: pb.RebuildRequest, context: Any
    ) -> AsyncIterator[pb.RebuildProgress]:
        """The read side does it; this passes its progress on."""
        async for progress in _passed_on(self._read_side.Rebuild(request), context):
            yield progress


def note_lost(
    progress: pb.ReconcileProgress, lost: Mapping[tuple[str, str], tuple[int, int]]
) -> None:
    """Adds to an account what was acknowledged and is not in the log any more."""
    accounts = {(a.reader_id, a.epoch): a for a in progress.accounts}
    for key, (committed, acknowledged) in lost.items():
        account = accounts.get(key) or pb.EpochAccount(reader_id=key[0], epoch=key[1])
        # A read that came since has made it a gap like any other.
        if account.last_sequence <= committed:
            account.missing += acknowledged - committed
            account.gaps.add(first=committed + 1, last=acknowledged)
            progress.complete = False
            if key not in accounts:
                progress.accounts.append(account)
    progress.accounts.sort(key=lambda a: (a.reader_id, a.epoch))


async def _passed_on(call: Any, context: Any) -> AsyncIterator[Any]:
    try:
        async for progress in call:
            yield progress
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            raise Unavailable("the read side does not answer just now: see `ring status`") from None
        await context.abort(error.code(), error.details() or "")


async def _in_thread(
    steps: Iterator[Copied], abandon: Callable[[], object]
) -> AsyncIterator[Copied]:
    """Each step in a thread, one at a time; `abandon` is called where the caller goes away."""
    done = False
    try:
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            yield step
        done = True
    finally:
        if not done:
            asyncio.get_running_loop().run_in_executor(None, abandon)


def _progress(copied: Copied) -> pb.CopyProgress:
    return pb.CopyProgress(
        events=copied.events,
        events_total=copied.events_total,
        pictures=copied.pictures,
        pictures_total=copied.pictures_total,
        done=copied.done,
        position=LogPosition(log_id=copied.log_id, position=copied.position),
    )
