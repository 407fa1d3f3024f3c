"""Entries that would hit too often: a pattern that half the city matches, a bus, a taxi.

Always true here: what is not known of a pattern counts as too often, what is not known of a plate
does not.
"""

from typing import NamedTuple

from ring.entry import is_pattern

# What was read more often on one of the last days has to be confirmed before it goes live.
MOST_A_DAY = 100


class Doubt(NamedTuple):
    """An entry would hit too often: so many reads a day, or None where that is not known."""

    reads_a_day: int | None


class Frequencies:
    """How often plates and patterns are read on their busiest day, as far as was asked."""

    def __init__(self) -> None:
        # The plates above MOST_A_DAY alone.
        self.plates: dict[str, int] = {}
        self.patterns: dict[str, int] = {}

    def doubt(self, plate: str) -> Doubt | None:
        """Whether an entry of this plate, or pattern, has to be confirmed."""
        if not is_pattern(plate):
            reads = self.plates.get(plate, 0)
        elif plate in self.patterns:
            reads = self.patterns[plate]
        else:
            return Doubt(None)
        return Doubt(reads) if reads > MOST_A_DAY else None
