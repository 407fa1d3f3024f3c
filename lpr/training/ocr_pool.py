"""Drawn plates on disk, in shards: what the OCR network is trained and chosen on.

Always true here: shard N of a seed holds the same pictures on every run with the same fonts and
scenery; a shard appears whole or not at all, so drawing may run beside the training and be
stopped at any time.

    python -m lpr.training.ocr_pool FOLDER --shards 48 [--fonts DIR] [--frames DIR]
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpr.training import plates_camera, plates_styles
from lpr.training.plates_faces import Face, StrokeFace, faces_in
from lpr.training.plates_labels import ALPHABET, GRID, HEIGHT, REGIONS, SLOTS, WIDTH
from lpr.training.plates_sheet import Picture
from lpr.training.scenes import HELD_OUT

SHARD = 4096
"""Pictures in a shard."""
VALIDATION = 1024
"""Pictures kept aside, to choose by."""
STROKE_FACES = 300
"""Faces of our own that a shard's plates are set in, beside those of font files."""
_FROM_FILES = 0.45


@dataclass(frozen=True)
class Shard:
    """pictures (n, HEIGHT, WIDTH, 3), cells (n, *GRID), labels (n, SLOTS), regions (n,); uint8."""

    pictures: NDArray[np.uint8]
    cells: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    regions: NDArray[np.uint8]

    @classmethod
    def at(cls, folder: Path) -> Shard:
        """Mapped from disk, not read into memory."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PARTS))


_PARTS = ("pictures", "cells", "labels", "regions")


def labels(text: str) -> list[int]:
    """Indices into ALPHABET, padded to SLOTS."""
    return [ALPHABET.index(c) for c in text.ljust(SLOTS, "_")]


def paint(
    seed: int, count: int, files: list[Face], scenery: list[Picture], region: str | None = None
) -> Shard:
    """`count` pictures; the same for the same arguments."""
    rng = random.Random(seed)  # noqa: S311  drawing, not secrets
    strokes = [StrokeFace(rng.getrandbits(40)) for _ in range(STROKE_FACES)]
    shard = Shard(
        np.empty((count, HEIGHT, WIDTH, 3), np.uint8),
        np.empty((count, *GRID), np.uint8),
        np.empty((count, SLOTS), np.uint8),
        np.empty(count, np.uint8),
    )
    for place in range(count):
        file = files and rng.random() < _FROM_FILES
        plate = plates_styles.draw(rng, rng.choice(files if file else strokes), region)
        shot = plates_camera.photograph(rng, plate, rng.choice(scenery) if scenery else None)
        shard.pictures[place] = shot.picture
        shard.cells[place] = shot.cells
        shard.labels[place] = labels(plate.text)
        shard.regions[place] = REGIONS.index(plate.region)
    return shard


def store(shard: Shard, folder: Path) -> None:
    """Writes a shard's files into `folder`, which appears when they are whole."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    for name in _PARTS:
        np.save(draft / f"{name}.npy", getattr(shard, name))
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def scenery_in(folder: Path | None) -> list[Picture]:
    """The frames in `folder`, RGB, with the plates that boxes.csv marks painted over."""
    if folder is None or not (folder / "boxes.csv").is_file():
        return []
    marked: dict[str, list[tuple[int, int, int, int]]] = {}
    with (folder / "boxes.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            x, y, wide, high = (round(float(row[key])) for key in ("x", "y", "width", "height"))
            marked.setdefault(row["file"], []).append((x, y, wide, high))
    pictures = []
    for file, boxes in sorted(marked.items()):
        if file.startswith(HELD_OUT):
            continue  # What calibration is fitted on.
        picture = cv2.imread(str(folder / file))
        if picture is None:
            continue
        for x, y, wide, high in boxes:
            part = picture[
                max(0, y - high // 3) : y + high + high // 3, max(0, x - 4) : x + wide + 4
            ]
            part[:] = part.mean(axis=(0, 1)).astype(np.uint8)
        pictures.append(np.ascontiguousarray(picture[..., ::-1]))
    return pictures


def main() -> None:
    """Draws the shards that FOLDER lacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, default=48, help="at most 900")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=REGIONS, help="shards of one region, beside the others")
    parser.add_argument("--fonts", type=Path, help="a folder of TTF, OTF or WOFF files")
    parser.add_argument("--frames", type=Path, help="street frames with a boxes.csv, for scenery")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    files, scenery = faces_in(given.fonts), scenery_in(given.frames)
    print(f"drawn with {len(files)} font files before {len(scenery)} frames", flush=True)
    kind = f"shard-{given.only}-" if given.only else "shard-"
    wanted = [("validation", given.seed * 1000 + 999, VALIDATION)]
    wanted += [(f"{kind}{n:03d}", given.seed * 1000 + n, SHARD) for n in range(given.shards)]
    for name, seed, count in wanted:
        if not (given.folder / name).is_dir():
            store(paint(seed, count, files, scenery, given.only), given.folder / name)
            print(f"{given.folder / name} drawn", flush=True)


if __name__ == "__main__":
    main()
