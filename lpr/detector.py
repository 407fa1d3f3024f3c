"""Finds plates in a picture with our own small ONNX model (lpr/models/README.md).

Always true here: one picture in, at most MOST places out, best score first, no two the same plate;
a place holds one box or, from passes at several sizes, a few rivals and what encloses them, for
the OCR to choose from. Boxes are in pixels of the picture given, whatever size the model worked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import onnxruntime

from lpr import inference
from lpr.errors import ModelError
from lpr.reading import Box, Detection, Picture

OURS = Path(__file__).parent / "models" / "plate_detector.onnx"
MOST = 10
CELL = 8
"""Pixels of the model's input a cell of its output covers."""
STRIDE = 32
"""Sides of the model's input are multiples of this."""
GREY = 114
COVERED = 0.3
"""Two boxes are one plate where they share more than this of the smaller one."""
AGREED = 0.45
"""Boxes of one plate agree about its edges where their intersection over union is above this."""


class Detector(Protocol):
    """Anything that finds plates."""

    def find(self, picture: Picture, share: float = 1.0) -> list[list[Detection]]:
        """Places that may be a plate, best first; at each the boxes found there, best first.

        share: this picture's longer side, of that of the picture it was cut from.
        """
        ...


class PlateDetector:
    """Our detector: a heat map of plate centres with an offset and a size at each cell.

    sides: pixels the longer side of the picture is scaled to, one pass each. Large plates are
    found at small sides, small ones at large sides. Raises ModelError where the model can't be
    loaded.
    """

    def __init__(
        self,
        model: Path = OURS,
        *,
        sides: Sequence[int] = (640,),
        threshold: float = 0.3,
        threads: int = 1,
    ) -> None:
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), inference.options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(
                f"the detector {model} can't be loaded; leave LPR_DETECTOR_MODEL unset to use ours"
            ) from error
        self._sides = sides
        self._threshold = threshold

    def find(self, picture: Picture, share: float = 1.0) -> list[list[Detection]]:
        """Places that may be a plate, best first; at each the boxes found there, best first."""
        sides = [max(STRIDE, round(side * share)) for side in self._sides]
        found = [one for side in sides for one in self._pass(picture, side)]
        found.sort(key=lambda one: -one.score)
        places: list[list[Detection]] = []
        for one in found:
            for place in places:
                if _shared(one.box, place[0].box) >= COVERED:
                    place.append(one)
                    break
            else:
                places.append([one])
        return [_with_hull(place) for place in places[:MOST]]

    def _pass(self, picture: Picture, side: int) -> list[Detection]:
        """What one size of the picture shows: no two boxes cover each other."""
        scale = side / max(picture.shape[:2])
        cells = self._session.run(None, {"input": self._input(picture, scale)})[0][0]
        heat = cells[..., 0]
        peaks = (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat > self._threshold)
        found = []
        for row, column in zip(*np.nonzero(peaks), strict=True):
            score, shift_x, shift_y, log_width, log_height = map(float, cells[row, column])
            width, height = CELL * np.exp(log_width), CELL * np.exp(log_height)
            left = CELL * (column + 0.5 + shift_x) - width / 2
            top = CELL * (row + 0.5 + shift_y) - height / 2
            box = Box(*(float(value / scale) for value in (left, top, width, height)))
            found.append(Detection(box, score))
        found.sort(key=lambda one: -one.score)
        return _distinct(found)

    @staticmethod
    def _input(picture: Picture, scale: float) -> Picture:
        """RGB, scaled, padded to the stride: (1, height, width, 3)."""
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        scaled = cv2.resize(picture, size, interpolation=way)
        height, width = scaled.shape[:2]
        padded = np.full(
            (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE, 3), GREY, np.uint8
        )
        padded[:height, :width] = scaled[..., ::-1]
        return padded[None]


def _distinct(found: list[Detection]) -> list[Detection]:
    """Those that cover none better than themselves."""
    kept: list[Detection] = []
    for one in found:
        if all(_shared(one.box, other.box) < COVERED for other in kept):
            kept.append(one)
    return kept


def _with_hull(place: list[Detection]) -> list[Detection]:
    """The boxes of a place, best first, and what encloses those that agree with the best.

    Each size errs at the edges in its own way; what encloses both rarely cuts a character off.
    """
    agreed = [one for one in place if one.box.overlap(place[0].box) > AGREED]
    if len(agreed) < 2:
        return place
    left, top = min(one.box.x for one in agreed), min(one.box.y for one in agreed)
    right = max(one.box.x + one.box.width for one in agreed)
    bottom = max(one.box.y + one.box.height for one in agreed)
    score = sum(one.score for one in agreed) / len(agreed)
    hull = Detection(Box(left, top, right - left, bottom - top), score)
    return sorted([*place, hull], key=lambda one: -one.score)


def _shared(one: Box, other: Box) -> float:
    """The share of the smaller box that lies in the other."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0.0, across) * max(0.0, down) / max(smaller, 1e-6)
