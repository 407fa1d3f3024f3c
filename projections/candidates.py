"""Where the log has the kept reads that could have been one of some hotlist entries.

Always true here: a read is left out only where its plate is none of them, and where what else it
may be makes none of them likelier than the threshold; each position comes once; at no time is more
held than the plates of one request, the kept plates of one page and the positions of another.

What reads may be is in unsure_reads. Reads that have no rows there (see projections/unsure.py) are
candidates where they are unsure enough to be anything.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from projections.clickhouse import Readers, Row
from projections.requests import EARLIEST, Span, instant_of, span_of
from projections.unsure import SURE
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.errors import InvalidRequest
from ring.values import is_plate

MOST_PLATES = 5_000
_PATTERN = re.compile(r"[A-Z0-9?*]{1,64}").fullmatch
_END = 2**63 - 1
# Of one query: kept plates whose reads are looked up, positions that come of it, positions among
# which it looks for unsure reads, and kept plates that patterns match.
_KEPT_AT_ONCE, _READS_AT_ONCE, _STRETCH, _MATCHES_AT_ONCE = 1_000, 50_000, 25_000_000, 20_000
# What the probabilities of 50 plates lose at most as floats of 32 bits.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Wanted:
    """A request, checked. `patterns`: those of the plates that have wildcards."""

    plates: frozenset[str]
    patterns: frozenset[str]
    before: int
    received_from: int
    span: Span
    threshold: float

    @property
    def surest(self) -> float:
        """What a read's confidence is at most where a near match exceeds the threshold."""
        return 1.0 - self.threshold


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
        request.threshold,
    )


def candidates(readers: Readers, log_id: str, wanted: Wanted) -> Iterator[list[int]]:
    """Pages of positions, each page in order. No client is held between two of them."""
    if wanted.plates or wanted.patterns:
        search = _Search(_Asked(readers), log_id, wanted)
        yield from search.exact()
        if wanted.threshold < 1.0:
            yield from search.near()


class _Asked:
    """A client for each query."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def rows(self, name: str, **parameters: Any) -> Sequence[Row]:
        with self._readers.client() as client:
            return client.rows(name, **parameters)


class _Search:
    """The candidates of one request."""

    def __init__(self, client: _Asked, log_id: str, wanted: Wanted) -> None:
        self._client = client
        self._log_id = log_id
        self._wanted = wanted
        self._expression = _expression(wanted.patterns)
        self._common = {
            "log": log_id,
            "received_from": wanted.received_from,
            "start": wanted.span.start,
            "end": wanted.span.end,
            "rows": _READS_AT_ONCE,
        }
        self._among = {"plates": sorted(wanted.plates), "expression": self._expression}

    def exact(self) -> Iterator[list[int]]:
        """The reads of plates that are asked for."""
        kept = self._plates()
        while group := list(islice(kept, _KEPT_AT_ONCE)):
            yield from self._pages(
                "queries/candidate_reads", 0, self._wanted.before, plates=group, **self._common
            )

    def near(self) -> Iterator[list[int]]:
        """The reads of other plates that may be of those."""
        head = int(self._client.rows("queries/position", log=self._log_id)[0][0])
        end = min(self._wanted.before, head + 1)
        ((found,),) = self._client.rows("queries/unsure_reads_lacking", log=self._log_id)
        lacking = int(found)
        surest = self._wanted.surest
        for after in range(lacking, end - 1, _STRETCH):
            yield from self._pages(
                "queries/candidate_unsure_reads",
                after,
                min(after + _STRETCH + 1, end),
                threshold=self._wanted.threshold - _ROUNDING,
                has_patterns=bool(self._wanted.patterns),
                **self._among,
                **self._common,
            )
        end = end if surest > SURE else min(end, lacking + 1)
        for after in range(0, end - 1, _STRETCH):
            yield from self._pages(
                "queries/candidate_lacking_reads",
                after,
                min(after + _STRETCH + 1, end),
                lacking=lacking,
                sure=SURE,
                surest=surest,
                **self._among,
                **self._common,
            )

    def _pages(self, query: str, after: int, before: int, **more: Any) -> Iterator[list[int]]:
        """What a query finds between two positions."""
        while True:
            rows = self._client.rows(query, after=after, before=before, **more)
            if rows:
                yield [int(position) for (position,) in rows]
            if len(rows) < _READS_AT_ONCE:
                return
            after = int(rows[-1][0])

    def _plates(self) -> Iterator[str]:
        """Each once; those that were never read may be among them."""
        yield from sorted(self._wanted.plates)
        after = ""
        while self._wanted.patterns:
            rows = self._client.rows(
                "queries/matching_plates",
                expression=self._expression,
                log=self._log_id,
                before=self._wanted.before,
                after=after,
                rows=_MATCHES_AT_ONCE,
            )
            yield from (str(plate) for (plate,) in rows if plate not in self._wanted.plates)
            if len(rows) < _MATCHES_AT_ONCE:
                return
            after = str(rows[-1][0])


def _expression(patterns: Iterable[str]) -> str:
    """A regular expression of the plates that one of the patterns matches; without any, of none."""
    pieces = [p.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*") for p in sorted(patterns)]
    return f"^(?:{'|'.join(pieces)})$"
