"""What the frames of one vehicle say together: posteriors fused, strings never voted on.

Always true here: a frame counts by how sure it is; frames of one vehicle err alike, so the second
and each further one adds only a share (INDEPENDENT) of what an independent one would; readings of
different lengths are never mixed: the length that most weight stands for is taken, and how much
stands against it lowers the confidence.

Where frames were independent, the posterior of all would be the product of theirs (a uniform prior
aside); a weighted mean of their logarithms would be what one frame says. The logarithms' weighted
mean times 1 + INDEPENDENT × (weight − 1) lies between: a tempered product of experts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from lpr.interpretation import agreeing
from lpr.reading import ALPHABET, Posterior, Reading

INDEPENDENT = 0.1
"""On a drawn scene of 40 vehicles (tests/lpr/lpr_video_scene.py) plates had the least log loss at
.2 to .4 with the hub's model and at 0 with RapidOCR's, which errs alike in all frames (O for 0):
.1 costs either little."""
FLOOR = 1e-5
"""Probability that any frame leaves every character: no single one can rule one out."""
SHARPENED = 2
"""Power of a frame's confidence that is its weight: one sharp frame outweighs many blurred ones."""
WORTH_FUSING = 0.02
"""Confidence under which a frame tells nothing."""
SURE = 0.5
"""Confidence at which two texts can contradict each other."""
CONTRADICTION = 3
"""Characters by which they then differ."""


@dataclass
class _Sum:
    """Weighted sum of log posteriors of one length."""

    logs: Posterior
    weight: float = 0.0


@dataclass
class Evidence:
    """All that was read of one vehicle."""

    readings: int = 0
    """How many frames were read."""
    reading: Reading = field(
        default_factory=lambda: Reading("", 0.0, np.zeros((0, len(ALPHABET)), np.float32))
    )
    """What they say together."""
    _sums: dict[tuple[int, int], _Sum] = field(default_factory=dict)
    _regions: Counter[str] = field(default_factory=Counter)

    def add(self, reading: Reading) -> None:
        """Takes what one frame says."""
        self.readings += 1
        if reading.confidence < WORTH_FUSING:
            return
        weight = reading.confidence**SHARPENED
        rows = reading.posterior
        logs = np.log(np.maximum(rows, FLOOR)).astype(np.float32)
        found = self._sums.setdefault((len(rows), len(reading.plate)), _Sum(np.zeros_like(logs)))
        found.logs = found.logs + logs * np.float32(weight)
        found.weight += weight
        self._regions[reading.region] += 1
        self.reading = self._fused()

    def contradicts(self, other: Reading) -> bool:
        """Whether another vehicle must be meant: both are sure, and of different texts."""
        if min(self.reading.confidence, other.confidence) < SURE:
            return False
        return edits(self.reading.plate, other.plate) >= CONTRADICTION

    def _fused(self) -> Reading:
        found = max(self._sums.values(), key=lambda one: one.weight)
        total = sum(one.weight for one in self._sums.values())
        power = max(1.0, 1.0 + INDEPENDENT * (found.weight - 1.0))
        powered = np.exp(found.logs * np.float32(power / found.weight))
        rows = (powered / powered.sum(axis=1, keepdims=True)).astype(np.float32)
        fused = Reading.of(rows, self._regions.most_common(1)[0][0])
        sure = fused.confidence * found.weight / total
        return replace(fused, confidence=sure, posterior=agreeing(rows, sure))


def alike(one: Reading, other: Reading) -> bool:
    """Whether two readings can be of one plate: equal, or one of them unsure and nearly so."""
    apart = edits(one.plate, other.plate)
    unsure = min(one.confidence, other.confidence) < SURE
    return apart <= (2 if unsure else 1)


def edits(one: str, other: str) -> int:
    """Characters to change, drop or add to come from one text to the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, start=1):
        before, row[0] = row[0], number
        for place, letter in enumerate(other, start=1):
            cost = before + (character != letter)
            before, row[place] = row[place], min(cost, row[place] + 1, row[place - 1] + 1)
    return row[-1]
