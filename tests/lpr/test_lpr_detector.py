"""The detector that is shipped: plates near and far, of every kind, where they are."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpr.camera import load_picture
from lpr.detector import COVERED, MOST, PlateDetector, _shared
from lpr.errors import ModelError
from lpr.reading import Box, Picture
from lpr.settings import Settings
from lpr.training.scenes_plates import draw_plate

SIDES = Settings().picture_sides


@pytest.fixture(scope="module")
def detector() -> PlateDetector:
    return PlateDetector(sides=SIDES, threads=2)


def close_up(plate: Picture, wide: int, *, seed: int = 0) -> tuple[Picture, Box]:
    """A car's dark back on a grey street, 960 × 540, with a plate `wide` pixels wide on it."""
    chance = np.random.default_rng(seed)
    street = np.full((540, 960, 3), 120, np.uint8)
    high = round(wide * plate.shape[0] / plate.shape[1])
    x, y = int(chance.integers(wide // 2 + 60, 900 - wide // 2)), int(chance.integers(230, 310))
    edge = max(30, wide // 2)
    cv2.rectangle(
        street,
        (x - wide // 2 - edge, y - high - edge),
        (x + wide // 2 + edge, y + high),
        (45,) * 3,
        -1,
    )
    left, top = x - wide // 2, y - high // 2
    small = cv2.resize(plate[..., ::-1], (wide, high), interpolation=cv2.INTER_AREA)
    street[top : top + high, left : left + wide] = small
    grain = chance.normal(0, 4, street.shape)
    blurred = cv2.GaussianBlur(street, (0, 0), 0.8)
    seen = np.clip(blurred + grain, 0, 255).astype(np.uint8)
    return seen, Box(left, top, wide, high)


@pytest.mark.parametrize("wide", [40, 60, 90, 140, 220, 340, 520])
def test_plates_are_found_however_large_they_are(detector: PlateDetector, wide: int) -> None:
    found = 0
    for number in range(6):
        plate = draw_plate(np.random.default_rng((7, number)))
        picture, where = close_up(plate, wide, seed=number)
        found += any(
            one.box.overlap(where) > 0.5 for place in detector.find(picture)[:3] for one in place
        )
    assert found >= 5


def test_no_two_places_are_the_same_plate(detector: PlateDetector) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    picture, _ = close_up(draw_plate(np.random.default_rng(1)), 200)
    for seen in (noise, picture):
        places = detector.find(seen)
        assert len(places) <= MOST
        firsts = [place[0] for place in places]
        assert [one.score for one in firsts] == sorted((one.score for one in firsts), reverse=True)
        for number, one in enumerate(firsts):
            assert all(_shared(one.box, other.box) < COVERED for other in firsts[:number])


@pytest.mark.parametrize("shape", [(540, 960), (333, 77), (31, 33), (700, 701)])
def test_pictures_of_any_shape_are_taken(detector: PlateDetector, shape: tuple[int, int]) -> None:
    assert detector.find(np.full((*shape, 3), 90, np.uint8)) == []


def test_a_model_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="LPR_DETECTOR_MODEL"):
        PlateDetector(tmp_path / "bad.onnx")


@pytest.mark.parametrize(("country", "least"), [("br", 9), ("eu", 9), ("us", 8)])
def test_real_plates_are_among_the_first_three_places(
    detector: PlateDetector, shared: Path, country: str, least: int
) -> None:
    with (shared / "plates" / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith(f"{country}/")]
    found = 0
    for row in rows[::3][:10]:
        picture = load_picture(shared / "plates" / row["file"])
        assert picture is not None
        where = Box(*(float(row[name]) for name in ("x", "y", "width", "height")))
        places = detector.find(picture)[:3]
        found += any(one.box.overlap(where) > 0.5 for place in places for one in place)
    assert found >= least


def test_several_sizes_give_a_box_that_encloses_theirs(detector: PlateDetector) -> None:
    picture, where = close_up(draw_plate(np.random.default_rng(2)), 150)
    (first, *_) = detector.find(picture)
    assert len(first) == 3
    hull = max((one.box for one in first), key=lambda box: box.width * box.height)
    assert hull.overlap(where) > 0.5
    for one in first:
        assert one.box.grown(0.0, picture).overlap(hull) > 0.4
        assert hull.x <= one.box.x + 1e-6
        assert hull.x + hull.width >= one.box.x + one.box.width - 1e-6
    assert [len(place) for place in PlateDetector(sides=(640,)).find(picture)[:1]] == [1]
