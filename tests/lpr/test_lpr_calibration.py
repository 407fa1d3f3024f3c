"""Confidence: numbers fitted on drawn streets, kept as data, found by the model's name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpr import catalogue, formats
from lpr.calibration import Calibration
from lpr.calibration_fit import logistic
from lpr.calibration_scenes import Streets
from lpr.interpretation import Interpreter
from lpr.reading import ALPHABET, NOTHING, Reading

CAREFUL = Calibration(temperature=1.5, slope=0.7, bias=-0.3)


def rows_of(text: str, sure: float) -> np.ndarray:
    rows = np.full((len(text), len(ALPHABET)), (1 - sure) / NOTHING, np.float32)
    for row, character in zip(rows, text, strict=True):
        row[ALPHABET.index(character)] = sure
    return rows


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_is_likelier_is_surer_and_nothing_is_certain(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 < CAREFUL.confidence(low) <= CAREFUL.confidence(high) < 1


@pytest.mark.parametrize(
    "name", ["cct-xs-v1-global-model", "cct_xs_v1_global", "rapidocr", catalogue.FUSED]
)
def test_every_model_that_is_shipped_or_best_is_fitted(name: str) -> None:
    assert Calibration.of(name) != Calibration.of("somebody's own")


def test_the_hubs_file_and_its_model_have_the_same_numbers() -> None:
    assert Calibration.of("cct_xs_v1_global") == Calibration.of("cct-xs-v1-global-model")


def test_a_logistic_map_is_found_again() -> None:
    chance = np.random.default_rng(1)
    odds = chance.normal(2, 3, 4000)
    right = chance.random(4000) < 1 / (1 + np.exp(-(0.6 * odds - 0.4)))
    weights, _ = logistic(
        np.stack([odds, np.ones(4000)], axis=1), right.astype(float), np.array([1.0, 0.0])
    )
    assert weights == pytest.approx([0.6, -0.4], abs=0.12)


def test_confidence_is_the_product_of_the_best_at_each_place() -> None:
    interpreter = Interpreter(CAREFUL, ["AR"])
    unsure, sure = (
        interpreter.interpret(Reading.of(rows_of("AB123CD", share))) for share in (0.5, 0.95)
    )
    assert unsure.plate == sure.plate == "AB123CD"
    assert unsure.confidence < sure.confidence
    for reading in (unsure, sure):
        best = float(reading.posterior.max(axis=1).prod())
        assert reading.confidence == pytest.approx(best, abs=0.01)
    assert interpreter.interpret(Reading.of(rows_of("", 0.5))).plate == ""


@pytest.mark.parametrize(
    ("plate", "said", "countries", "region"),
    [
        ("AB123CD", {}, ["AR", "BR"], "AR"),
        ("ABC1D23", {}, [], "BR"),
        ("ABC1234", {}, ["BR", "UY"], ""),
        ("ABC1234", {"BR": 0.1, "UY": 0.9}, ["BR", "UY"], "UY"),
        ("P602849", {"FR": 0.9, "AR": 0.1}, ["AR"], "FR"),
        ("P602849", {}, [], ""),
    ],
)
def test_the_country_is_what_formats_and_model_agree_on(
    plate: str, said: dict[str, float], countries: list[str], region: str
) -> None:
    reading = Interpreter(CAREFUL, countries).interpret(
        Reading.of(rows_of(plate, 0.995), regions=said)
    )
    assert (reading.plate, reading.region) == (plate, region)


def test_drawn_streets_are_the_same_for_a_seed_and_their_plates_can_be(shared: Path) -> None:
    one, again = (Streets(shared / "frames", 3).draw(5) for _ in range(2))
    assert one.plate == again.plate
    assert np.array_equal(one.sight.picture, again.sight.picture)
    height, width = one.sight.picture.shape[:2]
    x, y = one.sight.box.centre
    assert 0 < x < width
    assert 0 < y < height
    assert one.plate
    assert set(one.plate) <= {*formats.DIGITS, *formats.LETTERS}
