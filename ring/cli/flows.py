"""`ring flows`: how much traffic each checkpoint has, and where there is less than usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.export import Export, Force, destination
from ring.cli.naming import note_unknown
from ring.cli.options import (
    AtLeast,
    Checkpoints,
    Direction,
    From,
    Json,
    Server,
    Timeout,
    To,
    direction_of,
)
from ring.cli.output import count, print_answer, print_table, show_direction, waiting
from ring.cli.settings import Settings, load
from ring.cli.times import positions, show_time, time_range

if TYPE_CHECKING:
    from proto.ring.v1.investigation_pb2 import Flow


def flows(
    start: From = None,
    end: To = None,
    checkpoint: Checkpoints = None,
    direction: Direction = None,
    by_lane: Annotated[
        bool, typer.Option("--by-lane", help="Each lane by itself: each reader, mostly.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Beside what the same hour of the weekday has.")
    ] = False,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Passages per checkpoint, direction and hour. No plates, so no purpose."""
    from proto.ring.v1.investigation_pb2 import Flow, ListFlowsRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = ListFlowsRequest(
        range=time_range(start, end, settings.zone),
        checkpoints=checkpoint,
        direction=direction_of(direction),  # type: ignore[arg-type]
        by_lane=by_lane,
        compare=compare,
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel:
        with waiting():
            answer = InvestigationServiceStub(channel).ListFlows(request, timeout=timeout)
        note_unknown(channel, checkpoint, timeout)
    if file:
        file.write(Flow.DESCRIPTOR, answer.flows, noun="flow", as_json=as_json)
        return
    if as_json:
        for flow in answer.flows:
            print_answer(flow)
        return
    columns = ["hour", "checkpoint", "direction", "passages"]
    if by_lane:
        columns.insert(2, "lane")
    if compare:
        columns += ["usual", "remarks"]
    print_table(
        count(sum(flow.passages for flow in answer.flows), "passage"),
        columns,
        (_row(flow, settings, by_lane=by_lane, compare=compare) for flow in answer.flows),
        right=("passages", "usual"),
        caption=f"hours of {answer.time_zone or 'UTC'}, shown in {settings.time_zone}",
    )


def _row(flow: Flow, settings: Settings, *, by_lane: bool, compare: bool) -> list[str]:
    cells = [
        show_time(flow.hour, settings.zone)[:16],
        flow.checkpoint,
        show_direction(flow.direction),
        f"{flow.passages:,}",
    ]
    if by_lane:
        cells.insert(2, flow.lane)
    if compare:
        drop = "unusual drop: has a reader gone blind?" if flow.unusual_drop else ""
        cells += [f"{flow.usual:,.0f}", drop]
    return cells
