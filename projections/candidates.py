"""Where the log has the kept reads that could have been one of some hotlist entries.

Always true here: a read is left out only where no matcher could have taken it for one of them, that
is where its plate differs in more characters than were asked for, or differs and the read was surer
than was asked for; each position comes once; at no time is more held than the plates of one
request and the positions of one page.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from projections.clickhouse import Readers, Row
from projections.requests import EARLIEST, Span, instant_of, span_of
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.errors import InvalidRequest
from ring.values import is_plate

MOST_PLATES, MOST_CHANGES = 5_000, 2
_PATTERN = re.compile(r"[A-Z0-9?*]{1,64}").fullmatch
_END = 2**63 - 1
# Of one query: plates of entries, kept plates whose reads are looked up, positions, and kept plates
# that patterns match.
_PLATES_AT_ONCE, _KEPT_AT_ONCE, _READS_AT_ONCE, _MATCHES_AT_ONCE = 1_000, 500, 50_000, 20_000
_MISREAD = {1: "queries/misread_plates", 2: "queries/misread_plates_twice"}


@dataclass(frozen=True)
class Wanted:
    """A request, checked. `patterns`: those of the plates that have wildcards."""

    plates: frozenset[str]
    patterns: frozenset[str]
    before: int
    received_from: int
    span: Span
    changes: int
    surest: float


def wanted_of(request: FindCandidatesRequest) -> Wanted:
    """Reads a request. InvalidRequest where a plate or a time is none, or it asks for too much."""
    if len(request.plates) > MOST_PLATES:
        raise InvalidRequest(f"at most {MOST_PLATES:,} plates at a time")
    if request.changes > MOST_CHANGES:
        raise InvalidRequest(f"at most {MOST_CHANGES} characters may differ")
    plates = frozenset(p for p in request.plates if is_plate(p))
    patterns = frozenset(request.plates) - plates
    for pattern in patterns:
        if not _PATTERN(pattern):
            raise InvalidRequest("a plate has letters A-Z and digits, and ? and * among them")
    since = EARLIEST
    if request.HasField("received_from"):
        since = instant_of(request.received_from, "received_from")
    return Wanted(
        plates,
        patterns,
        request.before or _END,
        since,
        span_of(request.range),
        request.changes,
        request.surest,
    )


def candidates(readers: Readers, log_id: str, wanted: Wanted) -> Iterator[list[int]]:
    """Pages of positions, each page in order. No client is held between two of them."""
    client = _Asked(readers)
    kept = _kept_plates(client, log_id, wanted)
    exact = _expression(wanted.patterns)
    while group := list(islice(kept, _KEPT_AT_ONCE)):
        after = 0
        while True:
            rows = client.rows(
                "queries/candidate_reads",
                plates=group,
                exact=[p for p in group if p in wanted.plates or exact.fullmatch(p)],
                log=log_id,
                after=after,
                before=wanted.before,
                surest=wanted.surest,
                received_from=wanted.received_from,
                start=wanted.span.start,
                end=wanted.span.end,
                rows=_READS_AT_ONCE,
            )
            if rows:
                yield [int(position) for (position,) in rows]
            if len(rows) < _READS_AT_ONCE:
                break
            after = int(rows[-1][0])


class _Asked:
    """A client for each query."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def rows(self, name: str, **parameters: Any) -> Sequence[Row]:
        with self._readers.client() as client:
            return client.rows(name, **parameters)


def _kept_plates(client: _Asked, log_id: str, wanted: Wanted) -> Iterator[str]:
    """The plates whose reads are candidates, each once."""
    seen: set[str] = set()
    plates = sorted(wanted.plates)
    if not wanted.changes:
        seen.update(plates)
    for start in range(0, len(plates), _PLATES_AT_ONCE) if wanted.changes else ():
        rows = client.rows(
            _MISREAD[wanted.changes],
            plates=plates[start : start + _PLATES_AT_ONCE],
            log=log_id,
            before=wanted.before,
        )
        seen.update(str(plate) for (plate,) in rows)
    yield from sorted(seen)
    for plate in _matching(client, log_id, wanted):
        if plate not in seen:
            yield plate


def _matching(client: _Asked, log_id: str, wanted: Wanted) -> Iterator[str]:
    """The kept plates that differ from one of the patterns in so many characters at most."""
    loosened = set(wanted.patterns)
    for _ in range(wanted.changes):
        loosened |= {loose for pattern in loosened for loose in _loosened(pattern)}
    if not loosened:
        return
    expression, after = f"^(?:{_expression(loosened).pattern})$", ""
    while True:
        rows = client.rows(
            "queries/matching_plates",
            expression=expression,
            log=log_id,
            before=wanted.before,
            after=after,
            rows=_MATCHES_AT_ONCE,
        )
        yield from (str(plate) for (plate,) in rows)
        if len(rows) < _MATCHES_AT_ONCE:
            return
        after = str(rows[-1][0])


def _loosened(pattern: str) -> Iterator[str]:
    """What matches all plates that differ in one character from one that the pattern matches."""
    for i in range(len(pattern) + 1):
        yield f"{pattern[:i]}?{pattern[i:]}"
        if pattern[i : i + 1] not in ("", "*"):
            yield f"{pattern[:i]}?{pattern[i + 1 :]}"
            yield pattern[:i] + pattern[i + 1 :]


def _expression(patterns: Iterable[str]) -> re.Pattern[str]:
    """What matches a plate that one of the patterns does; without any, nothing."""
    pieces: Sequence[str] = [
        p.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*") for p in sorted(patterns)
    ]
    return re.compile("|".join(pieces) or "(?!)")
