"""How sure a model's own sureness is: numbers fitted once for each model, kept as data.

Always true here: the numbers are fitted on pictures that no figure in the documents is measured on
(lpr/calibration_fit.py says how); a model that was not fitted gets cautious numbers, never none.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import exp, log
from pathlib import Path

import numpy as np

from lpr.reading import Posterior

DATA = Path(__file__).parent / "calibration.csv"
TINY = 1e-6


@dataclass(frozen=True)
class Calibration:
    """temperature: divides the log probabilities of a model's rows before formats come in.

    slope, bias: of the logistic map from log odds to log odds (Platt, 1999). The detector's score
    has no part in it: once the text is read, it was measured to tell next to nothing more.
    """

    temperature: float = 1.0
    slope: float = 1.0
    bias: float = 0.0

    @classmethod
    def of(cls, model: str) -> Calibration:
        """The numbers of the first row whose pattern the model's name fits; the last fits all."""
        with DATA.open(encoding="utf-8", newline="") as file:
            rows = [(row.pop("model"), row) for row in csv.DictReader(file)]
        row = next(row for pattern, row in rows if fnmatchcase(key(model), pattern))
        return cls(**{name: float(value) for name, value in row.items()})

    def tempered(self, rows: Posterior) -> Posterior:
        """The model's rows, flatter where it is surer than it should be."""
        powered = np.maximum(rows, 1e-9) ** (1 / self.temperature)
        flat: Posterior = (powered / powered.sum(axis=1, keepdims=True)).astype(np.float32)
        return flat

    def confidence(self, probability: float) -> float:
        """The probability that the plate is right, from its share among all plates."""
        return 1 / (1 + exp(-self.slope * log_odds(probability) - self.bias))


def key(model: str) -> str:
    """A model's name as the data has it: the hub's files and its models are named differently."""
    return model.lower().replace("_", "-").removesuffix("-model")


def log_odds(share: float) -> float:
    """Finite for every share."""
    share = min(max(share, TINY), 1 - TINY)
    return log(share / (1 - share))
