"""HotlistService: lists and their entries."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

import grpc.aio
from eventsourcing.persistence import IntegrityError

from proto.ring.v1 import hotlist_pb2 as pb
from proto.ring.v1 import hotlist_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from ring.access import Caller, Right, check_maker, right_of
from ring.application import Ring
from ring.entry import entry_plate_of
from ring.errors import InvalidRequest, StateForbids
from ring.frequency import Frequencies
from ring.hotlist import CHUNK, Hotlist
from ring.importing import EntriesImport, remove_entries
from ring.policy import checked_policy
from ring.rpc.caller import caller_of
from ring.rpc.clock import now
from ring.rpc.frequency import Estimator
from ring.rpc.look_back import LookBacks
from ring.sharing import change_policy, grant, reach, revoke_grant, visible_hotlists
from ring.versions import as_of, chunks_of, live_entries, versions_of
from ring.wakeup import Wakeup

_MOST_VERSIONS = 1000
_NUMBER = re.compile(r"[0-9]{1,18}").fullmatch


class HotlistService(hotlist_pb2_grpc.HotlistServiceServicer):
    """The servicer. `wakeup` tells the matcher that a list changed; `read_side`: its channel."""

    def __init__(
        self, ring: Ring, wakeup: Wakeup, look_backs: LookBacks, read_side: grpc.aio.Channel
    ) -> None:
        self._ring = ring
        self._wakeup = wakeup
        self._look_backs = look_backs
        self._read_side = read_side

    async def CreateHotlist(  # noqa: N802
        self, request: pb.CreateHotlistRequest, context: Any
    ) -> pb.Hotlist:
        """A new, empty list."""
        floor = request.confidence_floor if request.HasField("confidence_floor") else None
        caller = caller_of(context)
        owner = caller.owner(request.agency)
        check_maker(caller, owner)
        policy = checked_policy(request.policy, floor)
        hotlist = await asyncio.to_thread(
            self._ring.create_hotlist,
            owner,
            request.name,
            caller.name,
            now(),
            policy,
            request.kind,
        )
        return _message(hotlist, caller)

    async def ChangePolicy(  # noqa: N802
        self, request: pb.ChangePolicyRequest, context: Any
    ) -> pb.ChangePolicyResponse:
        """When reads of a list's vehicles are alerts."""
        caller = caller_of(context)
        hotlist, position = await asyncio.to_thread(
            change_policy,
            self._ring,
            caller,
            request.agency,
            request.hotlist,
            request.policy,
            now(),
        )
        self._wakeup.notify()
        return pb.ChangePolicyResponse(
            hotlist=_message(hotlist, caller), position=self._ring.position(position)
        )

    async def ImportEntries(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ImportEntriesRequest], context: Any
    ) -> pb.ImportEntriesResponse:
        """Entries, live as one change once the client has sent the last message."""
        caller = caller_of(context)
        importing: EntriesImport | None = None
        estimator = Estimator(self._read_side)
        whole = False
        async for request in request_iterator:
            if importing is None:
                importing = await asyncio.to_thread(
                    self._begin, caller, request, estimator.frequencies
                )
                await estimator.ask_for_plates()
            elif request.HasField("header"):
                raise InvalidRequest("the header belongs in the first message only")
            if len(request.entries) > CHUNK:
                raise InvalidRequest(f"a message has at most {CHUNK} entries")
            await estimator.ask_for(request.entries)
            await asyncio.to_thread(importing.add, request.entries, request.rows)
            whole = request.last
        if importing is None:
            raise InvalidRequest("the first message must have the header that names the hotlist")
        if not whole:
            raise InvalidRequest(
                "the import broke off, and nothing of it is live: the last message must say so"
            )
        try:
            summary = await asyncio.to_thread(importing.finish)
        except IntegrityError:
            raise StateForbids(
                "the hotlist was changed by somebody else meanwhile, and nothing of this is live: "
                "import again"
            ) from None
        self._wakeup.notify()
        self._look_backs.notify()
        return pb.ImportEntriesResponse(
            hotlist=_message(summary.hotlist, caller),
            added=summary.added,
            removed=summary.removed,
            unchanged=summary.unchanged,
            rejected=[pb.RejectedEntry(row=row, reason=why) for row, why in summary.rejected],
            rejected_total=summary.rejected_total,
            unconfirmed=[
                pb.UnconfirmedEntry(row=row, plate=plate, reads_a_day=doubt.reads_a_day)
                for row, plate, doubt in summary.unconfirmed
            ],
            unconfirmed_total=summary.unconfirmed_total,
            position=self._ring.position(summary.position),
            look_back_id=summary.look_back_id,
            look_back_denied=summary.look_back_denied,
        )

    def _begin(
        self, caller: Caller, request: pb.ImportEntriesRequest, frequencies: Frequencies
    ) -> EntriesImport:
        if not request.HasField("header"):
            raise InvalidRequest("the first message must have the header that names the hotlist")
        header = request.header
        if header.mode not in pb.ImportMode.values():
            raise InvalidRequest(f"{header.mode} is not an import mode")
        return EntriesImport(
            self._ring,
            caller,
            header.agency,
            header.hotlist,
            replace=header.mode == pb.IMPORT_MODE_REPLACE,
            create=header.create,
            confirm=header.confirm_frequent,
            allow_empty=header.allow_empty,
            frequencies=frequencies,
            now=now,
            look_back=self._look_backs.asked(header),
            must_look_back=header.HasField("look_back"),
        )

    async def ExportEntries(  # noqa: N802
        self, request: pb.ExportEntriesRequest, context: Any
    ) -> AsyncIterator[pb.ExportEntriesResponse]:
        """A list's entries as they are or were, in order of plate."""
        caller = caller_of(context)

        def find() -> tuple[Hotlist, Iterator[list[HotlistEntry]]]:
            found = reach(self._ring, caller, request.agency, request.hotlist, Right.SEE)
            if request.version:
                found = as_of(self._ring, found, request.version)
            return found, chunks_of(live_entries(self._ring, found))

        hotlist, chunks = await asyncio.to_thread(find)
        yield pb.ExportEntriesResponse(hotlist=_message(hotlist, caller))
        while chunk := await asyncio.to_thread(next, chunks, None):
            yield pb.ExportEntriesResponse(entries=chunk)

    async def ListHotlistVersions(  # noqa: N802
        self, request: pb.ListHotlistVersionsRequest, context: Any
    ) -> pb.ListHotlistVersionsResponse:
        """Each change of a list."""
        caller = caller_of(context)

        size = min(request.page_size or _MOST_VERSIONS, _MOST_VERSIONS)
        if request.page_token and not _NUMBER(request.page_token):
            raise InvalidRequest(
                "page_token is none of this question: ask for the first page again"
            )
        # The version that the page begins with.
        start = int(request.page_token or 0)

        def find() -> list[pb.HotlistVersion]:
            hotlist = reach(self._ring, caller, request.agency, request.hotlist, Right.SEE)
            left = (v for v in versions_of(self._ring, hotlist) if v.version >= start)
            return list(islice(left, size + 1))

        found = await asyncio.to_thread(find)
        return pb.ListHotlistVersionsResponse(
            versions=found[:size],
            next_page_token=str(found[size].version) if len(found) > size else "",
        )

    async def RemoveEntries(  # noqa: N802
        self, request: pb.RemoveEntriesRequest, context: Any
    ) -> pb.RemoveEntriesResponse:
        """Entries off a list, as one change."""
        if not request.entry_ids and not request.plates:
            raise InvalidRequest("name the entries to remove, by entry_ids or by plates")
        caller = caller_of(context)
        summary = await asyncio.to_thread(
            remove_entries,
            self._ring,
            caller,
            request.agency,
            request.hotlist,
            set(request.entry_ids),
            {entry_plate_of(plate) for plate in request.plates},
            now,
        )
        self._wakeup.notify()
        return pb.RemoveEntriesResponse(
            hotlist=_message(summary.hotlist, caller),
            removed=summary.removed,
            position=self._ring.position(summary.position),
        )

    async def ListHotlists(  # noqa: N802
        self, request: pb.ListHotlistsRequest, context: Any
    ) -> pb.ListHotlistsResponse:
        """In order of agency and name."""
        caller = caller_of(context)
        hotlists = await asyncio.to_thread(visible_hotlists, self._ring, caller)
        return pb.ListHotlistsResponse(hotlists=[_message(h, caller) for h in hotlists])

    async def GrantHotlist(  # noqa: N802
        self, request: pb.GrantHotlistRequest, context: Any
    ) -> pb.Hotlist:
        """Another agency may see or change a list."""
        caller = caller_of(context)
        hotlist = await asyncio.to_thread(
            grant,
            self._ring,
            caller,
            request.agency,
            request.hotlist,
            request.grantee,
            request.right,
            now(),
            look_back=request.look_back,
        )
        return _message(hotlist, caller)

    async def RevokeGrant(  # noqa: N802
        self, request: pb.RevokeGrantRequest, context: Any
    ) -> pb.Hotlist:
        """And may not any more."""
        caller = caller_of(context)
        hotlist = await asyncio.to_thread(
            revoke_grant,
            self._ring,
            caller,
            request.agency,
            request.hotlist,
            request.grantee,
            now(),
        )
        return _message(hotlist, caller)

    async def CheckHistory(  # type: ignore[override] # noqa: N802 - writes by its context
        self, request: pb.CheckHistoryRequest, context: Any
    ) -> None:
        """What entries would have raised; raises nothing."""
        await self._look_backs.history.check(request, caller_of(context), context)


def _message(hotlist: Hotlist, caller: Caller) -> pb.Hotlist:
    owner = hotlist.created.agency
    owns = right_of(caller, owner, hotlist.grants) is Right.OWN
    return pb.Hotlist(
        name=hotlist.created.name,
        agency=owner,
        entries=hotlist.entries,
        version=hotlist.changes,
        confidence_floor=hotlist.policy.confidence_floor,
        kind=hotlist.created.kind,
        policy=hotlist.policy.message(),
        grants=[
            pb.HotlistGrant(
                agency=agency,
                right=right.value,  # type: ignore[arg-type] # the protocol's own number
                look_back=agency in hotlist.looking_back,
            )
            for agency, right in sorted(hotlist.grants.items())
            if owns or agency == caller.agency
        ],
    )
