"""`ring clones`: plates that two vehicles seem to carry."""

from __future__ import annotations

from typing import Annotated

import typer

from ring.cli.connection import connect
from ring.cli.export import Export, Force, destination
from ring.cli.naming import note_unknown
from ring.cli.options import (
    AtLeast,
    Case,
    Checkpoints,
    From,
    Json,
    Limit,
    Reason,
    Region,
    Server,
    Timeout,
    To,
)
from ring.cli.output import count, note_truncated, print_answer, print_table, waiting
from ring.cli.purpose import purpose
from ring.cli.settings import load
from ring.cli.times import positions, show_time, time_range


def clones(
    start: From = None,
    end: To = None,
    checkpoint: Checkpoints = None,
    top_speed: Annotated[
        float, typer.Option("--top-speed", min=0.0, help="km/h that none exceeds; 0: 200.")
    ] = 0.0,
    hints: Annotated[
        bool, typer.Option("--hints", help="Also who was inside twice without an exit: no proof.")
    ] = False,
    region: Region = "",
    min_confidence: Annotated[
        float,
        typer.Option(
            "--min-confidence", min=0.0, max=1.0, help="Only reads at least so sure; 0: 0.8."
        ),
    ] = 0.0,
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
    """Pairs of passages that no single vehicle could make."""
    from proto.ring.v1.investigation_pb2 import CloneSuspect, ListCloneSuspectsRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = ListCloneSuspectsRequest(
        purpose=purpose(case, reason, settings),
        range=time_range(start, end, settings.zone),
        limit=limit,
        checkpoints=checkpoint,
        top_speed_kmh=top_speed,
        include_hints=hints,
        region=region,
        min_confidence=min_confidence,
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel:
        with waiting():
            answer = InvestigationServiceStub(channel).ListCloneSuspects(request, timeout=timeout)
        note_unknown(channel, checkpoint, timeout)
    if answer.truncated:
        note_truncated(len(answer.suspects), "pairs")
    if file:
        file.write(
            CloneSuspect.DESCRIPTOR, answer.suspects, request.purpose, noun="pair", as_json=as_json
        )
        return
    if as_json:
        for suspect in answer.suspects:
            print_answer(suspect)
        return
    print_table(
        count(len(answer.suspects), "pair"),
        ("plate", "first", "at", "second", "at ", "km", "km/h", "remarks"),
        (
            (
                s.plate,
                show_time(s.first.at, settings.zone),
                s.first.checkpoint,
                show_time(s.second.at, settings.zone),
                s.second.checkpoint,
                f"{s.distance_km:.1f}",
                f"{s.implied_speed_kmh:.0f}",
                "a hint, no proof: inside twice" if s.hint else "inside twice" * s.inside_twice,
            )
            for s in answer.suspects
        ),
        right=("km", "km/h"),
        caption=f"times in {settings.time_zone}",
    )
