"""`ring hotlist create` and `ring hotlist policy`: when reads of a list's vehicles are alerts.

Always true here: of a policy only what is given with the command changes; the rest stays as it was.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.hotlist_import import Agency, Name
from ring.cli.options import Json, Server
from ring.cli.output import print_fields, print_json
from ring.cli.settings import load

if TYPE_CHECKING:
    import grpc

    from proto.ring.v1.hotlist_pb2 import Hotlist, HotlistPolicy

_SECONDS = 120.0


class Kind(StrEnum):
    """What a list is for."""

    ALERT = "alert"
    ALLOW = "allow"


Floor = Annotated[
    float | None,
    typer.Option(
        "--floor",
        min=0,
        max=1,
        help="Reads of a lower confidence raise no alert of the plate itself; at first 0.5.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        min=0.02,
        max=1,
        help="A plate that may have been misread raises one where its probability is higher; at "
        "first 0.2. 1: never.",
    ),
]
Priorities = Annotated[
    list[str] | None,
    typer.Option(
        "--priority",
        metavar="PRIORITY=THRESHOLD",
        help="The threshold of entries of a priority; nothing after the = gives them the list's. "
        "May be repeated.",
    ),
]
Share = Annotated[
    float | None,
    typer.Option(
        "--listed-share",
        min=0,
        max=1,
        help="The share of all reads that the list's vehicles are; at first 0.002.",
    ),
]


def create_hotlist(
    name: Name,
    agency: Agency = "",
    kind: Annotated[
        Kind, typer.Option("--kind", help="allow: known vehicles, which raise no alert.")
    ] = Kind.ALERT,
    floor: Floor = None,
    threshold: Threshold = None,
    priority: Priorities = None,
    listed_share: Share = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Make an empty list. `ring hotlist import` does so too, with the policy of new lists."""
    from proto.ring.v1.hotlist_pb2 import CreateHotlistRequest, HotlistKind, HotlistPolicy
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    policy = HotlistPolicy()
    _change(policy, floor, threshold, priority or [], listed_share)
    request = CreateHotlistRequest(
        name=name,
        agency=agency,
        kind=HotlistKind.Value(f"HOTLIST_KIND_{kind.upper()}"),
        policy=policy,
    )
    with connect(server, load()) as channel:
        _show(HotlistServiceStub(channel).CreateHotlist(request, timeout=_SECONDS), as_json)


def policy(
    name: Name,
    agency: Agency = "",
    floor: Floor = None,
    threshold: Threshold = None,
    priority: Priorities = None,
    listed_share: Share = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Change when reads of a list's vehicles are alerts. Without an option: show it."""
    from proto.ring.v1.hotlist_pb2 import ChangePolicyRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        hotlist = _found(channel, name, agency)
        wanted = hotlist.policy
        if _change(wanted, floor, threshold, priority or [], listed_share):
            request = ChangePolicyRequest(hotlist=name, agency=hotlist.agency, policy=wanted)
            stub = HotlistServiceStub(channel)
            hotlist = stub.ChangePolicy(request, timeout=_SECONDS).hotlist
        _show(hotlist, as_json)


def _found(channel: grpc.Channel, name: str, agency: str) -> Hotlist:
    """The list of that name; the caller's own, or the only one, where no agency is named."""
    from proto.ring.v1.hotlist_pb2 import ListHotlistsRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    every = HotlistServiceStub(channel).ListHotlists(ListHotlistsRequest(), timeout=_SECONDS)
    found = [h for h in every.hotlists if h.name == name and agency in ("", h.agency)]
    if not found:
        raise CommandError(f"there is no hotlist {name!r}: see ring hotlist list")
    if len(found) > 1:
        owners = ", ".join(h.agency for h in found)
        raise CommandError(f"{owners} have a hotlist {name!r} each: say which with --agency")
    return found[0]


def _change(
    policy: HotlistPolicy,
    floor: float | None,
    threshold: float | None,
    priorities: list[str],
    listed_share: float | None,
) -> bool:
    """Puts in what was given; False where that is nothing."""
    for field, value in (
        ("confidence_floor", floor),
        ("threshold", threshold),
        ("listed_share", listed_share),
    ):
        if value is not None:
            setattr(policy, field, value)
    for text in priorities:
        priority, equals, number = text.rpartition("=")
        try:
            if not equals:
                raise ValueError
            if number:
                policy.priority_thresholds[priority] = float(number)
            elif priority in policy.priority_thresholds:
                del policy.priority_thresholds[priority]
        except ValueError:
            raise CommandError(
                f"--priority {text} is not PRIORITY=THRESHOLD, such as high=0.1"
            ) from None
    return bool(priorities) or not (floor is None and threshold is None and listed_share is None)


def _show(hotlist: Hotlist, as_json: bool) -> None:
    from proto.ring.v1.hotlist_pb2 import HOTLIST_KIND_ALLOW

    if as_json:
        print_json(hotlist)
        return
    policy = hotlist.policy
    fields = [("confidence floor", f"{policy.confidence_floor:g}")]
    if hotlist.kind != HOTLIST_KIND_ALLOW:
        fields += [
            ("threshold", f"{policy.threshold:g}"),
            *(
                (f"threshold of {priority or 'no priority'}", f"{threshold:g}")
                for priority, threshold in sorted(policy.priority_thresholds.items())
            ),
            ("listed share", f"{policy.listed_share:g}"),
        ]
    what = "known vehicles, no alerts" if hotlist.kind == HOTLIST_KIND_ALLOW else "alerts"
    print_fields(f"{hotlist.name} of {hotlist.agency}, version {hotlist.version}: {what}", fields)
