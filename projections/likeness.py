"""Which kept plates a pattern could have been read as, and how likely each is.

Always true here: a score depends on the pattern, the confusion model and, for a plate, on its reads
up to the pinned position; a plate that matches the pattern as it is has 1.

The confusion model says what is looked for. Of what is found, reads that kept their posterior say
themselves how near they came to the plate asked for: the product, over the positions that differ,
of the probability of the one character over that of the other. A character that the posterior does
not list has what the model gives it, within the probability that is left. The character read may be
one of those (a reader that holds a plate to its format): what its posterior lists is then likelier.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.clickhouse import Client, Row
from proto.ring.v1.events_pb2 import StoredRead
from proto.ring.v1.ingest_pb2 import PlateRead
from ring.confusion import measured
from ring.errors import InvalidRequest
from ring.store import EventLog, unseal
from ring.values import is_plate

# What is less likely, relative to a right reading, is not looked for; a pattern stands for many
# plates, so fewer of what it may be read as can be looked for.
_LEAST, _LEAST_OF_PATTERN = 1e-5, 1e-3
_MOST_CANDIDATES, _MOST_PATTERNS, _MOST_MATCHES = 4_000, 200, 20_000


# Of a fuzzy search's finds, and of the reads of each.
_MOST_RESCORED, _READS_EACH = 200, 4


@dataclass(frozen=True)
class Likeness:
    """Plates, or patterns with ? and *, that the one asked for may be read as; 0..1 each."""

    likely: dict[str, float]
    is_pattern: bool

    def scores(self, client: Client, logs: Sequence[str], pins: Sequence[int]) -> dict[str, float]:
        """The plates to look for. InvalidRequest where a pattern matches too many."""
        if not self.is_pattern:
            return self.likely
        expressions = {p: _expression(p) for p in self.likely}
        rows = client.rows(
            "queries/plates_like",
            expression=f"^(?:{'|'.join(expressions.values())})$",
            logs=logs,
            pins=pins,
            rows=_MOST_MATCHES + 1,
        )
        if len(rows) > _MOST_MATCHES:
            raise InvalidRequest(
                f"more than {_MOST_MATCHES:,} plates could have been read like that: "
                "ask with fewer wildcards, or without fuzzy"
            )
        plates = [str(plate) for (plate,) in rows]
        found: dict[str, float] = {}
        for pattern, expression in expressions.items():
            match = re.compile(expression).fullmatch
            left = []
            for plate in plates:
                if match(plate):
                    found[plate] = self.likely[pattern]
                else:
                    left.append(plate)
            plates = left
        return found


def likeness_of(pattern: str) -> Likeness:
    """What a pattern, as search has it, may be read as, the likeliest first."""
    is_pattern = "?" in pattern or "*" in pattern
    if not is_pattern and not is_plate(pattern):
        raise InvalidRequest("a fuzzy search is for a plate of 2 to 12 characters, or a pattern")
    least, most = (_LEAST_OF_PATTERN, _MOST_PATTERNS) if is_pattern else (_LEAST, _MOST_CANDIDATES)
    likely = measured().likely(pattern, least, "?*" if is_pattern else "")
    # Sorted by likelihood, ties by the text: the same on every page.
    best = sorted(likely.items(), key=lambda item: (-item[1], item[0]))[:most]
    return Likeness(dict(best), is_pattern)


def least_sure_of(plate: str, found: Mapping[str, float], log: str, pin: int) -> dict[str, Any]:
    """What queries/least_sure takes: the likeliest of what was found for a plate, if any."""
    others = sorted((p for p in found if p != plate), key=lambda p: (-found[p], p))
    return {"plates": others[:_MOST_RESCORED], "log": log, "pin": pin, "most": _READS_EACH}


def from_posteriors(
    log: EventLog, plate: str, found: Mapping[str, float], rows: Sequence[Row]
) -> dict[str, float]:
    """The scores of plates that were found for a plate, as their least sure reads have them.

    `rows`: of queries/least_sure. Those without a posterior keep what they have.
    """
    positions = sorted(position for _, own in rows for position in own)
    scores: dict[str, float] = {}
    for event in log.select_positions(positions) if positions else ():
        read = StoredRead.FromString(unseal(event.state)).read
        if len(read.posterior) == len(read.plate) == len(plate):
            scores[read.plate] = max(scores.get(read.plate, 0.0), nearness(plate, read))
    return {**found, **scores}


def nearness(plate: str, read: PlateRead) -> float:
    """How near a read with a posterior came to another plate of its length, 0..1."""
    score = 1.0
    taken = measured().taken
    for wanted, best, candidates in zip(plate, read.plate, read.posterior, strict=True):
        if wanted == best:
            continue
        listed = dict(zip(candidates.characters, candidates.probabilities, strict=False))
        top = listed.get(best, 0.0)
        if top <= 0:
            score *= 1.0 if listed.get(wanted, 0.0) > 0 else taken[wanted][best]
            continue
        left = max(0.0, 1 - sum(listed.values()))
        score *= min(1.0, listed.get(wanted, min(left, top * taken[wanted][best])) / top)
    return score


def _expression(pattern: str) -> str:
    return pattern.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*")
