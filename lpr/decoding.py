"""What a plate may be, put together with what the OCR saw: exact, over every format at once.

The OCR's rows are taken as independent places, each with a chance of holding no character. The
prior is a mixture: each format of the configured countries, and a generic plate of any length in
which letters and digits come in runs. A string's weight is its probability under the rows times
its prior relative to strings drawn at random, since that is what a model without formats assumes.

Always true here: no string is forbidden that the generic plate can make; sums run over all
strings, not over a beam; the rows sent on are those of the likeliest length and sum to 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from lpr.formats import CLASSES, Format
from lpr.reading import ALPHABET, NOTHING, Posterior

Numbers = NDArray[np.float64]

GENERIC = 0.3
"""Share of plates that follow no format of the configured countries."""
RUN = 0.7
"""Chance that the next character of a generic plate is of the kind of the one before."""
NEGLIGIBLE = 1e-6
"""Share of the whole under which a pattern is left out of the rows."""

_NAMES = list(CLASSES)
_MASKS = np.array(
    [[character in held for character in ALPHABET[:NOTHING]] for held in CLASSES.values()], float
)
_SIZES = _MASKS.sum(axis=1)


@dataclass(frozen=True)
class Decoded:
    """plate: the likeliest string. probability: its share among all. rows: one a character.

    countries: share of each country's formats in the whole; the generic plate is under "".
    """

    plate: str
    probability: float
    rows: Posterior
    countries: dict[str, float]


class Prior:
    """The formats, compiled. formats: at least one generic one among them."""

    def __init__(self, formats: Sequence[Format], *, generic: float = GENERIC) -> None:
        weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        named = {one.country for one in formats if one.country}
        totals: dict[str, float] = defaultdict(float)
        for one in formats:
            totals[one.country] += one.weight
        for one in formats:
            share = (1 - generic) / len(named) if one.country else generic if named else 1.0
            for pattern, part in _spelled(one.pattern):
                weights[pattern][one.country] += part * share * one.weight / totals[one.country]
        self.countries = sorted({country for held in weights.values() for country in held})
        patterns = list(weights)
        longest = max(map(len, patterns))
        self._lengths = np.array([len(pattern) for pattern in patterns])
        self._kinds = np.full((len(patterns), longest), len(_NAMES))
        for row, pattern in zip(self._kinds, patterns, strict=True):
            row[: len(pattern)] = [_NAMES.index(kind) for kind in pattern]
        # Relative to strings drawn at random: 36 to the length, over how many fit the pattern.
        odds = np.log(NOTHING / np.append(_SIZES, NOTHING))[self._kinds].sum(axis=1)
        self._weights = np.exp(odds)[:, None] * np.array(
            [[held.get(country, 0.0) for country in self.countries] for held in weights.values()]
        )

    def decode(self, rows: Posterior, told: dict[str, float] | None = None) -> Decoded:
        """The likeliest plate of an OCR's rows, (n, 37).

        told: how much likelier than usual a model's own view makes each country; 1 where absent.
        """
        told = told or {}
        favour = np.array([told.get(country, 1.0) for country in self.countries])
        weights = self._weights @ favour
        characters = rows[:, :NOTHING].astype(np.float64)
        none = rows[:, NOTHING].astype(np.float64)
        kinds = np.hstack([characters @ _MASKS.T, np.zeros((len(rows), 1))])
        forward = _forward(kinds[:, self._kinds], none)
        mass = forward[-1, np.arange(len(weights)), self._lengths] * weights
        total = float(mass.sum())
        if total <= 0:
            return Decoded("", 0.0, rows[:0], {})
        by_country = (mass / weights) @ (self._weights * favour)
        kept = np.nonzero(mass > NEGLIGIBLE * total)[0]
        kept = kept[np.argsort(-mass[kept])]
        places = self._places(kept, forward, characters, none) * weights[kept, None, None]
        plate, weight = self._best(kept, places, characters, none, weights)
        same = self._lengths[kept] == len(plate)
        marginal = places[same, : len(plate)].sum(axis=0)
        out = np.zeros((len(plate), len(ALPHABET)), np.float32)
        out[:, :NOTHING] = marginal / marginal.sum(axis=1, keepdims=True)
        shares = dict(zip(self.countries, (by_country / total).tolist(), strict=True))
        return Decoded(plate, min(1.0, weight / total), out, shares)

    def _places(
        self, kept: NDArray[np.intp], forward: Numbers, characters: Numbers, none: Numbers
    ) -> Numbers:
        """Weight of each character at each place of each kept pattern: (kept, longest, 36)."""
        kinds = self._kinds[kept]
        sums = np.hstack([characters @ _MASKS.T, np.zeros((len(none), 1))])[:, kinds]
        count, longest = kinds.shape
        backward = np.zeros((len(none) + 1, count, longest + 1))
        backward[-1, np.arange(count), self._lengths[kept]] = 1.0
        for row in range(len(none) - 1, -1, -1):
            backward[row] = backward[row + 1] * none[row]
            backward[row, :, :-1] += backward[row + 1, :, 1:] * sums[row]
        through = forward[:-1, kept, :-1] * backward[1:, :, 1:]
        masks = np.vstack([_MASKS, np.zeros(NOTHING)])[kinds]
        places: Numbers = np.einsum("ifj,ic->fjc", through, characters) * masks
        return places

    def _best(
        self,
        kept: NDArray[np.intp],
        places: Numbers,
        characters: Numbers,
        none: Numbers,
        weights: Numbers,
    ) -> tuple[str, float]:
        """The heaviest of the kept patterns' own best strings, and its exact weight."""
        best, heaviest = "", 0.0
        for pattern, place in zip(kept[:8], places[:8], strict=True):
            columns = place[: self._lengths[pattern]].argmax(axis=1)
            seen = _forward(characters[:, None, columns], none)[-1, 0, len(columns)]
            fits = (self._lengths == len(columns)) & np.all(
                _FITS[self._kinds[:, : len(columns)], columns], axis=1
            )
            weight = float(seen * weights[fits].sum())
            if weight > heaviest:
                best, heaviest = "".join(ALPHABET[column] for column in columns), weight
        return best, heaviest


_FITS = np.vstack([_MASKS, np.zeros(NOTHING)]).astype(bool)


def _forward(places: Numbers, none: Numbers) -> Numbers:
    """How likely the first i rows spell the first j places: (rows + 1, patterns, longest + 1).

    places: (rows, patterns, longest), chance that a row holds what the place asks for.
    """
    rows, patterns, longest = places.shape
    forward = np.zeros((rows + 1, patterns, longest + 1))
    forward[0, :, 0] = 1.0
    for row in range(rows):
        forward[row + 1] = forward[row] * none[row]
        forward[row + 1, :, 1:] += forward[row, :, :-1] * places[row]
    return forward


def _spelled(pattern: str) -> list[tuple[str, float]]:
    """A pattern's stars spelled out as letters and digits in runs, with the share of each.

    Some are of each kind: plates of one kind alone are formats of their own, and much rarer.
    """
    if "*" not in pattern:
        return [(pattern, 1.0)]
    found = []
    for kinds in product("A9", repeat=len(pattern)):
        if len(set(kinds)) == 2:
            share = 1.0
            for before, after in pairwise(kinds):
                share *= RUN if before == after else 1 - RUN
            found.append(("".join(kinds), share))
    whole = sum(share for _, share in found)
    return [(kinds, share / whole) for kinds, share in found]
