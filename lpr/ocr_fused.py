"""Two OCR models that look at the same crops, their posteriors put together place by place.

Always true here: what is fused is whole distributions, never strings; where one model sees a
character that the other does not, the place is kept with its chance of being empty; a model that is
surely wrong can't overrule the other, because each is given a chance of being mistaken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lpr.ocr import Recogniser
from lpr.reading import ALPHABET, NOTHING, Posterior, Reading, Sight

WEIGHTS = (1.0, 1.0)
"""How much each model's log probabilities count."""
MISTAKEN = (0.01, 0.03)
"""Chance that what a model says of one place is worth nothing."""
LOST_ODDS = -3.0
"""Log odds that the second model knows such plates, before the two are compared."""
LEAST = 1e-4
"""Chance that two models agree on a place though neither says so."""
UNSURE = 0.8
"""Confidence under which a model that has no time for a second opinion each time asks for one."""
SURELY_EMPTY = 0.98
"""Chance of no character above which a place is left out before two posteriors are aligned."""


def align(one: Posterior, other: Posterior) -> tuple[list[tuple[int | None, int | None]], float]:
    """Rows of two posteriors that belong together, in order; None where a row has no partner.

    The alignment that makes it likeliest that both saw the same plate, and the logarithm of that
    (dynamic programming).
    """
    agree = np.log(np.maximum(one @ other.T, LEAST))
    lone_one = np.log(np.maximum(one[:, NOTHING], LEAST))
    lone_other = np.log(np.maximum(other[:, NOTHING], LEAST))
    rows, columns = agree.shape
    best = np.full((rows + 1, columns + 1), -np.inf)
    way = np.zeros((rows + 1, columns + 1), int)
    best[0, 0] = 0.0
    for i in range(rows + 1):
        for j in range(columns + 1):
            ways = []
            if i and j:
                ways.append((best[i - 1, j - 1] + agree[i - 1, j - 1], 0))
            if i:
                ways.append((best[i - 1, j] + lone_one[i - 1], 1))
            if j:
                ways.append((best[i, j - 1] + lone_other[j - 1], 2))
            if ways:
                best[i, j], way[i, j] = max(ways)
    pairs: list[tuple[int | None, int | None]] = []
    i, j = rows, columns
    while i or j:
        move = way[i, j]
        pairs.append((i - 1 if move < 2 else None, j - 1 if move != 1 else None))
        i, j = i - (move < 2), j - (move != 1)
    return pairs[::-1], float(best[rows, columns])


def fuse(one: Posterior, other: Posterior) -> Posterior:
    """The weighted product of two models' rows, as far as the second is to be trusted.

    Where the two agree no better than by chance, the second did not see a plate it knows, and the
    first alone counts; in between, the rows are mixed by the odds of the two cases (Bayes).
    """
    pairs, agreement = align(one, other)
    if not pairs:
        return one
    by_chance = -np.log(NOTHING) * max(len(one), len(other))
    trusted = 1 / (1 + np.exp(np.clip(by_chance - agreement - LOST_ODDS, -50, 50)))
    empty: NDArray[np.float32] = np.zeros(len(ALPHABET), np.float32)
    empty[NOTHING] = 1.0
    rows = []
    for i, j in pairs:
        first = empty if i is None else one[i]
        logs = sum(
            weight * np.log((1 - doubt) * row + doubt / len(ALPHABET))
            for weight, doubt, row in zip(
                WEIGHTS, MISTAKEN, (first, empty if j is None else other[j]), strict=True
            )
        )
        together = np.exp(logs - np.max(logs))
        rows.append(trusted * together / together.sum() + (1 - trusted) * first)
    return np.stack(rows).astype(np.float32)


class FusedOcr:
    """A first model, and a second one that is asked about the same places.

    unsure: the second is asked only where the first is less sure than that.
    """

    def __init__(
        self, first: Recogniser, second: Recogniser, name: str, *, unsure: float = np.inf
    ) -> None:
        self.name = name
        self._first = first
        self._second = second
        self._unsure = unsure

    def read(self, sights: Sequence[Sight]) -> list[Reading]:
        """One reading a place, in their order; the country is the say of the model that has one."""
        said = self._first.read(sights)
        asked = [place for place, one in enumerate(said) if one.confidence < self._unsure]
        others = self._second.read([sights[place] for place in asked])
        for place, other in zip(asked, others, strict=True):
            said[place] = _together(said[place], other)
        return said


def _together(one: Reading, other: Reading) -> Reading:
    fused = fuse(one.posterior, _spoken(other.posterior))
    knows = other if other.regions else one
    return Reading.of(fused, knows.region, knows.regions)


def _spoken(posterior: Posterior) -> Posterior:
    """Without the places that are surely empty, as the slots behind a plate's end are."""
    return posterior[posterior[:, NOTHING] < SURELY_EMPTY]
