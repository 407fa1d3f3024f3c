"""Streets with plates of known text, drawn: what a model's confidence is fitted on.

Always true here: picture number n of a seed is always the same; the streets are frames that the
detector was not trained on (our OCR model saw them as scenery, and crops of their plates), their
own plates painted over, the plates are drawn by us, so no figure
measured on real plates is touched. Half the pictures are seen by a good camera, half by a poor one.
Pictures are BGR, as everywhere outside lpr/training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpr.reading import Box, Picture, Sight
from lpr.training import plates_styles
from lpr.training.plates_faces import Face, StrokeFace
from lpr.training.scenes import Frame, load_frames
from lpr.training.scenes_camera import as_seen
from lpr.training.scenes_paste import bounds, paste, tilted

WIDTH, HEIGHT = 800, 600
POOR = 0.5
"""Share of a poor camera's pictures."""
NARROWEST, WIDEST = 70.0, 300.0
"""Pixels of a plate's width."""
FACES = 60


@dataclass(frozen=True)
class Drawn:
    """A picture, where a detector would say that the plate is, and the plate."""

    sight: Sight
    plate: str


class Streets:
    """Draws pictures. frames: a folder with boxes.csv; FileNotFoundError where it is absent."""

    def __init__(self, frames: Path, seed: int) -> None:
        self._frames: list[Frame] = load_frames(frames, held_out=True)
        self._seed = seed
        chance = random.Random(seed)  # noqa: S311  drawing, not secrets
        self._faces: list[Face] = [StrokeFace(chance.getrandbits(40)) for _ in range(FACES)]

    def draw(self, number: int) -> Drawn:
        """Picture number `number`."""
        chance = np.random.default_rng((self._seed, number))
        frame = self._frames[int(chance.integers(len(self._frames)))]
        picture, where = _window(frame, chance)
        letters = random.Random(int(chance.integers(2**48)))  # noqa: S311  drawing
        plate = plates_styles.draw(letters, letters.choice(self._faces))
        high, wide = plate.picture.shape[:2]
        width = float(np.exp(chance.uniform(np.log(NARROWEST), np.log(WIDEST))))
        x, y = where
        x = float(np.clip(x, width / 2 + 10, WIDTH - width / 2 - 10))
        y = float(np.clip(y, width * high / wide, HEIGHT - width * high / wide))
        corners = tilted(x, y, width, width * high / wide, chance)
        light = np.full(3, 255.0) * float(chance.uniform(0.35, 1.05))
        seen = paste(picture, plate.picture, corners, chance, light=light, zoom=1.0)
        if chance.random() < POOR:
            seen = as_seen(seen, chance)
        return Drawn(
            Sight(np.ascontiguousarray(seen[..., ::-1]), _found(bounds(corners), chance)),
            plate.text,
        )


def _found(corners: NDArray[np.float32], chance: Generator) -> Box:
    """A box about as far off as a detector's are."""
    left, top, right, bottom = (float(value) for value in corners)
    width = (right - left) * float(np.exp(chance.normal(0.02, 0.05)))
    height = (bottom - top) * float(np.exp(chance.normal(0.05, 0.08)))
    x = (left + right - width) / 2 + float(chance.normal(0, 0.02)) * width
    y = (top + bottom - height) / 2 + float(chance.normal(0, 0.05)) * height
    return Box(x, y, width, height)


def _window(frame: Frame, chance: Generator) -> tuple[Picture, tuple[float, float]]:
    """A part of a street, enlarged or not, and a place for a plate, mostly where one was."""
    height, width = frame.bare.shape[:2]
    seen = float(chance.uniform(0.4, 0.95)) * min(width, height * WIDTH / HEIGHT)
    left = float(chance.uniform(0, width - seen))
    top = float(chance.uniform(0, height - seen * HEIGHT / WIDTH))
    place = (float(chance.uniform(0.2, 0.8)), float(chance.uniform(0.3, 0.8)))
    if len(frame.plates) and chance.random() < 0.7:
        x0, y0, x1, y1 = (float(v) for v in frame.plates[int(chance.integers(len(frame.plates)))])
        left = float(np.clip((x0 + x1) / 2 - place[0] * seen, 0, width - seen))
        down = seen * HEIGHT / WIDTH
        top = float(np.clip((y0 + y1) / 2 - place[1] * down, 0, height - down))
        place = ((x0 + x1) / 2 - left) / seen, ((y0 + y1) / 2 - top) / down
    part = frame.bare[
        round(top) : round(top + seen * HEIGHT / WIDTH), round(left) : round(left + seen)
    ]
    scaled = cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8), (place[0] * WIDTH, place[1] * HEIGHT)
