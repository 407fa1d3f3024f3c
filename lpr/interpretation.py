"""From what a model says to what is sent: formats, then a confidence that means something.

Always true here: the plate is the likeliest one under formats and model together; confidence is the
calibrated probability that the whole plate is right, and the product of the best character's
probability at each place of the posterior, which is flattened or sharpened to that end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

import numpy as np

from lpr import formats
from lpr.calibration import Calibration
from lpr.decoding import Prior
from lpr.reading import NOTHING, Posterior, Reading

MISTAKEN_REGION = 0.1
"""Chance that a model's say on the country is worth nothing."""
TOLD = 0.7
"""Share that a country needs to be told."""
ALWAYS = 1e-5
"""Probability that every character keeps at every place."""


class Interpreter:
    """Reads a model's output for readers in these countries; none given: all that are known."""

    def __init__(self, calibration: Calibration, countries: Sequence[str] = ()) -> None:
        self._calibration = calibration
        self._prior = Prior(formats.of(countries or formats.countries()))

    def interpret(self, said: Reading) -> Reading:
        """The reading to send."""
        decoded = self._prior.decode(
            self._calibration.tempered(said.posterior), self._favoured(said.regions)
        )
        if not decoded.plate:
            return Reading("", 0.0, decoded.rows)
        confidence = self._calibration.confidence(decoded.probability)
        return Reading(
            decoded.plate,
            confidence,
            agreeing(decoded.rows, confidence),
            _region(decoded.countries, said.regions),
            said.regions,
        )

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
    logs = np.log(np.maximum(rows, ALWAYS))
    logs[:, NOTHING] = -np.inf
    low, high = log(0.01), log(100.0)
    for _ in range(30):
        middle = (low + high) / 2
        if _best(logs, exp(middle)) < confidence:
            low = middle
        else:
            high = middle
    powered = np.exp(exp(high) * (logs - logs.max(axis=1, keepdims=True)))
    shares: Posterior = (powered / powered.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _best(logs: Posterior, power: float) -> float:
    """The product of the rows' best shares at a power."""
    powered = np.exp(power * (logs - logs.max(axis=1, keepdims=True)))
    return float(np.prod(1 / powered.sum(axis=1)))
