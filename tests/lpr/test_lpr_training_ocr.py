"""Making the OCR model: the plates drawn for it, the pool of pictures, training and export."""

from __future__ import annotations

import csv
import itertools
import random
import re
from pathlib import Path

import numpy as np
import pytest
from fast_plate_ocr import LicensePlateRecognizer
from hypothesis import given, settings
from hypothesis import strategies as st

from lpr import catalogue, formats
from lpr.regions import alpha2
from lpr.training import ocr_pool, ocr_teacher, plates_camera, plates_styles
from lpr.training.plates_faces import TALL, StrokeFace
from lpr.training.plates_labels import (
    ALPHABET,
    GRID,
    HEIGHT,
    NOBODY,
    REGION_NAMES,
    REGIONS,
    SLOTS,
    UNKNOWN,
    WIDTH,
)


def _expression(pattern: str) -> str:
    return "".join(f"[{formats.CLASSES[place]}]" for place in pattern)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), region=st.sampled_from(REGIONS))
def test_a_plates_text_is_what_its_boxes_show(seed: int, region: str) -> None:
    rng = random.Random(seed)
    plate = plates_styles.draw(rng, StrokeFace(seed), region)
    assert plate.region == region
    assert 4 <= len(plate.text) == len(plate.boxes) <= SLOTS
    assert set(plate.text) <= set(ALPHABET) - {"_"}
    height, width = plate.picture.shape[:2]
    for x, y, wide, high in plate.boxes:
        assert x >= -2
        assert x + wide <= width + 2
        assert y >= -2
        assert y + high <= height + 2
        inside = plate.picture[max(0, int(y)) : int(y + high), max(0, int(x)) : int(x + wide)]
        assert int(inside.max()) - int(inside.min()) > 20  # something is painted there
    for before, after in itertools.pairwise(plate.boxes):
        same_line = after[1] < before[1] + before[3] / 2
        assert after[0] > before[0] if same_line else after[1] >= before[1] + before[3] * 0.9


@pytest.mark.parametrize("country", formats.countries())
def test_every_configured_country_is_drawn_in_its_own_formats(country: str) -> None:
    own = [one.pattern for one in formats.of([country]) if one.country]
    expression = re.compile("|".join(_expression(pattern) for pattern in own))
    rng = random.Random(5)
    face = StrokeFace(5)
    texts = [plates_styles.draw(rng, face, country).text for _ in range(40)]
    assert [text for text in texts if not expression.fullmatch(text)] == []


def test_the_regions_are_countries_or_give_none() -> None:
    assert set(plates_styles.STYLES) == set(REGIONS)
    assert [alpha2(name) for name in REGION_NAMES] == [
        "" if region in {"EU", "OTHER"} else region for region in REGIONS
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_stroke_face_tells_its_characters_apart(seed: int) -> None:
    face = StrokeFace(seed)
    glyphs = {c: face.glyph(c) for c in ALPHABET if c != "_"}
    for glyph in glyphs.values():
        assert TALL * 0.9 <= glyph.shape[0] <= TALL * 1.25
        assert glyph.max() == 255
    alike = {
        a + b
        for (a, one), (b, other) in itertools.combinations(glyphs.items(), 2)
        if one.shape == other.shape and np.array_equal(one, other)
    }
    assert alike <= {"0O", "1I"}  # as on real plates


def test_the_same_seed_paints_the_same_shard() -> None:
    one, again, other = (ocr_pool.paint(seed, 6, [], []) for seed in (3, 3, 4))
    for name in ("pictures", "cells", "labels", "regions"):
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.pictures, other.pictures)


def test_every_character_stands_on_a_cell_and_in_order() -> None:
    rng = random.Random(11)
    face = StrokeFace(11)
    for _ in range(40):
        plate = plates_styles.draw(rng, face, "UY")
        shot = plates_camera.photograph(rng, plate)
        assert shot.picture.shape == (HEIGHT, WIDTH, 3)
        assert shot.picture.dtype == np.uint8
        assert shot.cells.shape == GRID
        standing = set(np.unique(shot.cells).tolist()) - {NOBODY}
        assert standing == set(range(len(plate.text)))
        one_line = len({round(box[1]) for box in plate.boxes}) == 1
        if one_line:
            columns = [float(np.nonzero(shot.cells == n)[1].mean()) for n in sorted(standing)]
            assert columns == sorted(columns)


def test_scenery_lies_around_the_plate() -> None:
    green = np.zeros((300, 400, 3), np.uint8)
    green[..., 1] = 255
    rng = random.Random(2)
    plate = plates_styles.draw(rng, StrokeFace(2), "AR")
    shots = [plates_camera.photograph(rng, plate, green).picture.astype(int) for _ in range(40)]
    greenest = [(s[..., 1] - s[..., 0] - s[..., 2]).max() for s in shots]
    assert max(greenest) > 100
    without = [plates_camera.photograph(rng, plate).picture.astype(int) for _ in range(40)]
    assert max((s[..., 1] - s[..., 0] - s[..., 2]).max() for s in without) < 60


def test_a_real_crop_is_spoilt_into_another_of_its_kind() -> None:
    crop = np.random.default_rng(1).integers(0, 255, (30, 90, 3), np.uint8)
    rng = random.Random(1)
    spoilt = [plates_camera.spoil(rng, crop, 9.0) for _ in range(10)]
    assert {(s.ndim, s.shape[2], str(s.dtype)) for s in spoilt} == {(3, 3, "uint8")}
    assert any(s.shape != crop.shape or not np.array_equal(s, crop) for s in spoilt)


def test_a_shard_is_kept_whole(tmp_path: Path) -> None:
    shard = ocr_pool.paint(1, 5, [], [], "BR")
    ocr_pool.store(shard, tmp_path / "shard-000")
    kept = ocr_pool.Shard.at(tmp_path / "shard-000")
    assert np.array_equal(kept.pictures, shard.pictures)
    assert np.array_equal(kept.cells, shard.cells)
    assert {REGIONS[at] for at in kept.regions} == {"BR"}
    assert [p.name for p in tmp_path.iterdir()] == ["shard-000"]


def test_a_teacher_labels_the_real_plates_it_is_sure_of(
    shared: Path, hub_model: Path, tmp_path: Path
) -> None:
    with (shared / "frames" / "boxes.csv").open(newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: float(row["width"]))
    chosen = [*rows[:2], *rows[-4:]]  # the narrowest nobody can read
    with (tmp_path / "boxes.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, chosen[0])
        writer.writeheader()
        writer.writerows(chosen)
    for row in chosen:
        (tmp_path / row["file"]).write_bytes((shared / "frames" / row["file"]).read_bytes())
    teacher = LicensePlateRecognizer(
        onnx_model_path=next(hub_model.glob("*.onnx")),
        plate_config_path=next(hub_model.glob("*.yaml")),
        providers=["CPUExecutionProvider"],
    )
    shard = ocr_teacher.taught(tmp_path, teacher, seed=1, copies=2)
    assert len(shard.pictures) in {4, 6, 8}  # two of each plate read, of four at most
    assert shard.pictures.shape[1:] == (HEIGHT, WIDTH, 3)
    assert set(np.unique(shard.cells)) == {UNKNOWN}
    texts = ["".join(ALPHABET[at] for at in row).rstrip("_") for row in shard.labels]
    assert all(texts.count(text) % 2 == 0 for text in texts)
    again = ocr_teacher.taught(tmp_path, teacher, seed=1, copies=2)
    assert np.array_equal(shard.pictures, again.pictures)


def test_the_model_shipped_is_what_this_makes_and_reads_plates_it_never_saw() -> None:
    ours = catalogue.OURS
    reader = LicensePlateRecognizer(
        onnx_model_path=ours,
        plate_config_path=ours.with_suffix(".yaml"),
        providers=["CPUExecutionProvider"],
    )
    told = reader.config
    assert (told.max_plate_slots, told.alphabet, told.pad_char) == (SLOTS, ALPHABET, "_")
    assert (told.img_height, told.img_width, told.image_color_mode) == (HEIGHT, WIDTH, "rgb")
    assert tuple(told.plate_regions or ()) == REGION_NAMES
    shard = ocr_pool.paint(424242, 40, [], [], "AR")
    texts = ["".join(ALPHABET[at] for at in row).rstrip("_") for row in shard.labels]
    said = reader.run(list(shard.pictures), return_confidence=True)
    # About one drawn picture in eight can't be read by anyone.
    assert np.mean([reading.plate == text for reading, text in zip(said, texts, strict=True)]) > 0.5
    assert np.mean([reading.region == "AR" for reading in said]) > 0.9


@pytest.mark.training
def test_training_goes_on_where_it_stood_and_exports_a_model_that_loads(tmp_path: Path) -> None:
    import torch

    from lpr.training import ocr_export, ocr_train

    pool, run, model = tmp_path / "pool", tmp_path / "run", tmp_path / "model.onnx"
    ocr_pool.store(ocr_pool.paint(1, 64, [], []), pool / "shard-000")
    ocr_train.train(pool, run, steps=1, seed=1)
    ocr_train.train(pool, run, steps=2, seed=1)
    assert torch.load(run / "state.pt")["step"] == 2
    ocr_export.export(run / "average.pt", model)
    reader = LicensePlateRecognizer(
        onnx_model_path=model,
        plate_config_path=model.with_suffix(".yaml"),
        providers=["CPUExecutionProvider"],
    )
    said = reader.run_one(np.zeros((40, 120, 3), np.uint8), return_confidence=True)
    assert said.region in REGION_NAMES
