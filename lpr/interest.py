"""Regions of interest: the parts of a camera's view in which plates count.

Always true here: regions are shares of the picture's width and height, so they hold for every size
of stream; a plate counts where its centre is inside one; what is outside all of them is not even
looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lpr.detector import Detector
from lpr.reading import Box, Detection, Picture
from lpr.settings import Region

AROUND = 0.06
"""Share of the picture kept around the regions, so that a plate at their edge is whole."""


class Interesting:
    """A detector that looks at the regions alone, at the scale it would have for the whole."""

    def __init__(self, detector: Detector, regions: Sequence[Region]) -> None:
        self._detector = detector
        self._regions = [np.array(region, np.float32) for region in regions]
        points = np.concatenate(self._regions)
        self._low = np.maximum(points.min(axis=0) - AROUND, 0.0)
        self._high = np.minimum(points.max(axis=0) + AROUND, 1.0)

    def find(self, picture: Picture, share: float = 1.0) -> list[list[Detection]]:
        """Places inside a region; the boxes are in the whole picture."""
        size = np.array([picture.shape[1], picture.shape[0]])
        left, top = (int(share) for share in self._low * size)
        right, bottom = (round(share) for share in self._high * size)
        part = picture[top:bottom, left:right]
        smaller = share * max(part.shape[:2]) / max(picture.shape[:2])
        found = [
            [Detection(_moved(one.box, left, top), one.score) for one in place]
            for place in self._detector.find(part, smaller)
        ]
        return [place for place in found if self._counts(place[0].box, size)]

    def _counts(self, box: Box, size: NDArray[np.int64]) -> bool:
        x, y = (box.centre / size).tolist()
        return any(cv2.pointPolygonTest(region, (x, y), False) >= 0 for region in self._regions)


def _moved(box: Box, right: int, down: int) -> Box:
    return Box(box.x + right, box.y + down, box.width, box.height)
