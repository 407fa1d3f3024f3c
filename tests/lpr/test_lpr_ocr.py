"""The OCR adapters read plates, say how sure they are, and give the whole posterior."""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from lpr_scenes import plate

from lpr import catalogue, formats
from lpr.decoding import Prior
from lpr.errors import ModelError
from lpr.ocr import Recogniser
from lpr.ocr_fast_plate import FastPlateOcr
from lpr.ocr_fused import FusedOcr, fuse
from lpr.ocr_rapid import RapidOcr, decode
from lpr.reading import ALPHABET, Box, CapturedRead, Picture, Reading, Sight, to_plate_read
from lpr.regions import alpha2


@pytest.fixture(scope="module")
def rapid() -> RapidOcr:
    return RapidOcr(threads=2)


@pytest.mark.parametrize("text", ["AB123CD", "KLM482", "AC904XZ"])
def test_rapidocr_reads_a_drawn_plate(rapid: RapidOcr, text: str) -> None:
    (reading,) = rapid.read([Sight.of(plate(text))])
    assert reading.plate == text
    assert reading.confidence > 0.9
    assert reading.posterior.shape == (len(text), 37)
    assert np.allclose(reading.posterior.sum(axis=1), 1, atol=1e-3)


def test_crops_of_any_shape_are_answered_in_order(rapid: RapidOcr) -> None:
    crops = [plate("AB123CD"), np.zeros((4, 90, 3), np.uint8), plate("KLM482")[:, :30]]
    readings = rapid.read([Sight.of(crop) for crop in [*crops, plate("HJT726")]])
    assert [readings[0].plate, readings[3].plate] == ["AB123CD", "HJT726"]
    assert rapid.read([]) == []


def test_ctc_makes_one_character_of_each_run_and_two_across_a_blank() -> None:
    path = "AA_A11__"
    steps = np.full((len(path), 37), 0.001, np.float32)
    for step, character in enumerate(path):
        steps[step, ALPHABET.index(character)] = 0.9 if step != 1 else 0.95
    rows = decode(steps)
    assert Reading.of(rows).plate == "AA1"
    assert rows[0].max() == pytest.approx(0.95)
    assert decode(steps[-2:]).shape == (0, 37)
    assert Reading.of(decode(steps[-2:])).confidence == 0.0


def exact(recogniser: Recogniser, shared: Path, most: int) -> float:
    with (shared / "plates" / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "crop"][:most]
    crops = [cv2.imread(str(shared / "plates" / row["file"])) for row in rows]
    readings = recogniser.read([Sight.of(np.asarray(crop, np.uint8)) for crop in crops])
    pairs = zip(readings, rows, strict=True)
    return sum(reading.plate == row["plate"] for reading, row in pairs) / len(rows)


def test_real_crops_are_read_as_well_as_measured(
    rapid: RapidOcr, shared: Path, hub_model: Path
) -> None:
    hub = catalogue.load(catalogue.choose(str(hub_model)))
    assert exact(hub, shared, 54) >= 0.88
    assert exact(rapid, shared, 18) >= 0.6


def test_the_hub_models_posterior_agrees_with_its_own_library(hub_model: Path) -> None:
    from fast_plate_ocr import LicensePlateRecognizer

    choice = catalogue.choose(str(hub_model))
    assert choice.model is not None
    assert choice.config is not None
    theirs = LicensePlateRecognizer(
        onnx_model_path=choice.model,
        plate_config_path=choice.config,
        providers=["CPUExecutionProvider"],
    )
    # With as much around it as the adapter shows, so that both see the same.
    street = cv2.copyMakeBorder(plate("AB123CD"), 6, 6, 6, 6, cv2.BORDER_CONSTANT)
    box = Box(6, 6, 200, 60)
    (reading,) = catalogue.load(choice).read([Sight(street, box)])
    crop = street
    said = theirs.run_one(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), return_confidence=True)
    assert reading.plate == said.plate
    assert reading.posterior.shape == (9, 37)
    assert reading.confidence == pytest.approx(float(np.prod(said.char_probs)), rel=1e-3)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_plates_are_read_as_each_alone_and_in_their_order(threads: int) -> None:
    ours = FastPlateOcr(catalogue.OURS, catalogue.OURS.with_suffix(".yaml"), threads=threads)
    sights = [Sight.of(plate(f"AB{100 + number}CD")) for number in range(13)]
    alone = [ours.read([sight])[0] for sight in sights]
    for count in (0, 2, 5, 13):
        for one, other in zip(ours.read(sights[:count]), alone[:count], strict=True):
            assert one.posterior == pytest.approx(other.posterior, abs=1e-4)


@pytest.mark.parametrize("way", ["folder", "file", "same name", "other name"])
def test_a_model_is_found_with_its_config_beside_it(
    hub_model: Path, tmp_path: Path, way: str
) -> None:
    model, config = sorted(hub_model.glob("*.onnx"))[0], sorted(hub_model.glob("*.yaml"))[0]
    here = tmp_path / "mine.onnx"
    here.symlink_to(model)
    beside = {"same name": "mine.yaml", "other name": "anything.yaml"}.get(way, "x_config.yaml")
    (tmp_path / beside).symlink_to(config)
    choice = catalogue.choose(str(tmp_path if way == "folder" else here))
    assert (choice.name, choice.config) == ("mine", tmp_path / beside)
    assert catalogue.load(choice).name == "mine"


def test_a_hub_model_in_the_cache_is_taken_by_its_name(
    hub_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast_plate_ocr.inference import hub

    monkeypatch.setattr(hub, "MODEL_CACHE_DIR", tmp_path)
    assert catalogue.choose("auto", may_fetch=False).name == catalogue.FUSED
    (tmp_path / "cct-xs-v1-global-model").symlink_to(hub_model)
    choice = catalogue.choose("cct-xs-v1-global-model", may_fetch=False)
    assert catalogue.load(choice).name == "cct-xs-v1-global-model"


def test_auto_takes_the_hubs_best_where_it_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast_plate_ocr.inference import hub

    monkeypatch.setattr(hub, "MODEL_CACHE_DIR", tmp_path)
    folder = tmp_path / catalogue.HUB_BEST
    folder.mkdir()
    for address in hub.AVAILABLE_ONNX_MODELS[catalogue.HUB_BEST]:
        (folder / address.rpartition("/")[2]).touch()
    assert catalogue.choose("auto").name == catalogue.HUB_BEST


def test_without_a_network_auto_asks_once_a_day_and_fetch_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast_plate_ocr.inference import hub

    monkeypatch.setattr(hub, "MODEL_CACHE_DIR", tmp_path / "cache")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert catalogue.choose("auto").name == catalogue.FUSED
    mark = tmp_path / "cache" / ".lpr-no-hub"
    first = mark.stat().st_mtime_ns
    assert catalogue.choose("auto").name == catalogue.FUSED
    assert mark.stat().st_mtime_ns == first
    with pytest.raises(ModelError, match="can't be fetched"):
        catalogue.fetch()


@pytest.mark.parametrize("setting", ["no-such-model", "/no/such/file.onnx"])
def test_an_unknown_model_says_what_there_is(setting: str) -> None:
    with pytest.raises(ModelError, match="lpr models"):
        catalogue.choose(setting)


def test_a_broken_model_is_named(hub_model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    (tmp_path / "m.yaml").symlink_to(sorted(hub_model.glob("*.yaml"))[0])
    with pytest.raises(ModelError, match=r"m\.onnx"):
        catalogue.load(catalogue.choose(str(tmp_path)))


def test_the_posterior_on_the_wire_is_well_formed(rapid: RapidOcr) -> None:
    from datetime import UTC, datetime

    crop: Picture = plate("AB123CD")
    (reading,) = rapid.read([Sight.of(crop)])
    wire = to_plate_read(
        CapturedRead("x", datetime.now(UTC), reading, Box(0, 0, 200, 60), crop), lane="2"
    )
    assert "".join(row.characters[0] for row in wire.posterior) == wire.plate == "AB123CD"
    for row in wire.posterior:
        assert len(row.characters) == len(row.probabilities) <= 36
        assert sum(row.probabilities) <= 1.01
        assert all(0 <= one <= 1 for one in row.probabilities)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("Argentina", "AR"),
        ("BR", "BR"),
        ("UK", "GB"),
        ("united_kingdom", "GB"),
        ("OTHER", ""),
        ("EU", ""),
    ],
)
def test_countries_are_told_as_iso_codes(label: str, code: str) -> None:
    assert alpha2(label) == code


def test_two_views_of_a_plate_are_one_reading(hub_model: Path) -> None:
    choice = catalogue.choose(str(hub_model))
    sights = [Sight.of(plate(text)) for text in ("AB123CD", "KLM482")]
    once, twice = (catalogue.load(choice, thorough=way).read(sights) for way in (False, True))
    for one, both in zip(once, twice, strict=True):
        assert both.plate == one.plate
        assert np.allclose(both.posterior.sum(axis=1), 1, atol=1e-3)
        assert not np.allclose(both.posterior, one.posterior, atol=1e-6)


def laid_in(cache: Path, name: str, files: Path | None = None) -> Path:
    """A hub model's folder in a cache, with the files of `files` or empty ones."""
    from fast_plate_ocr.inference import hub

    folder = cache / name
    folder.mkdir(parents=True)
    for address in hub.AVAILABLE_ONNX_MODELS[name]:
        there = folder / address.rpartition("/")[2]
        there.write_bytes((files / there.name).read_bytes() if files else b"")
    return folder


def test_auto_takes_the_best_of_what_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast_plate_ocr.inference import hub

    monkeypatch.setattr(hub, "MODEL_CACHE_DIR", tmp_path)
    for name in ("argentinian-plates-cnn-model", "cct-xs-v1-global-model", "cct-s-v1-global-model"):
        laid_in(tmp_path, name)
    assert catalogue.choose("auto", may_fetch=False).name == "cct-s-v1-global-model"


def test_a_model_that_changed_since_it_was_fetched_is_not_loaded(
    hub_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fast_plate_ocr.inference import hub

    monkeypatch.setattr(hub, "MODEL_CACHE_DIR", tmp_path)
    name = "cct-xs-v1-global-model"
    folder = laid_in(tmp_path, name, hub_model)
    catalogue.fetch(name)  # It is there already: only its checksums are kept.
    assert catalogue.choose(name).name == name
    model = next(folder.glob("*.onnx"))
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(ModelError, match=f"lpr models fetch {name}"):
        catalogue.choose(name, may_fetch=False)
    assert catalogue.choose("auto", may_fetch=False).name == catalogue.FUSED


@pytest.mark.parametrize("text", ["A123 BCD", "382 EMY"])
def test_a_plate_of_two_lines_is_read_in_their_order(rapid: RapidOcr, text: str) -> None:
    crop = np.full((130, 160, 3), 230, np.uint8)
    for line, down in zip(text.split(), (55, 115), strict=True):
        cv2.putText(crop, line, (15, down), cv2.FONT_HERSHEY_DUPLEX, 1.6, (20, 20, 20), 3)
    assert rapid.read([Sight.of(crop)])[0].plate == text.replace(" ", "")


def test_one_line_that_fills_a_square_is_not_read_twice(rapid: RapidOcr) -> None:
    crop = np.full((110, 170, 3), 30, np.uint8)
    cv2.putText(crop, "226", (15, 80), cv2.FONT_HERSHEY_DUPLEX, 2.4, (60, 220, 240), 5)
    assert len(rapid.read([Sight.of(crop)])[0].plate) <= 3


def rows_of(text: str, sure: float = 0.9) -> np.ndarray:
    rows = np.full((len(text), 37), (1 - sure) / 36, np.float32)
    for row, character in zip(rows, text, strict=True):
        row[ALPHABET.index(character)] = sure
    return rows


@pytest.mark.parametrize(
    ("one", "other", "plate"),
    [
        ("AB123CD", "AB123CD", "AB123CD"),
        ("AB13CD", "AB123CD", "AB123CD"),
        ("KLM482", "XQ9WWT7P", "KLM482"),
        ("KLM482", "", "KLM482"),
    ],
)
def test_two_models_are_fused_place_by_place(one: str, other: str, plate: str) -> None:
    fused = fuse(rows_of(one, 0.9), rows_of(other, 0.99))
    assert np.allclose(fused.sum(axis=1), 1, atol=1e-4)
    assert Prior(formats.of(formats.countries())).decode(fused).plate == plate


def test_what_two_models_agree_on_is_surer_than_either() -> None:
    one, other = rows_of("AB123CD", 0.8), rows_of("AB123CD", 0.7)
    fused = fuse(one, other)
    assert np.all(fused.max(axis=1) > one.max(axis=1))


def test_a_second_model_is_asked_only_where_the_first_is_unsure() -> None:
    class Told:
        def __init__(self, *sure: float) -> None:
            self.name, self.sure, self.asked = "told", sure, 0

        def read(self, sights: Sequence[Sight]) -> list[Reading]:
            self.asked += len(sights)
            return [Reading.of(rows_of("AB123CD", sure)) for sure in self.sure[: len(sights)]]

    first, second = Told(0.999, 0.8, 0.999), Told(0.95)
    sights = [Sight.of(plate("AB123CD"))] * 3
    said = FusedOcr(first, second, "both", unsure=0.8).read(sights)
    assert second.asked == 1
    alone = Reading.of(rows_of("AB123CD", 0.8)).confidence
    assert [one.confidence > 0.9 for one in said[::2]] == [True, True]
    assert said[1].confidence > alone
