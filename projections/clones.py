"""Plates that two vehicles seem to carry: passages that one vehicle could not make.

Always true here: a proof is two reads of one plate, one after the other and both sure enough to be
no misreads, between whose checkpoints no vehicle gets in that time; reads whose clock was wrong
prove nothing, nor do those that fold into another plate's (folding.py). To be inside twice without
an exit between is a hint, because exits are missed; an exit that is a misread is none, and one that
is less sure than a proof needs is one. A checkpoint whose place is not known proves nothing: for
proofs its reads are not there, for hints they are.

It is enough to look at reads that follow each other: where any two are too far apart for the time
between them, so are two neighbours among those between (the triangle inequality). A read whose
clock was wrong, and one that folds, is left out before neighbours are told, or it would hide those
beside it. A proof belongs to the range that its second read lies in, so that ranges side by side
have each once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import Client, Row
from projections.folding import SURE, Read
from projections.misreads import folds_of, note_misreads, reads_of
from projections.movements import timelines_of
from projections.requests import (
    EARLIEST,
    Filter,
    Span,
    by_format,
    filter_of,
    instant_of,
    limit_of,
    span_of,
)
from projections.travel import CLOCK_AHEAD, CLOCKS_APART, TOP_SPEED, Place, farthest, places
from projections.visits import ENTRY, EXIT, PassageOf
from proto.ring.v1.common_pb2 import TimeRange
from proto.ring.v1.investigation_pb2 import (
    CloneSuspect,
    ListCloneSuspectsRequest,
    ListCloneSuspectsResponse,
    Passage,
)
from ring.errors import InvalidRequest
from ring.store import EventLog
from ring.values import from_micros, micros

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_LONGEST = 92 * _DAY
_SURE = 0.8
# Km/h: whatever is slower would have to be looked for over years.
_SLOWEST = 1.0
# Plates a statement; more rows than a statement has.
_AT_ONCE, _EVERY = 1_000, 2**31

_Item = TypeVar("_Item")
# Plate, two reads' times, the numbers of their checkpoints, their directions, metres, km/h, whether
# it is a proof.
_Pair = Row
# The two passages of one.
_Passages = tuple[PassageOf, PassageOf]


@dataclass(frozen=True)
class Hunt:
    """A question for clones, checked. Km/h."""

    span: Span
    top_speed: float
    hints: bool
    limit: int
    asked: Filter


def hunt_of(request: ListCloneSuspectsRequest, now: Timestamp) -> Hunt:
    """Reads a request. InvalidRequest where it can never be answered."""
    range_ = TimeRange()
    range_.CopyFrom(request.range)
    if not range_.HasField("end_time"):
        range_.end_time.CopyFrom(now)
    if not range_.HasField("start_time"):
        range_.start_time.CopyFrom(from_micros(instant_of(range_.end_time, "end_time") - _DAY))
    span = span_of(range_)
    if span.end - span.start > _LONGEST:
        raise InvalidRequest("clones are looked for in at most 92 days at a time: narrow the range")
    if request.top_speed_kmh and not _SLOWEST <= request.top_speed_kmh < inf:
        raise InvalidRequest(f"top_speed_kmh must be {_SLOWEST:g} or more; 0: {TOP_SPEED:g}")
    return Hunt(
        span,
        request.top_speed_kmh or TOP_SPEED,
        request.include_hints,
        limit_of(request.limit),
        by_format(
            filter_of(
                checkpoints=request.checkpoints,
                region=request.region,
                min_confidence=request.min_confidence or _SURE,
            )
        ),
    )


def clone_suspects(client: Client, log: EventLog, hunt: Hunt) -> ListCloneSuspectsResponse:
    """Proofs before hints, the fastest first, then in order of plate and time."""
    known = places(client)
    # Beside those whose place is known.
    others: list[str] = []
    if hunt.hints:
        others = [code for (code,) in client.rows("queries/places_not_known")]
    if asked := set(hunt.asked.checkpoints):
        known = {code: place for code, place in known.items() if code in asked}
        others = [code for code in others if code in asked]
    # Some will be dropped: wrong clocks, misreads, an exit that was not sure enough to be a proof.
    rows = 3 * hunt.limit
    while True:
        pairs, all_ = _pairs(client, log, hunt, known, others, rows)
        suspects = _suspects(client, log, hunt, [*known, *others], pairs)
        if all_ or len(suspects) > hunt.limit:
            shown = suspects[: hunt.limit]
            _note_confidence(client, shown)
            return ListCloneSuspectsResponse(suspects=shown, truncated=len(suspects) > hunt.limit)
        rows *= 4


def _suspects(
    client: Client, log: EventLog, hunt: Hunt, codes: Sequence[str], pairs: Sequence[_Pair]
) -> list[CloneSuspect]:
    """The first of them that the plates' passages bear out: more than are asked for, or all."""
    suspects: list[CloneSuspect] = []
    for some in _stretches(pairs, hunt.limit):
        timelines = timelines_of(client, sorted({pair[0] for pair in some}))
        passages = {plate: timeline.passages for plate, timeline in timelines.items()}
        found: list[tuple[_Pair, _Passages]] = []
        for pair in some:
            plate, first_at, second_at, here, there, way, way_there, *_, proof = pair
            own = passages.get(plate, ())
            first = _passage_at(own, codes[here - 1], way, first_at)
            second = _passage_at(own, codes[there - 1], way_there, second_at)
            # What came between the two questions may be in one of them alone. Sure reads of one
            # passage may lie far apart, with less sure ones between; and of two passages that go on
            # beside each other, neither is the next.
            if first and second and first is not second and (proof or _order(first, second)):
                found.append((pair, (first, second)))
        twice = _inside_twice(client, log, passages, found)
        for ((plate, *_, metres, speed, proof), (first, second)), was in zip(
            found, twice, strict=True
        ):
            if proof or was:
                suspects.append(
                    CloneSuspect(
                        plate=plate,
                        first=_message(first),
                        second=_message(second),
                        implied_speed_kmh=speed,
                        distance_km=metres / 1000,
                        hint=not proof,
                        inside_twice=was,
                    )
                )
        if len(suspects) > hunt.limit:
            break
    return suspects


def _inside_twice(
    client: Client,
    log: EventLog,
    passages: Mapping[str, Sequence[PassageOf]],
    found: Sequence[tuple[_Pair, _Passages]],
) -> list[bool]:
    """Of which of them both are entries, with no exit between that counts.

    `passages`: all of these plates, in order of time.
    """
    between: list[list[PassageOf] | None] = []
    left: dict[str, list[PassageOf]] = {}
    for (plate, *_), both in found:
        exits = None
        if all(p.direction == ENTRY for p in both):
            begin, end = sorted(map(passages[plate].index, both))
            exits = [p for p in passages[plate][begin:end] if p.direction == EXIT]
            left.setdefault(plate, []).extend(exits)
        between.append(exits)
    note_misreads(client, log, left)
    return [exits is not None and not any(p.counts for p in exits) for exits in between]


def _pairs(
    client: Client,
    log: EventLog,
    hunt: Hunt,
    known: Mapping[str, Place],
    others: Sequence[str],
    rows: int,
) -> tuple[list[_Pair], bool]:
    """The first of them, about so many, in order; and whether these are all."""
    # Whoever takes longer than this between any two was not too fast.
    longest = int(max(farthest(known) / hunt.top_speed * 3600, 1) * _SECOND) + _SECOND
    since = max(hunt.span.start - longest, EARLIEST)
    question = {
        "since": since,
        "start": hunt.span.start,
        "end": hunt.span.end,
        "codes": [*known, *others],
        "numbers": list(range(1, len(known) + len(others) + 1)),
        "latitudes": [latitude for latitude, _ in known.values()],
        "longitudes": [longitude for _, longitude in known.values()],
        "farthest": longest,
        "top_speed": hunt.top_speed,
        "clocks_apart": CLOCKS_APART,
        "ahead": CLOCK_AHEAD,
        "hints": hunt.hints,
        "places_not_known": bool(others),
        "format": hunt.asked.expression,
        "min_confidence": hunt.asked.min_confidence,
    }
    found = client.rows("queries/clones", plates=[], misreads=[], rows=rows, **question)
    all_ = len(found) < rows
    wrong: set[str] = set()
    misreads: set[Read] = set()
    for plates in _stretches(sorted({pair[0] for pair in found}), _AT_ONCE):
        misreads |= _misreads(client, log, plates, since, hunt)
        clocks = client.rows(
            "queries/wrong_clocks", plates=plates, start=since, end=hunt.span.end, ahead=CLOCK_AHEAD
        )
        wrong.update(plate for (plate,) in clocks)
    wrong.update(read.plate for read in misreads)
    pairs = [pair for pair in found if pair[0] not in wrong]
    for plates in _stretches(sorted(wrong), _AT_ONCE):
        own = sorted((r.log, r.position) for r in misreads if r.plate in plates)
        pairs += client.rows("queries/clones", plates=plates, misreads=own, rows=_EVERY, **question)
    pairs.sort(key=_rank)
    if not all_:
        # What comes after the last that was given may come after others that were not.
        pairs = [pair for pair in pairs if _rank(pair) <= _rank(found[-1])]
    return pairs, all_


def _misreads(
    client: Client, log: EventLog, plates: Sequence[str], since: int, hunt: Hunt
) -> set[Read]:
    """The reads of some plates that are sure enough to count, and fold nevertheless."""
    reads = reads_of(client, plates, since, hunt.span.end, below=SURE)
    counted = [read for read in reads if read.confidence >= hunt.asked.min_confidence]
    return set(folds_of(client, log, counted))


def _note_confidence(client: Client, suspects: Sequence[CloneSuspect]) -> None:
    """Says of each passage how sure the surest of its reads is."""
    if not suspects:
        return
    passages = [(s.plate, p) for s in suspects for p in (s.first, s.second)]
    first, last = min(micros(p.at) for _, p in passages), max(micros(p.until) for _, p in passages)
    reads: dict[tuple[str, str, int], list[Read]] = {}
    for read in reads_of(client, {s.plate for s in suspects}, first, last):
        reads.setdefault((read.plate, read.checkpoint, read.direction), []).append(read)
    for plate, p in passages:
        own = reads.get((plate, p.checkpoint, p.direction), ())
        p.confidence = max(
            (r.confidence for r in own if micros(p.at) <= r.at <= micros(p.until)), default=0.0
        )


def _rank(pair: _Pair) -> tuple[bool, float, str, int]:
    """As the query puts them in order."""
    plate, first_at, *_, speed, proof = pair
    return not proof, -speed, plate, first_at


def _stretches(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (items[n : n + most] for n in range(0, len(items), most))


def _passage_at(
    passages: Sequence[PassageOf], checkpoint: str, direction: int, at: int
) -> PassageOf | None:
    """The passage that a read at that instant belongs to."""
    return max(
        (
            p
            for p in passages
            if p.checkpoint == checkpoint and p.direction == direction and p.at <= at
        ),
        key=lambda p: p.at,
        default=None,
    )


def _order(first: PassageOf, second: PassageOf) -> bool:
    return (first.at, first.key) < (second.at, second.key)


def _message(passage: PassageOf) -> Passage:
    return Passage(
        checkpoint=passage.checkpoint,
        direction=passage.direction,  # type: ignore[arg-type]
        at=from_micros(passage.at),
        reads=passage.reads,
        anomalies=passage.anomalies,
        until=from_micros(passage.until),
    )
