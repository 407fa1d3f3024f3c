"""Who travelled with a plate.

Always true here: the target's passages reach ClickHouse as stretches of the table in checkpoint
order, so a question reads those alone; an answer depends on what was captured and nothing else.
What folds into the target's reads (folding.py) is the target, and was not met; where all that was
read of the target folds into another's, the target was not there.

How surprising a companion is. Where k plates pass within the time of one of the target's passages,
and a share q of all reads kept is the candidate's, the candidate is met there by chance
with p = 1 - exp(-k q): a Poisson process, whose rate is that checkpoint's traffic at that hour.
The score of meetings at n of the target's m passages is -log10 of the product of their p, less
log10 of m over n, in how many ways n of m could have been met; at least 0.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb, expm1, inf, log10
from typing import Any

import numpy as np

from projections.clickhouse import Client
from projections.folding import SURE, Read, one_apart
from projections.misreads import folds_of, note_misreads, reads_of
from projections.movements import passages_of
from projections.requests import (
    Filter,
    Span,
    by_format,
    duration_of,
    filter_of,
    limit_of,
    span_of,
)
from projections.visits import PassageOf
from proto.ring.v1.investigation_pb2 import (
    Companion,
    FindCompanionsRequest,
    FindCompanionsResponse,
)
from ring.errors import InvalidRequest
from ring.store import EventLog
from ring.values import plate_of

_SECOND = 1_000_000
_WITHIN, _MOST_WITHIN = 120 * _SECOND, 86_400 * _SECOND
_GAP = 60 * _SECOND
_FEWEST = 2
_MOST_PASSAGES = 5_000
# Candidates whose own traffic is looked up: those that stand out by the places' traffic alone.
_LOOKED_UP = 300


@dataclass(frozen=True)
class Travel:
    """A question for companions, checked. Times in microseconds."""

    plate: str
    span: Span
    within: int
    least: int
    limit: int
    asked: Filter
    same_direction: bool


def travel_of(request: FindCompanionsRequest) -> Travel:
    """Reads a request. InvalidRequest where it can never be answered."""
    return Travel(
        plate_of(request.plate),
        span_of(request.range),
        duration_of(request.within, "within", _WITHIN, _MOST_WITHIN),
        request.min_encounters or _FEWEST,
        limit_of(request.limit),
        by_format(
            filter_of(
                checkpoints=request.checkpoints,
                direction=request.direction,
                region=request.region,
                min_confidence=request.min_confidence,
            )
        ),
        request.same_direction,
    )


@dataclass(frozen=True)
class _Met:
    """Who was met at which of the target's passages, by their numbers; how many plates at each."""

    plates: Mapping[str, Sequence[int]]
    traffic: Mapping[int, int]


def _met(client: Client, **question: Any) -> _Met:
    ((plates, (numbers, counts)),) = client.rows("queries/companions", **question)
    return _Met(dict(plates), dict(zip(numbers, counts, strict=True)))


def companions_of(client: Client, log: EventLog, travel: Travel) -> FindCompanionsResponse:
    """The most surprising first; then by encounters and plate."""
    passages = [
        p
        for p in passages_of(client, travel.plate)
        if travel.span.start <= p.at < travel.span.end
        and (not travel.asked.checkpoints or p.checkpoint in travel.asked.checkpoints)
        and travel.asked.direction in (0, p.direction)
    ]
    if len(passages) > _MOST_PASSAGES:
        raise InvalidRequest(
            f"{travel.plate} has {len(passages):,} passages in the range, more than "
            f"{_MOST_PASSAGES:,}: ask for less time or fewer checkpoints"
        )
    if len(passages) < travel.least:
        return FindCompanionsResponse()
    question = _question(travel, passages)
    with client.meanwhile(lambda c: _met(c, **question)) as asked:
        note_misreads(client, log, {travel.plate: passages})
    met = asked.result()
    # Where another vehicle was misread as the target, the target was not.
    there = {n for n, p in enumerate(passages) if p.counts}
    if len(there) < travel.least:
        return FindCompanionsResponse()
    met = _without_misreads(client, log, travel, passages, met)
    traffic = {n: plates for n, plates in met.traffic.items() if n in there}
    found = list(met.plates.items())
    if len(there) < len(passages):
        found = [(plate, [n for n in at if n in there]) for plate, at in found]
        found = [(plate, at) for plate, at in found if len(at) >= travel.least]
    if not found:
        return FindCompanionsResponse()
    return _ranked(client, travel, passages, traffic, found)


def _question(travel: Travel, passages: Sequence[PassageOf]) -> dict[str, Any]:
    """What the named query takes, for these passages of the target."""
    # What is read of a stretch beside what is needed, against one more key.
    width = travel.within + _GAP
    keys: set[tuple[str, int]] = set()
    windows = []
    for number, p in enumerate(passages):
        first, last = p.at - travel.within, p.at + travel.within
        keys.update((p.checkpoint, s) for s in stretches(first - _GAP, last, width))
        windows += [
            (p.checkpoint, s, p.at, p.direction, number) for s in stretches(first, last, width)
        ]
    return {
        "plate": travel.plate,
        "width": width,
        "within": travel.within,
        "keys": sorted(keys),
        "windows": json.dumps(windows),
        "encounters": travel.least,
        "same_direction": travel.same_direction,
        "format": travel.asked.expression,
        "min_confidence": travel.asked.min_confidence,
    }


def _without_misreads(
    client: Client, log: EventLog, travel: Travel, passages: Sequence[PassageOf], met: _Met
) -> _Met:
    """What is left where the target's own misreads are not met.

    Of the few plates they are of all reads are looked at, rather than asking once more about
    everybody.
    """
    # Who is one apart begins like it or ends like it: most are told by that, ten times as fast.
    half = len(travel.plate) // 2
    begin, end = travel.plate[:half], travel.plate[half:]
    alike = (other for other in met.plates if other.startswith(begin) or other.endswith(end))
    like = [other for other in alike if one_apart(travel.plate, other)]
    if not like:
        return met
    around = travel.within + _GAP
    first, last = min(p.at for p in passages) - around, max(p.at for p in passages) + around
    reads = reads_of(client, like, first, last)
    folded = folds_of(client, log, [r for r in reads if r.confidence < SURE])
    misread = {r for r, into in folded.items() if into.plate == travel.plate}
    plates, traffic = dict(met.plates), dict(met.traffic)
    for plate in {r.plate for r in misread}:
        left = [r for r in reads - misread if r.plate == plate]
        now = _meetings(travel, passages, left)
        for number in plates.pop(plate):
            traffic[number] -= 1
        for number in now:
            traffic[number] = traffic.get(number, 0) + 1
        if len(now) >= travel.least:
            plates[plate] = now
    return _Met(plates, {number: count for number, count in traffic.items() if count})


def _meetings(
    travel: Travel, passages: Sequence[PassageOf], reads: Iterable[Read]
) -> Sequence[int]:
    """The target's passages, by their numbers, near which a passage of these reads begins.

    As queries/companions has it, for one plate.
    """
    ways: dict[tuple[str, int], list[int]] = {}
    for read in reads:
        if read.confidence >= travel.asked.min_confidence:
            ways.setdefault((read.checkpoint, read.direction), []).append(read.at)
    begins = {
        (checkpoint, direction, at)
        for (checkpoint, direction), times in ways.items()
        for before, at in pairwise([-inf, *sorted(times)])
        if at > before + _GAP
    }
    return [
        number
        for number, p in enumerate(passages)
        if any(
            checkpoint == p.checkpoint
            and abs(at - p.at) <= travel.within
            and (not travel.same_direction or direction == p.direction)
            for checkpoint, direction, at in begins
        )
    ]


def _ranked(
    client: Client,
    travel: Travel,
    passages: Sequence[PassageOf],
    traffic: Mapping[int, int],
    found: Sequence[tuple[str, Sequence[int]]],
) -> FindCompanionsResponse:
    """`traffic`, `found`: plates met at the target's passages, which go by their numbers."""
    weight = {w: 1 / plates for w, plates in traffic.items()}
    by_places = sorted(found, key=lambda f: (-sum(map(weight.__getitem__, f[1])), f[0]))
    nearest = by_places[: max(_LOOKED_UP, travel.limit)]
    rows = client.rows("queries/activity", plates=[f[0] for f in nearest])
    shares = {str(plate): float(share) for plate, share in rows}
    counted = sum(p.counts for p in passages)
    everywhere = np.array(list(traffic.values()), float)
    companions = [
        Companion(
            plate=plate,
            encounters=len(met),
            checkpoints=len({passages[w].checkpoint for w in met}),
            score=surprise([traffic[w] for w in met], counted, shares[plate]),
            expected=float(-np.expm1(-everywhere * shares[plate]).sum()),
        )
        for plate, met in nearest
        # What came between the two questions may be in one of them alone.
        if plate in shares
    ]
    companions.sort(key=lambda c: (-c.score, -c.encounters, c.plate))
    return FindCompanionsResponse(
        companions=companions[: travel.limit],
        truncated=len(companions) > travel.limit or len(found) > len(nearest),
    )


def chance(plates: int, share: float) -> float:
    """That one of so many plates is a given one, which has this share of all reads."""
    return -expm1(-plates * share)


def surprise(plates: Sequence[int], passages: int, share: float) -> float:
    """The score of meetings among so many plates each, out of so many passages of the target."""
    score = -sum(log10(chance(k, share)) for k in plates)
    return max(0.0, score - log10(comb(passages, len(plates))))


def stretches(first: int, last: int, width: int) -> Iterator[int]:
    """The numbers of the stretches of that width from one instant to another, both within."""
    return iter(range(first // width, last // width + 1))
