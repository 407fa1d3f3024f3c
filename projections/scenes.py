"""Who was at several scenes.

Always true here: the scenes reach ClickHouse as stretches of the table in checkpoint order, so that
a question reads those and nothing else; an answer depends on what was captured alone. A plate all
of whose reads at the scenes fold into another's is left out where that one was there, too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from projections.clickhouse import Client
from projections.encounters import stretches
from projections.flows import QUARTER
from projections.folding import SURE, Read
from projections.misreads import folds_of, one_apart_of_each_other, reads_of
from projections.requests import Filter, Span, by_format, filter_of, limit_of, span_of
from proto.ring.v1.investigation_pb2 import (
    CommonPlate,
    FindCommonPlatesRequest,
    FindCommonPlatesResponse,
)
from ring.errors import InvalidRequest
from ring.store import EventLog
from ring.values import code_of

_SECOND = 1_000_000
_MOST_SCENES = 100
_FINEST, _MOST_STRETCHES = 300 * _SECOND, 5_000


@dataclass(frozen=True)
class Places:
    """A question for common plates, checked: (checkpoint, start, end) of each scene."""

    scenes: Sequence[tuple[str, int, int]]
    least: int
    limit: int
    asked: Filter


def places_of(request: FindCommonPlatesRequest) -> Places:
    """Reads a request. InvalidRequest where it can never be answered."""
    if not 1 <= len(request.scenes) <= _MOST_SCENES:
        raise InvalidRequest(f"1 to {_MOST_SCENES} scenes are needed, each a checkpoint and a time")
    scenes = []
    for scene in request.scenes:
        span = span_of(scene.range)
        scenes.append((code_of(scene.checkpoint, "checkpoint"), span.start, span.end))
    if request.min_scenes > len(scenes):
        raise InvalidRequest(
            f"min_scenes is {request.min_scenes}, more than the scenes given ({len(scenes)})"
        )
    return Places(
        scenes,
        request.min_scenes or len(scenes),
        limit_of(request.limit),
        by_format(
            filter_of(
                direction=request.direction,
                region=request.region,
                min_confidence=request.min_confidence,
            )
        ),
    )


def common_plates(client: Client, log: EventLog, places: Places) -> FindCommonPlatesResponse:
    """Those at most scenes first, then in order of plate; without misreads of one another."""
    first, last, _ = client.rows("queries/flow_extent")[0]
    kept = Span(first * QUARTER, (last + 1) * QUARTER)
    within = [
        (checkpoint, max(start, kept.start), min(end, kept.end), number)
        for number, (checkpoint, start, end) in enumerate(places.scenes)
    ]
    within = [scene for scene in within if scene[1] < scene[2]]
    if not within:
        return FindCommonPlatesResponse()
    width = max(_FINEST, sum(end - start for _, start, end, _ in within) // _MOST_STRETCHES)
    scenes = [
        (checkpoint, stretch, start, end, number)
        for checkpoint, start, end, number in within
        for stretch in stretches(start, end - 1, width)
    ]
    parameters = places.asked.parameters
    del parameters["checkpoints"]
    question = {
        "width": width,
        "keys": sorted({(checkpoint, stretch) for checkpoint, stretch, *_ in scenes}),
        "scenes": scenes,
        "least": places.least,
        **parameters,
    }
    # Some will turn out to be misreads.
    rows = 2 * places.limit
    while True:
        found, unsure = _seen(client, plates=[], rows=rows, **question)
        pairs = [
            (a, b)
            for a, b in one_apart_of_each_other(found)
            if a in unsure and {*found[a]} <= {*found[b]}
        ]
        into = _misreads_among(client, log, within, {a for a, _ in pairs})
        misread = {a for a, b in pairs if into.get(a) == b}
        left = {plate: seen for plate, seen in found.items() if plate not in misread}
        all_ = len(found) < rows
        looked_at: set[str] = set()
        # The plate that was misread may come after these, in order of plate.
        while not all_ and (next_ := {*list(left)[: places.limit]} & unsure - looked_at):
            into = _misreads_among(client, log, within, next_)
            if later := {*into.values()} - found.keys():
                beyond, _ = _seen(client, plates=sorted(later), rows=len(later), **question)
                for plate, other in into.items():
                    if {*left[plate]} <= {*beyond.get(other, ())}:
                        del left[plate]
            looked_at |= next_
        if len(left) > places.limit or all_:
            plates = [
                CommonPlate(plate=plate, scenes=len(seen), seen_at=seen)
                for plate, seen in left.items()
            ]
            return FindCommonPlatesResponse(
                plates=plates[: places.limit], truncated=len(plates) > places.limit
            )
        rows *= 4


def _seen(client: Client, **question: Any) -> tuple[dict[str, list[int]], set[str]]:
    """The scenes that each plate was seen at, in order; and who was not read surely there."""
    rows = client.rows("queries/common", **question)
    return {str(p): list(s) for p, s, _ in rows}, {str(p) for p, _, c in rows if c < SURE}


def _misreads_among(
    client: Client,
    log: EventLog,
    scenes: Sequence[tuple[str, int, int, int]],
    plates: Collection[str],
) -> dict[str, str]:
    """Those of some plates all of whose reads at the scenes fold into those of one other: which.

    One that was read right at some of them and misread at others is thus found either way.
    """
    if not plates:
        return {}
    first, last = min(start for _, start, *_ in scenes), max(end for _, _, end, _ in scenes)
    reads: dict[str, list[Read]] = {}
    for read in reads_of(client, plates, first, last):
        if any(c == read.checkpoint and a <= read.at < b for c, a, b, _ in scenes):
            reads.setdefault(read.plate, []).append(read)
    unsure = [own for own in reads.values() if all(r.confidence < SURE for r in own)]
    folded = folds_of(client, log, [r for own in unsure for r in own])
    into = {p: {folded[r].plate if r in folded else "" for r in own} for p, own in reads.items()}
    return {p: one for p, (one, *more) in into.items() if one and not more}
