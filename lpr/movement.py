"""How a plate moved through the picture, and what that says of the vehicle's direction.

Always true here: a vehicle that stood still has no direction; coordinates are shares of the
plate's own width, so nothing depends on how far the camera is.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from lpr.reading import Box, Way

Sense: TypeAlias = Literal["towards", "away", "down", "up", "left", "right"]
"""How vehicles go in the picture. towards: the plate sinks, as each one below the camera does, or
grows where that says nothing."""
FEW = 3
"""Boxes at either end that are averaged: one alone jitters."""
GROWN = 0.25
"""Natural logarithm of how much larger or smaller a plate has to become."""
MOVED = 0.5
"""Plate widths that it has to move."""


@dataclass
class Movement:
    """The first and the last boxes of one vehicle's plate."""

    count: int = 0
    _first: list[Box] = field(default_factory=list)
    _last: deque[Box] = field(default_factory=lambda: deque(maxlen=FEW))

    def add(self, box: Box) -> None:
        """Takes where the plate is now."""
        self.count += 1
        if len(self._first) < FEW:
            self._first.append(box)
        self._last.append(box)

    def total(self) -> tuple[float, float, float]:
        """(right, down, growth): plate widths, plate widths, natural logarithm of the size."""
        few = min(FEW, self.count // 2)
        if not few:
            return 0.0, 0.0, 0.0
        x, y, width, size = _mean(self._first[:few])
        to_x, to_y, to_width, to_size = _mean(list(self._last)[-few:])
        scale = (width + to_width) / 2
        return (to_x - x) / scale, (to_y - y) / scale, math.log(to_size / size)

    def still(self) -> bool:
        """Whether it has stayed where it was."""
        right, down, growth = self.total()
        return math.hypot(right, down) < MOVED and abs(growth) < GROWN

    def direction(self, entry: Sense) -> Way:
        """entry or exit; empty where the movement does not tell. entry: how those who enter go."""
        right, down, growth = self.total()
        along = {"right": right, "left": -right, "down": down, "up": -down}
        if entry in along:
            clear, forward = abs(along[entry]) >= MOVED, along[entry] > 0
        else:
            nearer = down if abs(down) >= MOVED else growth
            clear = abs(down) >= MOVED or abs(growth) >= GROWN
            forward = (nearer > 0) == (entry == "towards")
        if not clear:
            return ""
        return "entry" if forward else "exit"


def _mean(boxes: list[Box]) -> tuple[float, float, float, float]:
    """Centre, width, and size (the root of the area)."""
    count = len(boxes)
    return (
        sum(box.centre[0] for box in boxes) / count,
        sum(box.centre[1] for box in boxes) / count,
        sum(box.width for box in boxes) / count,
        sum(math.sqrt(box.width * box.height) for box in boxes) / count,
    )
