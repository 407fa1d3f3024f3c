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

WEIGHTS = (1.0, 0.5)
"""How much each model's log probabilities count."""
MISTAKEN = (0.01, 0.03)
"""Chance that what a model says of one place is worth nothing."""
SURELY_EMPTY = 0.98
"""Chance of no character above which a place is left out before two posteriors are aligned."""


def align(one: Posterior, other: Posterior) -> list[tuple[int | None, int | None]]:
    """Rows of two posteriors that belong together, in order; None where a row has no partner.

    The alignment that makes it likeliest that both saw the same plate (dynamic programming).
    """
    agree = np.log(np.maximum(one @ other.T, 1e-6))
    lone_one = np.log(np.maximum(one[:, NOTHING], 1e-6))
    lone_other = np.log(np.maximum(other[:, NOTHING], 1e-6))
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
    return pairs[::-1]


def fuse(
    one: Posterior, other: Posterior, *, weights: tuple[float, float], mistaken: tuple[float, float]
) -> Posterior:
    """The weighted product of two models' rows.

    weights: how much each one's log probabilities count. mistaken: the chance that what a model
    says of a place is worth nothing.
    """
    empty: NDArray[np.float32] = np.zeros(len(ALPHABET), np.float32)
    empty[NOTHING] = 1.0
    rows = []
    for i, j in align(one, other):
        pair = (empty if i is None else one[i], empty if j is None else other[j])
        logs = sum(
            weight * np.log((1 - doubt) * row + doubt / len(ALPHABET))
            for weight, doubt, row in zip(weights, mistaken, pair, strict=True)
        )
        together = np.exp(logs - np.max(logs))
        rows.append(together / together.sum())
    if not rows:
        return np.zeros((0, len(ALPHABET)), np.float32)
    return np.stack(rows).astype(np.float32)


class FusedOcr:
    """A first model, and a second one that is asked about the same places."""

    def __init__(self, first: Recogniser, second: Recogniser, name: str) -> None:
        self.name = name
        self._first = first
        self._second = second

    def read(self, sights: Sequence[Sight]) -> list[Reading]:
        """One reading a place, in their order; the country is the second model's say."""
        return [
            Reading.of(
                fuse(
                    one.posterior,
                    _spoken(other.posterior),
                    weights=WEIGHTS,
                    mistaken=MISTAKEN,
                ),
                other.region,
                other.regions,
            )
            for one, other in zip(self._first.read(sights), self._second.read(sights), strict=True)
        ]


def _spoken(posterior: Posterior) -> Posterior:
    """Without the places that are surely empty, as the slots behind a plate's end are."""
    return posterior[posterior[:, NOTHING] < SURELY_EMPTY]
