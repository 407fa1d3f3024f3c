"""Hotlists that agencies share: who reaches one, how grants come and go, and the owner's policy.

Always true here: a right is judged on the grants as the log has them when it is used, so one that
was revoked is of no use from then on.
"""

import threading
from collections.abc import Callable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.hotlist_pb2 import HotlistPolicy
from ring.access import (
    Caller,
    Right,
    check_grant_of_looking_back,
    check_right,
    granted_right,
    grantee_of,
    no_hotlist,
    right_of,
)
from ring.application import Ring
from ring.errors import NotFound
from ring.hotlist import Hotlist

_TOPICS = [Hotlist.Granted.TOPIC, Hotlist.GrantRevoked.TOPIC]
_PAGE = 5000


def reach(ring: Ring, caller: Caller, agency: str, name: str, needed: Right) -> Hotlist:
    """A list that the caller may do this with; NotFound or NotAllowed else."""
    owner = caller.owner(agency)
    hotlist = ring.find_hotlist(owner, name)
    if hotlist is None:
        raise no_hotlist(owner, name)
    check_right(right_of(caller, owner, hotlist.grants), needed, owner, name)
    return hotlist


def visible_hotlists(ring: Ring, caller: Caller) -> list[Hotlist]:
    """The lists that the caller may see, in order of agency and name."""
    return [
        hotlist
        for hotlist in ring.hotlists()
        if right_of(caller, hotlist.created.agency, hotlist.grants) >= Right.SEE
    ]


def grant(
    ring: Ring,
    caller: Caller,
    agency: str,
    name: str,
    grantee: str,
    right: int,
    at: Timestamp,
    *,
    look_back: bool = False,
) -> Hotlist:
    """Lets another agency see or change a list; a second grant takes the place of the first."""
    owner = caller.owner(agency)
    wanted, who = granted_right(right), grantee_of(grantee, owner)
    check_grant_of_looking_back(wanted, look_back)

    def change(hotlist: Hotlist) -> None:
        there = hotlist.grants.get(who), who in hotlist.looking_back
        if there != (wanted, look_back):
            hotlist.grant(who, wanted, caller.name, at, look_back=look_back)

    return _change(ring, caller, agency, name, change)


def revoke_grant(
    ring: Ring, caller: Caller, agency: str, name: str, grantee: str, at: Timestamp
) -> Hotlist:
    """Takes a grant back. NotFound where there is none."""

    def change(hotlist: Hotlist) -> None:
        if grantee not in hotlist.grants:
            raise NotFound(f"the agency {grantee!r} has no grant for the hotlist {name!r}")
        hotlist.revoke_grant(grantee, caller.name, at)

    return _change(ring, caller, agency, name, change)


def change_policy(
    ring: Ring, caller: Caller, agency: str, name: str, policy: HotlistPolicy, at: Timestamp
) -> tuple[Hotlist, int]:
    """Decides when reads of a list's vehicles are alerts; with the position of the change."""

    def attempt() -> tuple[Hotlist, int]:
        hotlist = reach(ring, caller, agency, name, Right.OWN)
        hotlist.change_policy(policy, caller.name, at)
        return hotlist, ring.store(hotlist)

    return ring.command(attempt)


def _change(
    ring: Ring, caller: Caller, agency: str, name: str, change: Callable[[Hotlist], None]
) -> Hotlist:
    def attempt() -> Hotlist:
        hotlist = reach(ring, caller, agency, name, Right.OWN)
        change(hotlist)
        ring.store(hotlist)
        return hotlist

    return ring.command(attempt)


class Shares:
    """Every list's grants in memory, as of the last `catch_up`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._position = 0
        self._lock = threading.Lock()
        self._grants: dict[tuple[str, str], dict[str, Right]] = {}

    def catch_up(self) -> None:
        """Folds in what the log has had since the last call."""
        log = self._ring.event_log
        with self._lock:
            while page := log.select_notifications(
                self._position, _PAGE, None, _TOPICS, inclusive_of_start=False
            ):
                for notification in page:
                    event: Any = self._ring.mapper.to_domain_event(notification)
                    grants = self._grants.setdefault((event.body.agency, event.body.name), {})
                    if isinstance(event, Hotlist.Granted):
                        grants[event.body.grantee] = Right(event.body.right)
                    else:
                        grants.pop(event.body.grantee, None)
                self._position = page[-1].id

    def right(self, caller: Caller, agency: str, name: str) -> Right:
        """What a caller may do with a list and its alerts."""
        return right_of(caller, agency, self._grants.get((agency, name), {}))
