"""`ring search`, `timeline` and `reads`: plate histories out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ring.cli.connection import connect
from ring.cli.export import Export, Force, destination
from ring.cli.naming import note_unknown
from ring.cli.options import (
    AtLeast,
    Case,
    Checkpoints,
    Direction,
    From,
    Json,
    MinConfidence,
    Reason,
    Region,
    Server,
    Timeout,
    To,
    direction_of,
)
from ring.cli.output import count, note, print_answer, print_table, show_direction, waiting
from ring.cli.purpose import purpose
from ring.cli.settings import Settings, load
from ring.cli.times import positions, show_duration, show_time, time_range

if TYPE_CHECKING:
    from proto.ring.v1.investigation_pb2 import (
        GetTimelineResponse,
        Passage,
        PlateSummary,
        SearchPlatesRequest,
        Visit,
    )
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

Plate = Annotated[str, typer.Argument(metavar="PLATE")]
_LARGEST_PAGE = 1_000


def search(
    pattern: Annotated[
        str, typer.Argument(help="'?' is one character, '*' any run; plain text is exact.")
    ],
    fuzzy: Annotated[
        bool, typer.Option("--fuzzy", help="Also plates that the OCR could have confused.")
    ] = False,
    start: From = None,
    end: To = None,
    checkpoint: Checkpoints = None,
    direction: Direction = None,
    region: Region = "",
    min_confidence: MinConfidence = 0.0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many plates.")] = 100,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Which plates match a pattern, e.g. 'AB12*' or 'A?123CD' (mind the shell: quote it)."""
    from proto.ring.v1.investigation_pb2 import PlateSummary, SearchPlatesRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = SearchPlatesRequest(
        purpose=purpose(case, reason, settings),
        pattern=pattern,
        fuzzy=fuzzy,
        range=time_range(start, end, settings.zone),
        checkpoints=checkpoint,
        direction=direction_of(direction),  # type: ignore[arg-type]
        region=region,
        min_confidence=min_confidence,
        at_least=positions(at_least),
    )
    found: list[PlateSummary] = []
    with connect(server, settings) as channel:
        pages = _pages(InvestigationServiceStub(channel), request, limit, timeout)
        if file:
            file.write(
                PlateSummary.DESCRIPTOR, pages, request.purpose, noun="plate", as_json=as_json
            )
        else:
            for plate in pages:
                if as_json:
                    print_answer(plate)
                else:
                    found.append(plate)
        note_unknown(channel, checkpoint, timeout)
    if file or as_json:
        return
    print_table(
        f"{count(len(found), 'plate')} like {pattern}",
        ("plate", "region", "reads", "first seen", "last seen", "score"),
        (
            (
                p.plate,
                p.region,
                f"{p.reads:,}",
                show_time(p.first_seen, settings.zone),
                show_time(p.last_seen, settings.zone),
                f"{p.score:.4g}",
            )
            for p in found
        ),
        right=("reads", "score"),
        caption=f"times in {settings.time_zone}",
    )


def _pages(
    stub: InvestigationServiceStub, request: SearchPlatesRequest, limit: int, timeout: float
) -> Iterator[PlateSummary]:
    left = limit
    while True:
        request.page_size = min(left, _LARGEST_PAGE)
        page = stub.SearchPlates(request, timeout=timeout)
        yield from page.plates
        left -= len(page.plates)
        if not page.next_page_token:
            return
        if left <= 0:
            note(f"more than {limit:,} plates match: raise --limit, or ask more narrowly")
            return
        request.page_token = page.next_page_token


def timeline(
    plate: Plate,
    start: From = None,
    end: To = None,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Passages and visits of one plate, in order of time."""
    from proto.ring.v1.investigation_pb2 import GetTimelineRequest, Passage, Visit
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    visits = file.beside("visits") if file else None
    request = GetTimelineRequest(
        purpose=purpose(case, reason, settings),
        plate=plate,
        range=time_range(start, end, settings.zone),
        at_least=positions(at_least),
    )
    with connect(server, settings) as channel, waiting():
        answer = InvestigationServiceStub(channel).GetTimeline(request, timeout=timeout)
    if file and visits:
        about = request.purpose
        write = partial(file.write, Passage.DESCRIPTOR, answer.passages, about, as_json=as_json)
        visits.write(
            *(Visit.DESCRIPTOR, answer.visits, about),
            noun="visit",
            as_json=as_json,
            after=partial(write, noun="passage"),
        )
    elif as_json:
        print_answer(answer)
    else:
        _print_timeline(plate, answer, settings)


def _folds(passage: Passage) -> Iterator[str]:
    if passage.HasField("folded_into"):
        into = passage.folded_into
        yield f"taken for a misread of {into.plate} ({into.confidence:.2f})"
    for fold in passage.folds:
        yield f"with {fold.plate} ({fold.confidence:.2f}), taken for a misread of it"


def _print_timeline(plate: str, answer: GetTimelineResponse, settings: Settings) -> None:
    zone = settings.zone
    print_table(
        f"{plate}: {count(len(answer.passages), 'passage')}",
        ("time", "checkpoint", "direction", "reads", "remarks"),
        (
            (
                show_time(p.at, zone),
                p.checkpoint,
                show_direction(p.direction),
                f"{p.reads:,}",
                "; ".join((*p.anomalies, *_folds(p))),
            )
            for p in answer.passages
        ),
        right=("reads",),
        caption=f"times in {settings.time_zone}",
    )

    def visit_row(visit: Visit) -> tuple[str, ...]:
        entered = visit.HasField("entered_at")
        exited = visit.HasField("exited_at")
        inside = ""
        if entered and exited:
            inside = show_duration(visit.exited_at.seconds - visit.entered_at.seconds)
        return (
            show_time(visit.entered_at, zone) if entered else "not seen",
            visit.entry_checkpoint,
            show_time(visit.exited_at, zone) if exited else "not seen",
            visit.exit_checkpoint,
            inside,
        )

    print_table(
        f"{plate}: {count(len(answer.visits), 'visit')}",
        ("entered", "at", "left", "at ", "inside"),
        map(visit_row, answer.visits),
        right=("inside",),
        caption=f"times in {settings.time_zone}",
    )


def reads(
    plate: Plate,
    start: From = None,
    end: To = None,
    case: Case = None,
    reason: Reason = None,
    at_least: AtLeast = None,
    timeout: Timeout = 60.0,
    server: Server = None,
    export: Export = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Every read of one plate as it was kept, in order of capture."""
    from proto.ring.v1.common_pb2 import PlateSighting
    from proto.ring.v1.investigation_pb2 import ListReadsRequest
    from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub

    settings = load()
    file = destination(export, force)
    request = ListReadsRequest(
        purpose=purpose(case, reason, settings),
        plate=plate,
        range=time_range(start, end, settings.zone),
        at_least=positions(at_least),
    )
    rows: list[tuple[str, ...]] = []
    with connect(server, settings) as channel:
        found = InvestigationServiceStub(channel).ListReads(request, timeout=timeout)
        if file:
            file.write(
                PlateSighting.DESCRIPTOR, found, request.purpose, noun="read", as_json=as_json
            )
            return
        for s in found:
            if as_json:
                print_answer(s)
                continue
            suspect = " (clock suspect)" if s.time_suspect else ""
            vehicle = (s.vehicle.colour, s.vehicle.make, s.vehicle.vehicle_class)
            rows.append(
                (
                    show_time(s.captured_at, settings.zone) + suspect,
                    s.plate,
                    s.checkpoint,
                    s.lane,
                    show_direction(s.direction),
                    f"{s.confidence:.2f}",
                    s.region,
                    " ".join(filter(None, vehicle)),
                    s.reader_id,
                    s.crop_sha256.hex(),
                )
            )
    if as_json:
        return
    print_table(
        f"{count(len(rows), 'read')} of {plate}",
        (
            *("captured", "plate", "checkpoint", "lane", "direction", "confidence"),
            *("region", "vehicle", "reader", "picture"),
        ),
        rows,
        right=("confidence",),
        caption=f"times in {settings.time_zone}; ring picture SHA256 -o FILE fetches a picture",
    )
