"""The reader on single pictures: the OCR's speed, and what it reads where no plate is."""

import csv
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from fast_plate_ocr import LicensePlateRecognizer

from lpr import catalogue
from lpr.calibration import Calibration
from lpr.camera import load_picture
from lpr.interpretation import Interpreter
from lpr.ocr_fast_plate import FastPlateOcr
from lpr.reading import Box, Picture, Sight
from lpr.session import make_eye
from lpr.settings import Settings

CROPS = 32
"""Crops a batch."""
THREADS = 2
REST = 0.05
"""Seconds between two ways: the threads of theirs go on spinning for a while after it."""


def ocr_alone(model: str = "", rounds: int = 15) -> dict[str, Any]:
    """Beside fast_plate_ocr's own batch on the same model, threads and crops.

    Plates a second of our adapter, of theirs, and of ours with formats and calibration.

    model: as LPR_OCR_MODEL names it; empty: our own. The ways take turns, and the fastest round of
    each counts, so that what else the machine does weighs on all alike.
    """
    chosen = catalogue.choose(model) if model else None
    if chosen is None or chosen.model is None or chosen.config is None:
        onnx, config = catalogue.OURS, catalogue.OURS.with_suffix(".yaml")
    else:
        onnx, config = chosen.model, chosen.config
    ours = FastPlateOcr(onnx, config, threads=THREADS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    theirs = LicensePlateRecognizer(
        onnx_model_path=onnx,
        plate_config_path=config,
        providers=["CPUExecutionProvider"],
        sess_options=options,
    )
    crops = [_crop(number) for number in range(CROPS)]
    sights = [Sight.of(crop) for crop in crops]
    colours = [np.ascontiguousarray(crop[..., ::-1]) for crop in crops]
    interpreter = Interpreter(Calibration())
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.read(sights),
        "theirs": lambda: theirs.run(colours, return_confidence=True),
        "with_formats": lambda: interpreter.interpret_all(ours.read(sights)),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            time.sleep(REST)
            started = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - started)
    return {
        "model": Path(onnx).stem,
        "per_s": round(CROPS / best["ours"]),
        "theirs_per_s": round(CROPS / best["theirs"]),
        "of_theirs": round(best["theirs"] / best["ours"], 3),
        "with_formats_per_s": round(CROPS / best["with_formats"]),
        "with_formats_of_theirs": round(best["theirs"] / best["with_formats"], 3),
    }


def without_plates(data: Path, model: str = "auto") -> dict[str, Any]:
    """What is read in the frames and scenes of a data folder once their plates are painted over.

    Some of the texts are of plates that nobody labelled: `texts` is for people to look at.
    """
    labelled: dict[Path, list[Box]] = defaultdict(list)
    for table in ("frames/boxes.csv", "plates/manifest.csv"):
        with (data / table).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["x"]:
                    sides = (float(row[side]) for side in ("x", "y", "width", "height"))
                    labelled[(data / table).parent / row["file"]].append(Box(*sides))
    eye = make_eye(Settings(ocr_model=model), video=False)
    texts = []
    for path, boxes in sorted(labelled.items()):
        picture = load_picture(path)
        assert picture is not None, path
        for box in boxes:
            box.grown(0.5, picture).cut(picture)[:] = 90
        texts += [f"{path.name}: {read.reading.plate}" for read in eye.read(picture)[:1]]
    return {"model": eye.model, "pictures": len(labelled), "reads": len(texts), "texts": texts}


def _crop(number: int) -> Picture:
    """A crop like a detector's: 110 to 170 pixels wide."""
    crop = np.full((40 + number % 12, 110 + 2 * number, 3), 210, np.uint8)
    text = f"AB{100 + number}CD"
    cv2.putText(crop, text, (4, 32), cv2.FONT_HERSHEY_DUPLEX, 0.8, (20, 20, 20), 2)
    return crop
