"""Who may see and who may change a hotlist and its alerts.

Always true here: the owner may do everything with a list, another agency what it was granted and
nothing more; whoever may change may see, and looks back where that was granted too. What may not be
seen is spoken of exactly as if it did not exist.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import NamedTuple

from proto.ring.v1.hotlist_pb2 import HOTLIST_RIGHT_CHANGE, HOTLIST_RIGHT_SEE
from ring.errors import InvalidRequest, NotAllowed, NotFound
from ring.values import name_of

DEFAULT_AGENCY = "default"


class Right(IntEnum):
    """What an agency may do with a list; each includes those before it."""

    NONE = 0
    SEE = HOTLIST_RIGHT_SEE
    CHANGE = HOTLIST_RIGHT_CHANGE
    OWN = 3


class Caller(NamedTuple):
    """On whose behalf a call is made; without an agency it has every role."""

    agency: str = ""

    @property
    def name(self) -> str:
        """As events record it. Until identity exists, nobody knows who it was."""
        return self.agency or "insecure"

    def owner(self, agency: str) -> str:
        """Whose list is meant where a request names `agency`, or none."""
        return agency or self.agency or DEFAULT_AGENCY


EVERY_ROLE = Caller()


def right_of(caller: Caller, owner: str, grants: Mapping[str, Right]) -> Right:
    """What a caller may do with an owner's list, given to whom it is granted."""
    if caller.agency in ("", owner):
        return Right.OWN
    return grants.get(caller.agency, Right.NONE)


def no_hotlist(agency: str, name: str) -> NotFound:
    """There is none, or none that the caller may know of."""
    return NotFound(
        f"there is no hotlist {name!r} of the agency {agency!r}: see ring hotlist list, or "
        "create it first"
    )


def check_right(held: Right, needed: Right, agency: str, name: str) -> None:
    """NotFound where the list may not even be seen, NotAllowed where the right is too small."""
    if held < Right.SEE:
        raise no_hotlist(agency, name)
    if held < needed:
        what = "grants it" if needed is Right.OWN else "changes it, or whom it lets"
        raise NotAllowed(
            f"the hotlist {name!r} belongs to the agency {agency!r}: only that agency {what}"
        )


def may_look_back(caller: Caller, owner: str, granted: Collection[str]) -> bool:
    """Whether a caller's imports into an owner's list may look back; granted: to which agencies."""
    return caller.agency in ("", owner) or caller.agency in granted


def no_look_back(agency: str, name: str) -> NotAllowed:
    """A caller asks to look back that may change the list alone."""
    return NotAllowed(
        f"the hotlist {name!r} belongs to the agency {agency!r}, which lets you change it but not "
        "look back: import without (the ring command: without --look-back, --case and --reason), "
        "or have it grant that too"
    )


def check_maker(caller: Caller, owner: str) -> None:
    """NotAllowed where a list would be made for an agency that is not the caller's."""
    if caller.agency not in ("", owner):
        raise NotAllowed(
            f"you act for the agency {caller.agency!r} and can't create a hotlist of {owner!r}: "
            "leave the agency out, or act for that one"
        )


def granted_right(number: int) -> Right:
    """What may be granted, or InvalidRequest."""
    if number not in (Right.SEE, Right.CHANGE):
        raise InvalidRequest(f"{number} is not a right that can be granted: see or change")
    return Right(number)


def check_grant_of_looking_back(right: Right, look_back: bool) -> None:
    """InvalidRequest where somebody could look back who can't import."""
    if look_back and right < Right.CHANGE:
        raise InvalidRequest(
            "who imports looks back: grant the right to change as well (--right change)"
        )


def grantee_of(name: str, owner: str) -> str:
    """Who may be granted a right, or InvalidRequest."""
    if name_of(name, "agency") == owner:
        raise InvalidRequest(f"the agency {name!r} owns the hotlist: it needs no grant")
    return name
