"""From a picture to its reads: what is a plate, what is none, which comes first."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from lpr_scenes import plate, scene

from lpr.camera import load_picture
from lpr.pipeline import PICTURE_BYTES, Eye, Rules, jpeg
from lpr.reading import ALPHABET, Box, Detection, Picture, Posterior, Reading, Sight
from lpr.session import make_eye
from lpr.settings import Settings


@pytest.fixture(scope="module")
def eye() -> Eye:
    return make_eye(Settings(ocr_model="rapidocr"), video=False)


def spelt(text: str, sure: float) -> Posterior:
    """Rows that spell the text, each character with this probability."""
    rows = np.full((len(text), 37), (1 - sure) / 36, np.float32)
    for row, character in zip(rows, text, strict=True):
        row[ALPHABET.index(character)] = sure
    return rows


def test_every_plate_of_a_scene_is_read_where_it_is(eye: Eye) -> None:
    reads = {
        one.reading.plate: one.box
        for one in eye.read(scene([("AB123CD", 300, 420), ("KLM482", 700, 380)]))
    }
    assert set(reads) == {"AB123CD", "KLM482"}
    assert reads["AB123CD"].overlap(Box(230, 399, 140, 42)) > 0.6


def test_what_the_edge_leaves_of_a_plate_is_no_read(eye: Eye) -> None:
    whole = scene([("AB123CD", 300, 420)])
    assert [one.reading.plate for one in eye.read(whole[:, 215:])] == ["AB123CD"]
    for cut in (whole[:, 265:], whole[:, 255:]):
        assert eye.read(np.ascontiguousarray(cut)) == []
    for cut in (whole[:, :340], whole[:, :350]):
        assert eye.read(np.ascontiguousarray(cut)) == []


def test_a_narrow_picture_goes_straight_to_the_ocr(eye: Eye) -> None:
    (one,) = eye.read(plate("AB123CD"))
    assert one.reading.plate == "AB123CD"
    assert one.box == Box(0, 0, 200, 60)


def test_a_wider_crop_is_read_whole(eye: Eye) -> None:
    wide = np.asarray(cv2.resize(plate("AB123CD")[4:56, 4:196], (300, 81)), np.uint8)
    (one,) = eye.read(wide)
    assert one.reading.plate == "AB123CD"


@pytest.mark.parametrize("width", [60, 239, 240, 470, 960])
def test_a_picture_of_nothing_gives_no_read(eye: Eye, width: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (width // 2, width, 3))
    for picture in (np.zeros((width // 2, width, 3)), np.full((9, width, 3), 255), noise):
        assert eye.read(np.asarray(picture, np.uint8)) == []
    assert eye.read(scene([], width=max(width, 240), height=300)) == []


@pytest.mark.parametrize(
    ("text", "accepted"), [("AB123CD", True), ("A1B", False), ("PARKING", False), ("1" * 13, False)]
)
def test_what_can_be_a_plate(text: str, accepted: bool) -> None:
    sure = Reading(text, 0.9, np.zeros((0, 37), np.float32))
    assert Rules().accept(sure) is accepted
    assert not Rules().accept(Reading(text, 0.2, sure.posterior))


@pytest.mark.parametrize(
    ("confidence", "score", "accepted"), [(0.9, 0.8, True), (0.9, 0.4, False), (0.5, 0.8, False)]
)
@pytest.mark.parametrize("text", ["BIMMIAN", "219906"])
def test_letters_or_digits_alone_need_a_sure_ocr_and_a_sure_detector(
    text: str, confidence: float, score: float, accepted: bool
) -> None:
    one_kind = Reading(text, confidence, np.zeros((0, 37), np.float32))
    assert Rules().accept(one_kind, score) is accepted
    assert not Rules().accept(one_kind)
    assert Rules(letters_only=True).accept(one_kind) is text.isalpha()


@pytest.mark.parametrize(
    ("text", "sure", "odd"),
    [("AB123CD", 0.9, 0.0), ("TAXI0", 0.9, 0.0), ("TAXI0", 0.5, 0.4), ("A1B2", 0.99, 1.0),
     ("219906", 0.99, 1.0), ("BIMMIAN", 0.5, 1.0)],
)  # fmt: skip
def test_what_may_be_a_sign_is_one_as_far_as_it_may(text: str, sure: float, odd: float) -> None:
    rows = spelt(text, 1.0)
    rows[-1, ALPHABET.index(text[-1])] = sure
    rows[-1, ALPHABET.index("I")] += 1 - sure
    assert Rules().odd(Reading(text, 0.9, rows)) == pytest.approx(odd, abs=0.11)


def test_what_stands_on_every_car_of_a_make_is_no_plate() -> None:
    badge = Reading("RENAULT", 0.99, np.zeros((0, 37), np.float32))
    assert not Rules().accept(badge, 1.0)
    assert Rules(letters_only=True).accept(badge, 1.0)


def test_a_crop_of_any_size_fits_the_protocol() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2000, 3000, 3)).astype(np.uint8)
    assert 0 < len(jpeg(noise)) <= PICTURE_BYTES
    assert jpeg(plate("AB123CD"))[:2] == b"\xff\xd8"


def test_real_scenes_are_found_and_read(shared: Path, hub_model: Path) -> None:
    eye = make_eye(Settings(ocr_model=str(hub_model)), video=False)
    with (shared / "plates" / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("br/")][:6]
    right = 0
    for row in rows:
        picture = load_picture(shared / "plates" / row["file"])
        assert picture is not None
        reads = eye.read(picture)
        where = Box(*(float(row[name]) for name in ("x", "y", "width", "height")))
        right += bool(reads) and (
            reads[0].reading.plate == row["plate"] and reads[0].box.overlap(where) > 0.4
        )
    assert right >= 5


@pytest.mark.parametrize(
    ("text", "score", "read"),
    [("AB123CD", 0.9, True), ("AB123CD", 0.4, True), ("AB123CD", 0.2, False),
     ("TAX0", 0.9, True), ("TAX0", 0.4, False)],
)  # fmt: skip
def test_what_the_detector_doubts_is_doubted_in_a_single_picture(
    text: str, score: float, read: bool
) -> None:
    class Doubting:
        def find(self, picture: Picture) -> list[list[Detection]]:
            return [[Detection(Box(100, 100, 120, 40), score)]]

    class Hesitant:
        name = "hesitant"

        def read(self, sights: Sequence[Sight]) -> list[Reading]:
            return [Reading.of(spelt(text, 0.97)) for _ in sights]

    reads = Eye(Doubting(), Hesitant(), Rules()).read(np.zeros((400, 600, 3), np.uint8))
    assert bool(reads) is read


def test_streets_whose_plates_are_painted_over_give_no_read(shared: Path, hub_model: Path) -> None:
    eye = make_eye(Settings(ocr_model=str(hub_model)), video=False)
    boxes = defaultdict(list)
    with (shared / "frames" / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            boxes[row["file"]].append([int(row[k]) for k in ("x", "y", "width", "height")])
    reads = 0
    for name in sorted(boxes)[::40]:
        picture = load_picture(shared / "frames" / name)
        assert picture is not None
        for x, y, width, height in boxes[name]:
            edge = int(0.4 * height) + 4
            top, left = max(0, y - edge), max(0, x - edge)
            picture[top : y + height + edge, left : x + width + edge] = 90
        reads += bool(eye.read(picture))
    assert reads == 0


def test_boxes_that_are_nearly_alike_settle_on_what_most_of_them_say() -> None:
    said = {"AB123CD": 0.85, "B123CDX": 0.99}

    class Jittered:
        """One place, three boxes: the narrowest has lost the first character."""

        def find(self, picture: Picture) -> list[list[Detection]]:
            return [[Detection(Box(100 + 9 * n, 100, 120, 40), 0.8) for n in range(3)]]

    class ByItsBox:
        name = "by its box"

        def read(self, sights: Sequence[Sight]) -> list[Reading]:
            texts = ["B123CDX" if sight.box.x > 110 else "AB123CD" for sight in sights]
            return [Reading.of(spelt(text, said[text])) for text in texts]

    eye = Eye(Jittered(), ByItsBox(), Rules())
    (one,) = eye.read(np.zeros((400, 600, 3), np.uint8))
    assert one.reading.plate == "AB123CD"


def test_five_vehicles_in_view_are_five_reads(eye: Eye) -> None:
    plates = ["AB123CD", "KLM482", "AC904XZ", "HJT726", "AD518PR"]
    where = [(160, 250), (480, 250), (800, 250), (300, 480), (650, 480)]
    picture = scene([(text, x, y) for text, (x, y) in zip(plates, where, strict=True)])
    assert {one.reading.plate for one in eye.read(picture)} == set(plates)


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1)])
def test_a_picture_of_any_shape_is_looked_at(eye: Eye, shape: tuple[int, int]) -> None:
    assert eye.read(np.full((*shape, 3), 90, np.uint8)) == []
