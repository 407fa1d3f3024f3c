"""Which kept plates a pattern could have been read as, and how likely each is.

Always true here: scores depend on the pattern and the confusion model alone; a plate that matches
the pattern as it is has 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from projections.clickhouse import Client
from ring.confusion import measured
from ring.errors import InvalidRequest
from ring.values import is_plate

# What is less likely, relative to a right reading, is not looked for; a pattern stands for many
# plates, so fewer of what it may be read as can be looked for.
_LEAST, _LEAST_OF_PATTERN = 1e-5, 1e-3
_PATTERN = re.compile(r"[A-Z0-9?*]+").fullmatch
_MOST_CANDIDATES, _MOST_PATTERNS, _MOST_MATCHES = 4_000, 200, 20_000


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
    """What a normalised pattern may be read as, the likeliest first."""
    is_pattern = "?" in pattern or "*" in pattern
    if not (_PATTERN if is_pattern else is_plate)(pattern):
        raise InvalidRequest(
            "a fuzzy search is for a plate: letters A-Z and digits, and ? and * among them"
        )
    least, most = (_LEAST_OF_PATTERN, _MOST_PATTERNS) if is_pattern else (_LEAST, _MOST_CANDIDATES)
    likely = measured().likely(pattern, least, "?*" if is_pattern else "")
    # Sorted by likelihood, ties by the text: the same on every page.
    best = sorted(likely.items(), key=lambda item: (-item[1], item[0]))[:most]
    return Likeness(dict(best), is_pattern)


def _expression(pattern: str) -> str:
    return pattern.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*")
