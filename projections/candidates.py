"""Where the log has the kept reads that could have been one of some hotlist entries.

Always true here: a read is left out only where its plate differs from each of them in more
characters than were asked for, or in several and the read was surer than was asked for; each
position comes once; at no time is more held than the plates of one request and the positions of one
page.
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

MOST_PLATES = 5_000
_PATTERN = re.compile(r"[A-Z0-9?*]{1,64}").fullmatch
_END = 2**63 - 1
# Of one query: plates of entries, kept plates whose reads are looked up, positions, and kept plates
# that patterns match.
_PLATES_AT_ONCE, _KEPT_AT_ONCE, _READS_AT_ONCE, _MATCHES_AT_ONCE = 1_000, 500, 50_000, 20_000
_ANY = "*"


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
    near = _Near(client, log_id, wanted)
    kept = near.plates()
    while group := list(islice(kept, _KEPT_AT_ONCE)):
        after = 0
        while True:
            rows = client.rows(
                "queries/candidate_reads",
                plates=group,
                near=[plate for plate in group if near.is_near(plate)],
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


class _Near:
    """The kept plates whose reads are candidates."""

    def __init__(self, client: _Asked, log_id: str, wanted: Wanted) -> None:
        self._client = client
        self._log_id = log_id
        self._wanted = wanted
        # What differs in one character at most, and some more; and what differs in several.
        self._far: set[str] = set()
        if wanted.changes == 2:
            found = self._misread("queries/misread_plates_twice", MOST_PLATES)
            rests = {rest for plate in wanted.plates for rest in _rests(plate)}
            self._near = {plate for plate in found if not rests.isdisjoint(_rests(plate))}
            self._far = found - self._near
        elif wanted.changes:
            self._near = self._misread("queries/misread_plates", _PLATES_AT_ONCE)
        else:
            self._near = set(wanted.plates)
        once = twice = _loosened(wanted.patterns) if wanted.changes else wanted.patterns
        if wanted.changes == 2:
            twice = _loosened(once)
        elif wanted.changes > 2 and (wanted.plates or wanted.patterns):
            # Too many to look for: what is unsure may be anything.
            twice = frozenset((_ANY,))
        self._near_patterns, self._far_patterns = _expression(once), _expression(twice)
        self._has_patterns = bool(twice)

    def is_near(self, plate: str) -> bool:
        """It differs in one character at most, or is one of some more."""
        return plate in self._near or bool(self._near_patterns.fullmatch(plate))

    def plates(self) -> Iterator[str]:
        """Each once; those that were never read may be among them."""
        found = self._near | self._far
        yield from sorted(found)
        after = ""
        while self._has_patterns:
            rows = self._client.rows(
                "queries/matching_plates",
                expression=f"^(?:{self._far_patterns.pattern})$",
                log=self._log_id,
                before=self._wanted.before,
                after=after,
                rows=_MATCHES_AT_ONCE,
            )
            yield from (str(plate) for (plate,) in rows if plate not in found)
            if len(rows) < _MATCHES_AT_ONCE:
                return
            after = str(rows[-1][0])

    def _misread(self, query: str, at_once: int) -> set[str]:
        plates = sorted(self._wanted.plates)
        found: set[str] = set()
        for start in range(0, len(plates), at_once):
            rows = self._client.rows(
                query,
                plates=plates[start : start + at_once],
                log=self._log_id,
                before=self._wanted.before,
            )
            found.update(str(plate) for (plate,) in rows)
        return found


def _rests(plate: str) -> set[str]:
    """What is left of a plate, whole or without one of its characters.

    Two plates that differ in one character at most have one of these in common.
    """
    return {plate, *(plate[:i] + plate[i + 1 :] for i in range(len(plate)))}


def _loosened(patterns: frozenset[str]) -> frozenset[str]:
    """What matches the plates that differ in one character at most from those that these do."""
    return patterns.union(*map(_with_one_change, patterns))


def _with_one_change(pattern: str) -> Iterator[str]:
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
