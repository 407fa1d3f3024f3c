"""`ring hotlist export` and `history`: a list as it is or was, and how it came to be.

Always true here: what is exported can be imported again, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ring.cli.connection import connect
from ring.cli.export import Force, destination
from ring.cli.failure import CommandError
from ring.cli.hotlist_import import Agency, Name
from ring.cli.options import Json, Server
from ring.cli.output import count, print_json, print_table
from ring.cli.settings import load
from ring.cli.times import show_time, zone_name
from ring.cli.watch_hours import show_hours

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from proto.ring.v1.alert_pb2 import HotlistEntry
    from proto.ring.v1.hotlist_pb2 import HotlistVersion
    from ring.cli.export_columns import Column

_SECONDS = 120.0


def _columns() -> list[Column]:
    """Those of `ring hotlist import`."""
    from ring.cli.export_columns import Column, safe_text

    def text(name: str) -> Column:
        return Column(name, None, lambda entry: getattr(entry, name), safe_text)

    def time(name: str) -> Column:
        def value(entry: HotlistEntry) -> Timestamp | None:
            return getattr(entry, name) if entry.HasField(name) else None  # type: ignore[arg-type]

        return Column(name, None, value, lambda at: at.ToJsonString())

    def plain(name: str, cell: Callable[[Any], str]) -> Column:
        return Column(name, None, lambda entry: getattr(entry, name), cell)

    return [
        plain("plate", str),
        text("reason"),
        time("valid_from"),
        time("expires_at"),
        *map(text, ("priority", "reference", "region")),
        plain("checkpoints", " ".join),
        plain("hours", show_hours),
    ]


def export_entries(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A new file.")],
    version: Annotated[
        int | None,
        typer.Option(
            "--as-of", metavar="VERSION", min=1, help="As it was then; see 'ring hotlist history'."
        ),
    ] = None,
    agency: Agency = "",
    force: Force = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Write a list to a file, which 'ring hotlist import' takes as it is."""
    from proto.ring.v1.alert_pb2 import HotlistEntry
    from proto.ring.v1.hotlist_pb2 import ExportEntriesRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    if file.suffix.lower() != ".csv":
        raise CommandError(f"{file}: a hotlist is exported to FILE.csv", 2)
    chosen = destination(file, force)
    assert chosen is not None
    request = ExportEntriesRequest(hotlist=name, agency=agency, version=version or 0)
    with connect(server, load()) as channel:
        answer = HotlistServiceStub(channel).ExportEntries(request)
        # What can't be exported is told before there is a file.
        next(answer)

        def entries() -> Iterator[HotlistEntry]:
            for message in answer:
                yield from message.entries

        chosen.write(
            HotlistEntry.DESCRIPTOR,
            entries(),
            noun="entry",
            plural="entries",
            as_json=as_json,
            columns=_columns(),
        )


def history(name: Name, agency: Agency = "", server: Server = None, as_json: Json = False) -> None:
    """Every change of a list: when, on whose behalf, and what it did."""
    from proto.ring.v1.hotlist_pb2 import HotlistVersion, ListHotlistVersionsRequest
    from proto.ring.v1.hotlist_pb2_grpc import HotlistServiceStub

    settings = load()
    with connect(server, settings) as channel:
        stub, versions = HotlistServiceStub(channel), list[HotlistVersion]()
        request = ListHotlistVersionsRequest(hotlist=name, agency=agency)
        while True:
            page = stub.ListHotlistVersions(request, timeout=_SECONDS)
            versions += page.versions
            request.page_token = page.next_page_token
            if not request.page_token:
                break
    if as_json:
        for version in versions:
            print_json(version)
        return
    zone = settings.zone
    print_table(
        f"{name}: {count(len(versions), 'version')}",
        ("version", "at", "by", "added", "removed", "entries", "digest", ""),
        (
            (
                str(v.version),
                show_time(v.at, zone),
                v.by or "–",
                f"{v.added:,}",
                f"{v.removed:,}",
                f"{v.entries:,}",
                v.digest.hex()[:12] or "–",
                _note(v),
            )
            for v in versions
        ),
        right=("version", "added", "removed", "entries"),
        caption=f"Times in {zone_name(versions[-1].at, zone)}; --json has the whole digests.",
    )


def _note(version: HotlistVersion) -> str:
    if not version.version:
        return "created"
    if version.HasField("policy"):
        return "policy changed"
    return f"{version.confirmed:,} frequent, confirmed" if version.confirmed else ""
