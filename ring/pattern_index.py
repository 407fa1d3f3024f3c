"""Patterns for plates, and which of them a plate matches.

Always true here: a pattern with question marks alone costs one look-up for all that have theirs at
the same places; one with a star is tried against every plate that begins like it.
"""

import re
from collections import Counter
from collections.abc import Iterator


class PatternIndex:
    """A set of patterns; '?' is any one character, '*' any run, none included."""

    def __init__(self) -> None:
        self._patterns: set[str] = set()
        # (length, places of the question marks) → how many patterns have them
        self._shapes: Counter[tuple[int, tuple[int, ...]]] = Counter()
        # first character, "" where that is wild → patterns with a star
        self._stars: dict[str, dict[str, re.Pattern[str]]] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def add(self, pattern: str) -> None:
        """One more; nothing where it is there."""
        if pattern in self._patterns:
            return
        self._patterns.add(pattern)
        if "*" in pattern:
            expression = pattern.replace("?", ".").replace("*", ".*")
            self._stars.setdefault(_first(pattern), {})[pattern] = re.compile(expression)
        else:
            self._shapes[_shape(pattern)] += 1

    def discard(self, pattern: str) -> None:
        """One less."""
        if pattern not in self._patterns:
            return
        self._patterns.discard(pattern)
        if "*" in pattern:
            del self._stars[_first(pattern)][pattern]
        else:
            shape = _shape(pattern)
            self._shapes[shape] -= 1
            if not self._shapes[shape]:
                del self._shapes[shape]

    def matching(self, plate: str) -> Iterator[str]:
        """The patterns that a plate matches."""
        for length, places in self._shapes:
            if length == len(plate):
                characters = list(plate)
                for place in places:
                    characters[place] = "?"
                pattern = "".join(characters)
                if pattern in self._patterns:
                    yield pattern
        for first in (plate[0], ""):
            for pattern, expression in self._stars.get(first, {}).items():
                if expression.fullmatch(plate):
                    yield pattern


def _first(pattern: str) -> str:
    return "" if pattern[0] in "?*" else pattern[0]


def _shape(pattern: str) -> tuple[int, tuple[int, ...]]:
    return len(pattern), tuple(n for n, character in enumerate(pattern) if character == "?")
