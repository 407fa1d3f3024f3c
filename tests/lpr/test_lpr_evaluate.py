"""`lpr evaluate`: counts what was found and read, says how sure it may be, shows what failed."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lpr_scenes import plate, scene

from lpr.errors import SourceError
from lpr.evaluation import (
    Labelled,
    Outcome,
    Sameness,
    Share,
    calibration_error,
    distance,
    evaluate,
    load_manifest,
    summarise,
)
from lpr.evaluation_report import diagram
from lpr.session import make_eye
from lpr.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def outcome(plate: str, read: str, confidence: float, group: str = "ar") -> Outcome:
    return Outcome(
        Labelled(Path(group, "x.png"), "crop", None, plate),
        read,
        confidence,
        read == plate,
        min(distance(read, plate), len(plate)),
        None,
    )


@given(st.text("AB1", max_size=6), st.text("AB1", max_size=6))
def test_the_distance_of_two_texts_is_levenshteins(one: str, other: str) -> None:
    def plainly(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(
            plainly(a[1:], b) + 1, plainly(a, b[1:]) + 1, plainly(a[1:], b[1:]) + (a[0] != b[0])
        )

    assert distance(one[:5], other[:5]) == plainly(one[:5], other[:5])


def test_wilsons_interval_is_the_published_one() -> None:
    low, high = Share(8, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert Share(0, 0).interval == (0.0, 1.0)
    assert Share(10, 10).interval[1] == 1.0


def test_figures_are_of_all_pictures_and_sureness_of_the_reads() -> None:
    outcomes = [
        outcome("AB123CD", "AB123CD", 0.95),
        outcome("AB123CD", "AB123CO", 0.65),
        outcome("KLM482", "", 0.0, "br"),
    ]
    ar, br, everything = summarise(outcomes)
    assert (ar.group, ar.exact, ar.characters) == ("ar", Share(1, 2), Share(13, 14))
    assert (br.reads, br.characters, br.surest) == (0, Share(0, 6), Share(0, 0))
    assert (everything.exact, everything.reads, everything.surest) == (Share(1, 3), 2, Share(1, 1))
    assert everything.calibration_error == pytest.approx((0.05 + 0.65) / 2)


def test_the_calibration_error_is_nought_where_confidence_is_what_happens() -> None:
    fair = [outcome("A1", "A1" if n < 7 else "A2", 0.7) for n in range(10)]
    assert calibration_error(fair) == pytest.approx(0, abs=1e-9)
    assert calibration_error([outcome("A1", "A2", 1.0)] * 3) == 1.0
    assert calibration_error([]) == 0.0


@pytest.mark.parametrize(
    ("texts", "group", "equal"),
    [([], "eu", False), (["O0,I1"], "us", True), (["eu:O0"], "eu", True), (["eu:O0"], "us", False)],
)
def test_characters_that_labels_mix_count_as_equal_where_asked(
    texts: list[str], group: str, equal: bool
) -> None:
    same = Sameness(texts)
    assert (same.fold("OB123", group) == same.fold("0B123", group)) is equal


def test_the_diagram_holds_a_bar_for_each_bin_with_reads() -> None:
    drawn = ElementTree.fromstring(
        diagram([outcome("A1", "A1", 0.95), outcome("A1", "B1", 0.31)], "a model", 0.2)
    )
    dots = [one for one in drawn.iter() if one.tag.endswith("circle")]
    assert len(dots) == 2
    assert "a model" in ElementTree.tostring(drawn, encoding="unicode")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,plate\nx.png,AB1\n", "lacks the columns height, kind, width, x, y"),
        ("file,kind,x,y,width,height,plate\na.png,scene,1,2,,4,AB1\n", "line 2 .* is wrong"),
        ("file,kind,x,y,width,height,plate\n", "names no picture"),
    ],
)
def test_a_wrong_manifest_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        load_manifest(path)


def test_the_command_counts_saves_failures_and_skips_what_is_no_picture(tmp_path: Path) -> None:
    pictures = tmp_path / "zz"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "crop.png"), plate("AB123CD"))
    cv2.imwrite(str(pictures / "wrong.png"), plate("KLM482"))
    cv2.imwrite(str(pictures / "scene.png"), scene([("AB123CD", 300, 420)]))
    cv2.imwrite(str(pictures / "empty.png"), np.full((300, 480, 3), 90, np.uint8))
    (pictures / "broken.png").write_bytes(b"no picture")
    rows = [
        ("zz/crop.png", "crop", "", "", "", "", "AB123CD"),
        ("zz/wrong.png", "crop", "", "", "", "", "KLM483"),
        ("zz/scene.png", "scene", 230, 399, 140, 42, "AB123CD"),
        ("zz/empty.png", "scene", 10, 10, 100, 30, "XYZ999"),
        ("zz/broken.png", "crop", "", "", "", "", "AB123CD"),
    ]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "kind", "x", "y", "width", "height", "plate"), *rows])
    command = [sys.executable, "-m", "lpr", "evaluate", str(tmp_path / "manifest.csv"), "--json"]
    ran = subprocess.run(
        [*command, "--save", str(tmp_path / "failed"), "--diagram", str(tmp_path / "d.svg")],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1
    assert "broken.png" in ran.stderr
    crops, scenes, everything = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (crops["exact"]["right"], crops["exact"]["count"]) == (1, 2)
    assert crops["characters"]["right"] == 12
    assert (scenes["found"]["right"], scenes["exact"]["right"], scenes["reads"]) == (1, 1, 1)
    assert everything["pictures"] == 4
    assert everything["model"] == "rapidocr"
    failed = sorted(path.name for path in (tmp_path / "failed").iterdir())
    assert failed == [
        "zz-empty-is-XYZ999-read-missed.png",
        "zz-wrong-is-KLM483-read-KLM482.png",
    ]
    assert cv2.imread(str(tmp_path / "failed" / failed[0])) is not None
    ElementTree.parse(tmp_path / "d.svg")


def test_a_crop_goes_straight_to_the_ocr_however_wide(tmp_path: Path) -> None:
    wide = cv2.resize(plate("AB123CD")[4:56, 4:196], (960, 260))
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    eye = make_eye(Settings(), video=False)
    labelled = Labelled(tmp_path / "wide.png", "crop", None, "AB123CD")
    ((outcome, _),) = evaluate(eye, [labelled], Sameness(), unreadable=lambda path: None)
    assert outcome.right
    looked_for = Labelled(tmp_path / "wide.png", "scene", None, "AB123CD")
    ((other, _),) = evaluate(eye, [looked_for], Sameness(), unreadable=lambda path: None)
    assert other.confidence != outcome.confidence
