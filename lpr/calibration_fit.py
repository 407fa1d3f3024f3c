"""`python -m lpr.calibration_fit`: fits what a model's confidence means, on drawn streets.

Each model reads the same pictures; what it says of each place, how sure, and whether it was right
give the numbers in calibration.csv: a temperature from a small grid, and a logistic map fitted by
Newton's method, held near no change where there is little to learn from.
Always true here: the pictures are drawn (calibration_scenes.py); none that a figure in the
documents is measured on is looked at.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpr import catalogue
from lpr.calibration import DATA, Calibration, key, log_odds
from lpr.calibration_scenes import Drawn, Streets
from lpr.detector import PlateDetector
from lpr.evaluation import FOUND
from lpr.interpretation import Interpreter
from lpr.ocr import Recogniser
from lpr.output import progress_bar, say
from lpr.pipeline import Eye, Rules
from lpr.reading import Detection, Reading, Sight
from lpr.settings import Settings

Numbers = NDArray[np.float64]

TEMPERATURES = (1.0, 1.25, 1.5, 2.0, 2.5)
HOLD = 2.0
"""How strongly the map is held near no change: as that many pictures would."""


@dataclass(frozen=True)
class Look:
    """What a model said of one box. number: of the picture and of the place in it."""

    number: tuple[int, int]
    said: Reading
    score: float
    drawn: Drawn
    on_plate: bool


def look(
    recogniser: Recogniser, drawn: Sequence[tuple[Drawn, list[list[Detection]]]]
) -> list[Look]:
    """What a model says of every box of the pictures."""
    looks = []
    with progress_bar() as bar:
        for number, (one, places) in enumerate(bar.track(drawn, description=recogniser.name)):
            if one.box is None and one.plate:
                (said,) = recogniser.read([Sight.of(one.picture)])
                looks.append(Look((number, 0), said, 1.0, one, True))
                continue
            boxes = [(place, found) for place, inside in enumerate(places) for found in inside]
            readings = recogniser.read([Sight(one.picture, found.box) for _, found in boxes])
            looks += [
                Look(
                    (number, place),
                    said,
                    found.score,
                    one,
                    one.box is not None and found.box.overlap(one.box) >= FOUND,
                )
                for (place, found), said in zip(boxes, readings, strict=True)
            ]
    return looks


def fit(looks: Sequence[Look]) -> tuple[Calibration, float]:
    """The numbers under which what was right is likeliest, and that likelihood's mean log."""
    best: tuple[Calibration, float] | None = None
    for temperature in TEMPERATURES:
        judged = _judged(looks, Interpreter(Calibration(temperature)))
        inputs = np.array([[log_odds(p), 1.0, log_odds(s) if s < 1 else 0.0] for p, s, _ in judged])
        right = np.array([float(one) for _, _, one in judged])
        weights, gain = logistic(inputs, right, np.array([1.0, 0.0, 0.0]))
        slope, bias, score_slope = (round(float(one), 3) for one in weights)
        if best is None or gain > best[1]:
            best = Calibration(temperature, slope, bias, score_slope), gain
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


def _judged(looks: Sequence[Look], interpreter: Interpreter) -> list[tuple[float, float, bool]]:
    """Probability, score and truth of the best reading at each place, as the reader chooses."""
    rules, best = Rules(), dict[tuple[int, int], tuple[float, float, float, bool]]()
    for one in looks:
        reading = interpreter.interpret(one.said, one.score)
        if not rules.plausible(reading):
            continue
        right = one.on_plate and reading.plate == one.drawn.plate
        rank = reading.confidence * one.score
        if one.number not in best or rank > best[one.number][0]:
            best[one.number] = (rank, reading.confidence, one.score, right)
    return [(sure, score, right) for _, sure, score, right in best.values()]


def main() -> None:
    """Fits the models named, and writes their rows."""
    parser = argparse.ArgumentParser(prog="python -m lpr.calibration_fit", description=__doc__)
    parser.add_argument("--frames", type=Path, default=Path("../shared/data/frames"))
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("models", nargs="+", help="as LPR_OCR_MODEL names them")
    options = parser.parse_args()
    settings = Settings()
    detector = PlateDetector(
        sides=settings.picture_sides,
        threshold=settings.detector_threshold,
        threads=settings.threads,
    )
    streets = Streets(options.frames, options.seed)
    pictures: list[tuple[Drawn, list[list[Detection]]]] = []
    recognisers = [catalogue.load(catalogue.choose(name)) for name in options.models]
    eye = Eye(detector, recognisers[0], Rules(), places=settings.places)
    with progress_bar() as bar:
        for number in bar.track(range(options.pictures), description="drawing"):
            one = streets.draw(number)
            crop = one.box is None and one.plate
            pictures.append((one, [] if crop else eye.places(one.picture)))
    with DATA.open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    names = [one.name for one in fields(Calibration)]
    for recogniser in recognisers:
        numbers, gain = fit(look(recogniser, pictures))
        say(f"{recogniser.name}: {numbers}, mean log likelihood {gain:.3f}")
        values = [str(value) for value in astuple(numbers)]
        # The hub's models are of one family; the one that was fitted stands for all.
        row = "cct-*" if key(recogniser.name).startswith("cct-") else key(recogniser.name)
        rows[row] = {"model": row, **dict(zip(names, values, strict=True))}
    with DATA.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["model", *names], lineterminator="\n")
        writer.writeheader()
        # The row for every other model stays the last.
        writer.writerows(sorted(rows.values(), key=lambda one: one["model"] == "*"))


if __name__ == "__main__":
    main()
