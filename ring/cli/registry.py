"""`ring checkpoints` and `ring readers`: the ring itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.imports import File, import_rows
from ring.cli.options import Json, Server
from ring.cli.output import count, print_json, print_line, print_table, show_direction
from ring.cli.settings import load
from ring.cli.times import show_time

if TYPE_CHECKING:
    from proto.ring.v1.registry_pb2 import Checkpoint, Reader
    from ring.cli.csv_file import CsvFile, Row

checkpoints = typer.Typer(no_args_is_help=True, help="The places where readers stand.")
readers = typer.Typer(no_args_is_help=True, help="The readers, and how they are.")

_SECONDS = 120.0


@checkpoints.command("import")
def import_checkpoints(file: File, server: Server = None, as_json: Json = False) -> None:
    """Register checkpoints and move known ones: columns code, name, latitude, longitude.

    Degrees, WGS 84. A column zone may name parts of the city; without it zones stay as they are.
    Bad rows are named by line and left out (exit code 1); the others count.
    """
    from proto.ring.v1.registry_pb2 import ImportCheckpointsRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    with connect(server, load()) as channel:
        stub = RegistryServiceStub(channel)
        import_rows(
            file,
            ("code", "name", "latitude", "longitude"),
            _parse_checkpoint,
            lambda rows: stub.ImportCheckpoints(
                ImportCheckpointsRequest(checkpoints=rows), timeout=_SECONDS
            ),
            as_json=as_json,
            optional=("zone",),
        )


def _parse_checkpoint(file: CsvFile) -> Callable[[Row], Checkpoint]:
    from proto.ring.v1.registry_pb2 import Checkpoint

    def degrees(row: Row, column: str, most: float) -> float:
        text = row.values[column]
        try:
            value = file.number(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= most:
            raise ValueError(f"{column} {text!r}: degrees between -{most:g} and {most:g}")
        return value

    def parse(row: Row) -> Checkpoint:
        if not row.values["code"]:
            raise ValueError("no code")
        return Checkpoint(
            code=row.values["code"],
            name=row.values["name"],
            latitude=degrees(row, "latitude", 90),
            longitude=degrees(row, "longitude", 180),
            zone=row.values.get("zone"),
        )

    return parse


@checkpoints.command("list")
def list_checkpoints(server: Server = None, as_json: Json = False) -> None:
    """Every checkpoint, in order of code."""
    from proto.ring.v1.registry_pb2 import ListCheckpointsRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    with connect(server, load()) as channel:
        found = RegistryServiceStub(channel).ListCheckpoints(
            ListCheckpointsRequest(), timeout=_SECONDS
        )
    if as_json:
        for checkpoint in found.checkpoints:
            print_json(checkpoint)
        return
    print_table(
        count(len(found.checkpoints), "checkpoint"),
        ("code", "name", "latitude", "longitude", "zone"),
        (
            (c.code, c.name, f"{c.latitude:.5f}", f"{c.longitude:.5f}", c.zone)
            for c in found.checkpoints
        ),
        right=("latitude", "longitude"),
    )


@readers.command("import")
def import_readers(file: File, server: Server = None, as_json: Json = False) -> None:
    """Register readers and assign known ones anew: columns reader_id, checkpoint, lane, direction.

    direction is entry, exit or both. A new assignment holds from now on, a reader's first one for
    all earlier times too. Bad rows are named by line and left out (exit code 1).
    """
    from proto.ring.v1.registry_pb2 import ImportReadersRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    with connect(server, load()) as channel:
        stub = RegistryServiceStub(channel)
        import_rows(
            file,
            ("reader_id", "checkpoint", "lane", "direction"),
            _parse_reader,
            lambda rows: stub.ImportReaders(ImportReadersRequest(readers=rows), timeout=_SECONDS),
            as_json=as_json,
        )


def _parse_reader(_: CsvFile) -> Callable[[Row], Reader]:
    from proto.ring.v1.common_pb2 import Direction
    from proto.ring.v1.registry_pb2 import Reader

    directions = {
        "entry": Direction.DIRECTION_ENTRY,
        "exit": Direction.DIRECTION_EXIT,
        "both": Direction.DIRECTION_UNSPECIFIED,
    }

    def parse(row: Row) -> Reader:
        for column in ("reader_id", "checkpoint"):
            if not row.values[column]:
                raise ValueError(f"no {column}")
        direction = row.values["direction"].lower()
        if direction not in directions:
            raise ValueError(f"direction {row.values['direction']!r}: entry, exit or both")
        return Reader(
            reader_id=row.values["reader_id"],
            checkpoint=row.values["checkpoint"],
            lane=row.values["lane"],
            direction=directions[direction],
        )

    return parse


@readers.command("list")
def list_readers(server: Server = None, as_json: Json = False) -> None:
    """Every reader with its health, in order of id."""
    from proto.ring.v1.registry_pb2 import ListReadersRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    settings = load()
    with connect(server, settings) as channel:
        found = RegistryServiceStub(channel).ListReaders(ListReadersRequest(), timeout=_SECONDS)
    if as_json:
        for reader in found.readers:
            print_json(reader)
        return

    def row(reader: Reader) -> tuple[str, ...]:
        health = reader.health
        heard = show_time(health.last_heard, settings.zone) if health.HasField("last_heard") else ""
        known = bool(heard)
        return (
            reader.reader_id,
            reader.checkpoint,
            reader.lane,
            show_direction(reader.direction) if reader.direction else "both",
            "revoked" if reader.revoked else "connected" if health.connected else "away",
            heard,
            f"{health.spool_depth:,}" if known else "",
            f"{health.clock_offset_seconds:+.1f} s" if known else "",
            health.software_version,
        )

    connected = sum(reader.health.connected for reader in found.readers)
    print_table(
        f"{count(len(found.readers), 'reader')}, {connected:,} connected",
        (
            *("reader", "checkpoint", "lane", "direction", "state"),
            *("last heard", "spool", "clock", "software"),
        ),
        map(row, found.readers),
        right=("spool", "clock"),
        caption=f"times in {settings.time_zone}",
    )


@readers.command("revoke")
def revoke_reader(
    reader_id: Annotated[str, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the log.")] = "",
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Refuse a reader from now on. What it sent before stays."""
    from proto.ring.v1.registry_pb2 import RevokeReaderRequest
    from proto.ring.v1.registry_pb2_grpc import RegistryServiceStub

    with connect(server, load()) as channel:
        reader = RegistryServiceStub(channel).RevokeReader(
            RevokeReaderRequest(reader_id=reader_id, reason=reason), timeout=_SECONDS
        )
    if as_json:
        print_json(reader)
    else:
        print_line(f"{reader.reader_id} is revoked")
