"""A sample of every set of real pictures is read as well as we hold ourselves to.

The whole of them, and the pictures without a plate, are measured by tests/benchmarks/accuracy.py.
"""

import random
from collections import Counter, defaultdict
from math import floor
from pathlib import Path

import pytest

from lpr.evaluation import load_manifest
from lpr.session import make_eye
from lpr.settings import Settings
from tests.benchmarks.accuracy import EXACT, HUB, WITHOUT_NETWORK, Limit, missed, outcomes_of

SEED = 1
PICTURES = {"ar": 16, "br": 6, "eu": 6, "us": 8}
"""Of each set."""


def sample(plates: Path) -> set[Path]:
    """The same pictures each time, drawn once, not chosen by how they are read."""
    sets = defaultdict(list)
    for one in load_manifest(plates / "manifest.csv"):
        sets[one.group].append(one.path)
    chance = random.Random(SEED)
    return {path for name, many in PICTURES.items() for path in chance.sample(sets[name], many)}


@pytest.mark.parametrize("model", [HUB, WITHOUT_NETWORK], ids=["hub", "without-network"])
def test_a_sample_of_each_set_is_read_no_worse_than_its_floor(shared: Path, model: str) -> None:
    """The floor's share of so few pictures, rounded down to whole ones."""
    eye = make_eye(Settings(ocr_model=model), video=False)
    outcomes = outcomes_of(eye, sample(shared / "plates").__contains__)
    right = Counter(one.labelled.group for one in outcomes if one.right)
    least = {name: floor(EXACT[model][name].floor * many) for name, many in PICTURES.items()}
    assert {name: right[name] for name in PICTURES if right[name] < least[name]} == {}


def test_a_floor_that_is_missed_is_told() -> None:
    share, error = Limit(0.9, 0.95), Limit(0.01, at_most=True)
    assert [share.holds(value) for value in (0.89, 0.9, 1.0)] == [False, True, True]
    assert [share.reaches(value) for value in (0.89, 0.9, 0.95)] == [False, False, True]
    assert [error.holds(value) for value in (0.0, 0.01, 0.011)] == [True, True, False]
    row = {"model": "m", "figure": "f", "value": 0.89, "floor": 0.9}
    assert missed([row | {"holds": True}]) == []
    assert missed([row | {"holds": False}]) == ["m: f 0.89, floor 0.9"]
