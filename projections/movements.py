"""Timelines: one plate's passages and visits, with what is odd about them.

Always true here: passages and visits come from ClickHouse's views, as visits.py reads them; what is
a misread is said in folding.py. A passage all of whose reads fold into another plate's is shown and
counts for nothing else.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

from projections.clickhouse import Client, Row
from projections.clocks import Capture, went_back
from projections.folding import Read, taken_in
from projections.misreads import folds_beside, read_ids
from projections.requests import EARLIEST, LATEST, Span
from projections.travel import CLOCK_AHEAD, Place, places, too_fast
from projections.visits import NOTHING, PassageOf, Stay, Timeline, passages_in, timeline_in
from proto.ring.v1.investigation_pb2 import Fold, GetTimelineResponse, Passage, Visit
from ring.store import EventLog
from ring.values import from_micros

_LATE = 60_000_000
_UNSURE = 0.6
_WHOLE = Span(EARLIEST, LATEST)

_Members = dict[int, list[int]]


def timeline_of(
    client: Client, log: EventLog, plate: str, span: Span = _WHOLE
) -> GetTimelineResponse:
    """Passages whose time lies in the span; visits that overlap it by what is known of them.

    Both in order of time.
    """
    with client.meanwhile(lambda c: (timelines_of(c, [plate]), places(c))) as asked:
        found = client.rows("queries/timeline_reads", plate=plate)
        distinct = {(log_id, position): row for row in found for log_id, position in [row[5:7]]}
        # By lane before position: which of two at one instant is first is not for arrival to say.
        rows = sorted(distinct.values(), key=lambda row: (row[3], row[1], *row[5:7]))
        reads = [Read(plate, *row[:7]) for row in rows]
        folded = folds_beside(client, log, reads)
    timelines, known = asked.result()
    timeline = timelines.get(plate, NOTHING)
    members = _members(timeline.passages, reads)
    misread = {
        timeline.passages[n].key
        for n, indexes in members.items()
        if indexes and all(reads[i] in folded for i in indexes)
    }
    if misread:
        without = client.rows("queries/visits_without", plates=[plate], away=sorted(misread))
        timeline = timelines_in(without).get(plate, NOTHING)
        members = _members(timeline.passages, reads)
    passages = timeline.passages
    for p in passages:
        p.counts = p.key not in misread
    _note_travel(known, passages)
    within = [n for n, p in enumerate(passages) if span.start <= p.at < span.end]
    _note_captures(log, passages, rows, {n: members[n] for n in within})
    into = taken_in(folded, plate)
    own = {n: [reads[i] for i in members[n]] for n in within}
    taken = {n: [r for o in own[n] for r in into.get(o, [])] for n in within}
    away = {n: folded[own[n][0]] for n in within if not passages[n].counts}
    ids = read_ids(log, [*chain.from_iterable(taken.values()), *away.values()])
    answer = GetTimelineResponse(
        visits=[visit(s) for s in timeline.stays if s.overlaps(span.start, span.end)]
    )
    for n in within:
        passage = _passage(
            passages[n], max((r.confidence for r in own[n]), default=0.0), len(taken[n])
        )
        passage.folds.extend(_fold(r, ids) for r in taken[n])
        if n in away:
            passage.folded_into.CopyFrom(_fold(away[n], ids))
        answer.passages.append(passage)
    return answer


def timelines_of(client: Client, plates: Sequence[str]) -> dict[str, Timeline]:
    """Passages and visits of some plates; folds are not looked for."""
    return timelines_in(client.rows("queries/timelines_of", plates=plates))


def timelines_since(client: Client, plates: Sequence[str], since: int) -> dict[str, Timeline]:
    """As `timelines_of`, of the reads captured since the day (UTC) of an instant, microseconds.

    What was before bounds nothing, and a passage that goes on from before begins with that day.
    """
    return timelines_in(client.rows("queries/timelines_since", plates=plates, since=since))


def timelines_in(rows: Sequence[Row]) -> dict[str, Timeline]:
    """What ClickHouse has of some plates, a row each."""
    return {plate: timeline_in(passages, visits) for plate, passages, visits in rows}


def passages_of(client: Client, plate: str) -> list[PassageOf]:
    """The passages of one plate, without anomalies."""
    rows = client.rows("queries/passages_of", plate=plate)
    return [p for _, passages in rows for p in passages_in(passages)]


def _members(passages: Sequence[PassageOf], reads: Sequence[Read]) -> _Members:
    """The indexes of each passage's reads: those from its first on, up to the next at its place."""
    at_place: dict[tuple[str, int], list[int]] = {}
    for index, read in enumerate(reads):
        at_place.setdefault((read.checkpoint, read.direction), []).append(index)
    by_place: dict[tuple[str, int], list[int]] = {}
    for number, passage in enumerate(passages):
        by_place.setdefault((passage.checkpoint, passage.direction), []).append(number)
    members: _Members = {n: [] for n in range(len(passages))}
    for place, numbers in by_place.items():
        begins = [passages[n].at for n in numbers]
        for index in at_place.get(place, ()):
            # What came between the two questions may be in one of them alone.
            if number := bisect_right(begins, reads[index].at):
                members[numbers[number - 1]].append(index)
    return members


def _note_travel(known: Mapping[str, Place], passages: Sequence[PassageOf]) -> None:
    # Between two places that are known, one that is not says nothing.
    for before, passage in pairwise(p for p in passages if p.counts and p.checkpoint in known):
        here, there = known[before.checkpoint], known[passage.checkpoint]
        if too_fast(here, there, passage.at - before.until):
            passage.anomalies.append("impossible-travel")


def _note_captures(
    log: EventLog, passages: Sequence[PassageOf], rows: Sequence[Row], members: _Members
) -> None:
    """What is odd about the reads themselves."""
    captures = {
        i: Capture(log_id, position, at, received)
        for own in members.values()
        for i in own
        for _, _, _, at, _, log_id, position, received, _ in [rows[i]]
    }
    back = went_back(log, [c for c in captures.values() if c.log == log.log_id])
    for number, own in members.items():
        anomalies = passages[number].anomalies
        if own and max(rows[i][4] for i in own) < _UNSURE:
            anomalies.append("low-confidence")
        if any(
            rows[i][8] or captures[i].at > captures[i].received + CLOCK_AHEAD or captures[i] in back
            for i in own
        ):
            anomalies.append("clock-skew")
        if any(captures[i].received > captures[i].at + _LATE for i in own):
            anomalies.append("late-arrival")


def _passage(passage: PassageOf, confidence: float, taken: int) -> Passage:
    return Passage(
        checkpoint=passage.checkpoint,
        direction=passage.direction,  # type: ignore[arg-type]
        at=from_micros(passage.at),
        reads=passage.reads + taken,
        anomalies=passage.anomalies,
        until=from_micros(passage.until),
        confidence=confidence,
    )


def _fold(read: Read, ids: Mapping[tuple[str, int], str]) -> Fold:
    return Fold(
        plate=read.plate,
        captured_at=from_micros(read.at),
        confidence=read.confidence,
        read_id=ids.get((read.log, read.position), ""),
    )


def visit(stay: Stay) -> Visit:
    """As the protocol has it."""
    return Visit(
        entered_at=from_micros(stay.entry.at) if stay.entry else None,
        exited_at=from_micros(stay.exit.at) if stay.exit else None,
        entry_checkpoint=stay.entry.checkpoint if stay.entry else "",
        exit_checkpoint=stay.exit.checkpoint if stay.exit else "",
    )
