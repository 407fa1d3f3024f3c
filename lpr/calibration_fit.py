"""`python -m lpr.calibration_fit`: fits what a model's confidence means, on drawn streets.

Each model reads the same plates, in boxes as far off as a detector's; what it says, how sure, and
whether it was right give the numbers in calibration.csv: a temperature from a small grid, and a
logistic map fitted by Newton's method, held near no change where there is little to learn from.
Always true here: the pictures are drawn (calibration_scenes.py); none that a figure in the
documents is measured on is looked at.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpr import catalogue
from lpr.calibration import DATA, Calibration, key, log_odds
from lpr.calibration_scenes import Streets
from lpr.interpretation import Interpreter
from lpr.output import progress_bar, say
from lpr.pipeline import Rules
from lpr.reading import Reading

Numbers = NDArray[np.float64]

TEMPERATURES = (1.0, 1.5, 2.0)
HOLD = 2.0
"""How strongly the map is held near no change: as that many pictures would."""


def fit(said: Sequence[Reading], plates: Sequence[str]) -> tuple[Calibration, float]:
    """The numbers under which what was right is likeliest, and that likelihood's mean log.

    said: what a model says, plate by plate, before formats.
    """
    best: tuple[Calibration, float] | None = None
    for temperature in TEMPERATURES:
        judged = _judged(said, plates, Interpreter(Calibration(temperature)))
        inputs = np.array([[log_odds(probability), 1.0] for probability, _ in judged])
        right = np.array([float(one) for _, one in judged])
        weights, gain = logistic(inputs, right, np.array([1.0, 0.0]))
        slope, bias = (round(float(one), 3) for one in weights)
        if best is None or gain > best[1]:
            best = Calibration(temperature, slope, bias), gain
    assert best is not None
    return best


def logistic(inputs: Numbers, right: Numbers, centre: Numbers) -> tuple[Numbers, float]:
    """Weights of a logistic regression held near `centre`, and the mean log likelihood."""
    weights = centre.copy()
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (right - chance) - HOLD * (weights - centre)
        bend = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + HOLD * np.eye(len(centre))
        step = np.linalg.solve(bend, slope)
        weights = weights + np.clip(step, -0.5, 0.5)
        if float(np.abs(step).max()) < 1e-6:
            break
    odds = inputs @ weights
    return weights, float(-np.mean(np.logaddexp(0, np.where(right > 0, -odds, odds))))


def _judged(
    said: Sequence[Reading], plates: Sequence[str], interpreter: Interpreter
) -> list[tuple[float, bool]]:
    """Share among all plates and truth of each reading that could be a plate."""
    rules, found = Rules(), []
    for one, plate in zip(said, plates, strict=True):
        reading = interpreter.interpret(one)
        if rules.long_enough(reading):
            found.append((reading.confidence, reading.plate == plate))
    return found


def main() -> None:
    """Fits the models named, and writes their rows."""
    parser = argparse.ArgumentParser(prog="python -m lpr.calibration_fit", description=__doc__)
    parser.add_argument("--frames", type=Path, default=Path("../shared/data/frames"))
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("models", nargs="+", help="as LPR_OCR_MODEL names them")
    options = parser.parse_args()
    streets = Streets(options.frames, options.seed)
    with progress_bar() as bar:
        numbers = bar.track(range(options.pictures), description="drawing")
        drawn = [streets.draw(number) for number in numbers]
    with DATA.open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    names = [one.name for one in fields(Calibration)]
    for name, thorough in itertools.product(options.models, (False, True)):
        recogniser = catalogue.load(catalogue.choose(name), thorough=thorough)
        with progress_bar() as bar:
            said = [
                recogniser.read([one.sight])[0]
                for one in bar.track(drawn, description=recogniser.name)
            ]
        fitted, gain = fit(said, [one.plate for one in drawn])
        say(f"{recogniser.name}: {fitted}, mean log likelihood {gain:.3f}")
        values = [str(value) for value in astuple(fitted)]
        # The hub's models are of one family; the one that was fitted stands for all.
        row = re.sub(r"^cct-[^+]*", "cct-*", key(recogniser.name))
        rows[row] = {"model": row, **dict(zip(names, values, strict=True))}
    with DATA.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["model", *names], lineterminator="\n")
        writer.writeheader()
        # The first that fits counts: what fits more comes later.
        writer.writerows(sorted(rows.values(), key=lambda one: -len(one["model"])))


if __name__ == "__main__":
    main()
