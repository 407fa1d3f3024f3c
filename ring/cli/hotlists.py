"""`ring hotlist`: the plates that somebody has a reason to look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.failure import CommandError
from ring.cli.hotlist_export import export_entries, history
from ring.cli.hotlist_import import Agency, Name, import_entries, summary_of
from ring.cli.hotlist_policy import create_hotlist, policy
from ring.cli.look_back import check, replay
from ring.cli.options import Json, Server
from ring.cli.output import count, print_json, print_line, print_table
from ring.cli.settings import load

if TYPE_CHECKING:
    from proto.ring.v1.hotlist_pb2 import Hotlist

app = typer.Typer(no_args_is_help=True, help="The plates that somebody has a reason to look for.")

Grantee = Annotated[
    str, typer.Argument(metavar="AGENCY", help="Another agency than the one that owns the list.")
]
_RIGHT = "HOTLIST_RIGHT_"
_SECONDS = 120.0

app.command("import")(import_entries)
app.command("export")(export_entries)
app.command("check")(check)
app.command("replay")(replay)
app.command("history")(history)
app.command("create")(create_hotlist)
app.command("policy")(policy)


def _grants(hotlist: Hotlist) -> str:
    from proto.ring.v1.hotlist_pb2 import HotlistRight

    return ", ".join(
        f"{grant.agency} may {HotlistRight.Name(grant.right).removeprefix(_RIGHT).lower()}"
        f"{' and look back' if grant.look_back else ''}"
        for grant in hotlist.grants
    )


@app.command("list")
def list_hotlists(server: Server = None, as_json: Json = False) -> None:
    """Every hotlist that you may see, in order of agency and name."""
    from proto.ring.v1.hotlist_pb2 import ListHotlistsRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        found = HotlistServiceStub(channel).ListHotlists(ListHotlistsRequest(), timeout=_SECONDS)
    if as_json:
        for hotlist in found.hotlists:
            print_json(hotlist)
        return
    print_table(
        count(len(found.hotlists), "hotlist"),
        ("agency", "name", "entries", "version", "confidence floor", "granted"),
        (
            (
                h.agency,
                h.name,
                f"{h.entries:,}",
                str(h.version),
                f"{h.confidence_floor:.2f}",
                _grants(h),
            )
            for h in found.hotlists
        ),
        right=("entries", "version", "confidence floor"),
    )


@app.command("remove")
def remove_entries(
    name: Name,
    plate: Annotated[
        list[str] | None,
        typer.Option("--plate", metavar="PLATE", help="Every entry of it; may be repeated."),
    ] = None,
    entry: Annotated[
        list[str] | None,
        typer.Option("--entry", metavar="ID", help="One entry by its id; may be repeated."),
    ] = None,
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Take entries off a list, all at once."""
    from proto.ring.v1.hotlist_pb2 import RemoveEntriesRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    if not plate and not entry:
        raise CommandError("say what to take off: --plate PLATE or --entry ID", 2)
    with connect(server, load()) as channel:
        answer = HotlistServiceStub(channel).RemoveEntries(
            RemoveEntriesRequest(hotlist=name, agency=agency, entry_ids=entry, plates=plate),
            timeout=_SECONDS,
        )
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer.removed:,} removed; {summary_of(answer.hotlist)}")


@app.command("grant")
def grant(
    name: Name,
    grantee: Grantee,
    right: Annotated[
        str,
        typer.Option(
            "--right",
            metavar="RIGHT",
            help="see: the list and its alerts. change: both as well.",
        ),
    ] = "see",
    look_back: Annotated[
        bool,
        typer.Option("--look-back", help="With --right change: its imports look back as well."),
    ] = False,
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Let another agency see a list and its alerts, or change them too."""
    from proto.ring.v1.hotlist_pb2 import GrantHotlistRequest, HotlistRight
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    if right not in ("see", "change"):
        raise CommandError(f"{right!r} is no right: --right see or --right change", 2)
    number = HotlistRight.Value(_RIGHT + right.upper())
    with connect(server, load()) as channel:
        hotlist = HotlistServiceStub(channel).GrantHotlist(
            GrantHotlistRequest(
                hotlist=name, agency=agency, grantee=grantee, right=number, look_back=look_back
            ),
            timeout=_SECONDS,
        )
    _tell_grants(hotlist, as_json=as_json)


@app.command("revoke-grant")
def revoke_grant(
    name: Name,
    grantee: Grantee,
    agency: Agency = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Take a grant back: from now on the list and its alerts do not exist for that agency."""
    from proto.ring.v1.hotlist_pb2 import RevokeGrantRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    with connect(server, load()) as channel:
        hotlist = HotlistServiceStub(channel).RevokeGrant(
            RevokeGrantRequest(hotlist=name, agency=agency, grantee=grantee), timeout=_SECONDS
        )
    _tell_grants(hotlist, as_json=as_json)


def _tell_grants(hotlist: Hotlist, *, as_json: bool) -> None:
    if as_json:
        print_json(hotlist)
    else:
        print_line(f"{hotlist.agency}/{hotlist.name}: {_grants(hotlist) or 'granted to nobody'}")
