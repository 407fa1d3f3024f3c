"""From what a model says to what is sent: formats, then a confidence that means something.

Always true here: the plate is the likeliest one under formats and model together; confidence is the
calibrated probability that the whole plate is right, and the product of the best character's
probability at each place of the posterior, which is flattened or sharpened to that end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from lpr import formats
from lpr.calibration import Calibration
from lpr.decoding import Prior
from lpr.reading import ALPHABET, NOTHING, Posterior, Reading

MISTAKEN_REGION = 0.1
"""Chance that a model's say on the country is worth nothing."""
TOLD = 0.7
"""Share that a country needs to be told."""
ALWAYS = 1e-5
"""Probability that every character keeps at every place."""
HALVINGS = 18
"""Steps in which the power is found at which rows say a confidence."""


class Interpreter:
    """Reads a model's output for readers in these countries; none given: all that are known."""

    def __init__(self, calibration: Calibration, countries: Sequence[str] = ()) -> None:
        self._calibration = calibration
        self._prior = Prior(formats.of(countries or formats.countries()))

    def interpret(self, said: Reading) -> Reading:
        """The reading to send."""
        return self.interpret_all([said])[0]

    def interpret_all(self, said: Sequence[Reading]) -> list[Reading]:
        """The reading to send of each, in their order: together they take less time."""
        decoded = self._prior.decode_all(
            [self._calibration.tempered(one.posterior) for one in said],
            [self._favoured(one.regions) for one in said],
        )
        sure = [
            self._calibration.confidence(one.probability) if one.plate else 0.0 for one in decoded
        ]
        bent = all_agreeing([one.rows for one in decoded], sure)
        return [
            Reading(one.plate, confidence, rows, _region(one.countries, told.regions), told.regions)
            if one.plate
            else Reading("", 0.0, one.rows)
            for one, confidence, rows, told in zip(decoded, sure, bent, said, strict=True)
        ]

    def _favoured(self, said: Mapping[str, float]) -> dict[str, float]:
        """How much likelier each country has become by what the model says; "" is all others."""
        if not said:
            return {}
        even = 1 / len(said)
        ours = set(self._prior.countries)
        favoured = {
            country: ((1 - MISTAKEN_REGION) * share + MISTAKEN_REGION * even) / even
            for country, share in said.items()
            if country in ours and country
        }
        others = [share for country, share in said.items() if country not in favoured]
        if others:
            mean = sum(others) / len(others)
            favoured[""] = ((1 - MISTAKEN_REGION) * mean + MISTAKEN_REGION * even) / even
        return favoured


def _region(shares: Mapping[str, float], said: Mapping[str, float]) -> str:
    """The country that formats and model agree on, or the model's alone for a foreign plate."""
    country = max(shares, key=shares.__getitem__)
    if country and shares[country] >= TOLD:
        return country
    foreign = {name: share for name, share in said.items() if name and name not in shares}
    told = max(foreign, key=foreign.__getitem__, default="")
    return told if not country and told and foreign[told] >= TOLD else ""


def agreeing(rows: Posterior, confidence: float) -> Posterior:
    """The rows to the power at which their best probabilities multiply to the confidence."""
    return all_agreeing([rows], [confidence])[0]


def all_agreeing(said: Sequence[Posterior], sure: Sequence[float]) -> list[Posterior]:
    """The same for several stacks of rows, each with its confidence."""
    if not said:
        return []
    # What fills a shorter stack is certain, so it changes no product.
    logs = np.full((len(said), max(map(len, said)), NOTHING), -np.inf)
    logs[..., 0] = 0.0
    for number, rows in enumerate(said):
        held = np.log(np.maximum(rows[:, :NOTHING], ALWAYS))
        logs[number, : len(rows)] = held - held.max(axis=1, keepdims=True)
    low, high = np.full(len(said), log(0.01)), np.full(len(said), log(100.0))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        best = 1 / _powered(logs, middle).sum(axis=2).prod(axis=1)
        flat = best < sure
        low, high = np.where(flat, middle, low), np.where(flat, high, middle)
    powered = _powered(logs, high)
    shares = np.zeros((*logs.shape[:2], len(ALPHABET)), np.float32)
    shares[..., :NOTHING] = powered / powered.sum(axis=2, keepdims=True)
    return [shares[number, : len(rows)] for number, rows in enumerate(said)]


def _powered(logs: NDArray[np.float64], powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows to a power, that of its logarithm in `powers`, for each stack."""
    return np.asarray(np.exp(logs * np.exp(powers)[:, None, None]))
