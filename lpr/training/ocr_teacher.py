"""Real plates for the training pool: street frames whose plates a published model reads.

Always true here: a plate is taken only where the teacher reads the same, surely, in differently cut
crops of it; where its characters stand is unknown, and the shard says so (UNKNOWN). The frames are
those of scenery_in, whose licence allows training.

    python -m lpr.training.ocr_teacher FRAMES MODEL.onnx CONFIG.yaml POOL/shard-frames
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from fast_plate_ocr import LicensePlateRecognizer

from lpr.training.ocr_pool import Shard, labels, store
from lpr.training.plates_camera import spoil
from lpr.training.plates_labels import GRID, HEIGHT, REGIONS, SLOTS, UNKNOWN, WIDTH
from lpr.training.plates_sheet import Picture
from lpr.training.scenes import HELD_OUT

VIEWS = 8
"""Crops of a plate that the teacher is shown."""
_AGREE, _SURE = 6, 0.6
_REGION = REGIONS.index("EU")  # the frames are of one European country


def crop(
    rng: random.Random, frame: Picture, box: tuple[int, int, int, int], most: float
) -> Picture:
    """The plate with margins of up to `most` of its height, each side its own."""
    x, y, wide, high = box
    left, top, right, bottom = (round(high * rng.uniform(-0.04, most)) for _ in range(4))
    return frame[
        max(0, y - top) : y + high + bottom, max(0, x - left) : x + wide + right
    ]  # fmt: skip


def taught(frames: Path, teacher: LicensePlateRecognizer, seed: int, copies: int) -> Shard:
    """`copies` pictures, each cut and spoilt anew, of every plate the teacher is sure of.

    Raises SystemExit with a line that says what to do where it is sure of none.
    """
    if not (frames / "boxes.csv").is_file():
        raise SystemExit(f"{frames} has no boxes.csv: give a folder of frames with labelled plates")
    rng = random.Random(seed)  # noqa: S311  drawing, not secrets
    pictures: list[Picture] = []
    texts: list[str] = []
    with (frames / "boxes.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        if row["file"].startswith(HELD_OUT):
            continue  # What calibration is fitted on.
        read = cv2.imread(str(frames / row["file"]))
        if read is None:
            continue
        frame: Picture = np.ascontiguousarray(read[..., ::-1])
        x, y, wide, high = (round(float(row[key])) for key in ("x", "y", "width", "height"))
        box = (x, y, wide, high)
        said = teacher.run([crop(rng, frame, box, 0.25) for _ in range(VIEWS)], True)
        text, agreed = Counter(reading.plate for reading in said).most_common(1)[0]
        sure = [float(np.prod(r.char_probs)) for r in said if r.plate == text]
        if agreed < _AGREE or not 5 <= len(text) <= SLOTS or np.mean(sure) < _SURE:
            continue
        for _ in range(copies):
            view = spoil(rng, crop(rng, frame, box, 0.45), wide / len(text))
            pictures.append(cv2.resize(view, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR))
            texts.append(text)
    if not texts:
        raise SystemExit(f"the teacher is sure of no plate in {frames}: leave the frames out")
    order = list(range(len(texts)))
    rng.shuffle(order)
    return Shard(
        np.stack([pictures[at] for at in order]),
        np.full((len(texts), *GRID), UNKNOWN, np.uint8),
        np.array([labels(texts[at]) for at in order], np.uint8),
        np.full(len(texts), _REGION, np.uint8),
    )


def main() -> None:
    """Writes the shard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("frames", type=Path, help="street frames with a boxes.csv")
    parser.add_argument("model", type=Path, help="the teacher's ONNX file")
    parser.add_argument("config", type=Path, help="the teacher's plate config")
    parser.add_argument("shard", type=Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    for file in (given.model, given.config):
        if not file.is_file():
            raise SystemExit(f"{file} is not there: fetch the teacher with lpr models fetch")
    teacher = LicensePlateRecognizer(
        onnx_model_path=given.model,
        plate_config_path=given.config,
        providers=["CPUExecutionProvider"],
    )
    shard = taught(given.frames, teacher, given.seed, given.copies)
    store(shard, given.shard)
    print(f"{given.shard}: {len(shard.pictures)} pictures")


if __name__ == "__main__":
    main()
