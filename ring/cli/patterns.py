"""`ring companions`, `common` and `present`: questions over many plates at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.export import Export, Force, destination
from ring.cli.failure import CommandError
from ring.cli.naming import note_unknown
from ring.cli.options import (
    MOST,
    AtLeast,
    Case,
    Checkpoints,
    Direction,
    From,
    Json,
    Limit,
    MinConfidence,
    Reason,
    Region,
    Server,
    Timeout,
    To,
    direction_of,
)
from ring.cli.output import count, note_truncated, print_answer, print_table, waiting
from ring.cli.purpose import purpose
from ring.cli.settings import Settings, load
from ring.cli.times import parse_seconds, parse_timestamp, positions, show_time, time_range

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from proto.ring.v1.investigation_pb2 import Scene


def _duration(text: str | None) -> Duration | None:
    from google.protobuf.duration_pb2 import Duration

    if text is None:
        return None
    nanos = round(parse_seconds(text) * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


def companions(
    plate: Annotated[str, typer.Argument(metavar="PLATE")],
    within: Annotated[
        str | None,
        typer.Option(
            "--within", metavar="TIME", help="How close counts, e.g. 90s or 5m; 2m without it."
        ),
    ] = None,
    min_encounters: Annotated[
        int,
        typer.Option("--min-encounters", min=0, max=MOST, help="Met at least so often; 0: twice."),
    ] = 0,
    start: From = None,
    end: To = None,
    checkpoint: Checkpoints = None,
    direction: Direction = None,
    same_direction: Annotated[
        bool, typer.Option("--same-direction", help="Only who passed in the same direction.")
    ] = False,
    region: Region = "",
    min_confidence: MinConfidence = 0.0,
    limit: Limit = 0,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Which plates travelled with this one."""
    from proto.ring.v1.investigation_pb2 import Companion, FindCompanionsRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    near = _duration(within)
    if near is not None and not (near.seconds or near.nanos):
        raise CommandError("--within must be longer than that: write 90s or 5m", 2)
    request = FindCompanionsRequest(
        purpose=purpose(case, reason, settings),
        plate=plate,
        range=time_range(start, end, settings.zone),
        within=near,
        min_encounters=min_encounters,
        limit=limit,
        checkpoints=checkpoint,
        direction=direction_of(direction),  # type: ignore[arg-type]
        same_direction=same_direction,
        region=region,
        min_confidence=min_confidence,
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel:
        with waiting():
            answer = InvestigationServiceStub(channel).FindCompanions(request, timeout=timeout)
        note_unknown(channel, checkpoint, timeout)
    if answer.truncated:
        note_truncated(len(answer.companions), "companions")
    if file:
        file.write(
            Companion.DESCRIPTOR,
            answer.companions,
            request.purpose,
            noun="companion",
            as_json=as_json,
        )
        return
    if as_json:
        for companion in answer.companions:
            print_answer(companion)
        return
    print_table(
        f"{count(len(answer.companions), 'companion')} of {plate}",
        ("plate", "encounters", "by chance", "checkpoints", "score"),
        (
            (c.plate, str(c.encounters), f"{c.expected:.2f}", str(c.checkpoints), f"{c.score:.2f}")
            for c in answer.companions
        ),
        right=("encounters", "by chance", "checkpoints", "score"),
        caption="score: -log10 of the chance that so many meetings come about by accident",
    )


def common(
    scenes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCENE...", help="CHECKPOINT@FROM/TO, e.g. GP-12@2026-04-01T08:00/2026-04-01T09"
        ),
    ],
    min_scenes: Annotated[
        int, typer.Option("--min-scenes", min=0, max=MOST, help="0: all of them.")
    ] = 0,
    direction: Direction = None,
    region: Region = "",
    min_confidence: MinConfidence = 0.0,
    limit: Limit = 0,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Which plates were seen at several places and times."""
    from proto.ring.v1.investigation_pb2 import CommonPlate, FindCommonPlatesRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = FindCommonPlatesRequest(
        purpose=purpose(case, reason, settings),
        scenes=[_scene(text, settings) for text in scenes],
        min_scenes=min_scenes,
        limit=limit,
        direction=direction_of(direction),  # type: ignore[arg-type]
        region=region,
        min_confidence=min_confidence,
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel:
        with waiting():
            answer = InvestigationServiceStub(channel).FindCommonPlates(request, timeout=timeout)
        note_unknown(channel, (scene.checkpoint for scene in request.scenes), timeout)
    if answer.truncated:
        note_truncated(len(answer.plates), "plates")
    if file:
        file.write(
            CommonPlate.DESCRIPTOR, answer.plates, request.purpose, noun="plate", as_json=as_json
        )
        return
    if as_json:
        for plate in answer.plates:
            print_answer(plate)
        return
    places = [f"{n} {scene.checkpoint}" for n, scene in enumerate(request.scenes, 1)]
    wanted = f"{min_scenes} or more of " if 0 < min_scenes < len(places) else ""
    print_table(
        f"{count(len(answer.plates), 'plate')} seen at {wanted}{count(len(places), 'scene')}",
        ("plate", "scenes", "seen at"),
        ((p.plate, str(p.scenes), ", ".join(places[n] for n in p.seen_at)) for p in answer.plates),
        right=("scenes",),
    )


def _scene(text: str, settings: Settings) -> Scene:
    from proto.ring.v1.investigation_pb2 import Scene

    checkpoint, at, span = text.partition("@")
    start, slash, end = span.partition("/")
    if not (checkpoint and at and slash and (start or end)):
        raise CommandError(
            f"{text!r} is no scene: write CHECKPOINT@FROM/TO, "
            "e.g. GP-12@2026-04-01T08:00/2026-04-01T09:00",
            2,
        )
    return Scene(checkpoint=checkpoint, range=time_range(start or None, end or None, settings.zone))


def present(
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="At this time; now without it.")
    ] = None,
    longer_than: Annotated[
        str | None, typer.Option("--longer-than", metavar="TIME", help="Inside for, e.g. 8h or 2d.")
    ] = None,
    limit: Limit = 0,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Who is inside the ring at a time."""
    from proto.ring.v1.investigation_pb2 import ListPresentRequest, PresentVehicle
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = ListPresentRequest(
        purpose=purpose(case, reason, settings),
        at=None if at is None else parse_timestamp(at, settings.zone),
        longer_than=_duration(longer_than),
        limit=limit,
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel, waiting():
        answer = InvestigationServiceStub(channel).ListPresent(request, timeout=timeout)
    if answer.total > len(answer.vehicles):
        note_truncated(len(answer.vehicles), "vehicles")
    if file:
        file.write(
            PresentVehicle.DESCRIPTOR,
            answer.vehicles,
            request.purpose,
            noun="vehicle",
            as_json=as_json,
        )
        return
    if as_json:
        for vehicle in answer.vehicles:
            print_answer(vehicle)
        return
    print_table(
        f"{count(answer.total, 'vehicle')} inside, {len(answer.vehicles):,} shown",
        ("plate", "entered", "at"),
        (
            (v.plate, show_time(v.visit.entered_at, settings.zone), v.visit.entry_checkpoint)
            for v in answer.vehicles
        ),
        caption=f"times in {settings.time_zone}",
    )
