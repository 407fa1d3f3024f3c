"""Which box of a frame goes on which vehicle's track, by where it was foreseen.

Always true here: geometry alone decides, texts are not known yet; a track gets at most one box a
frame, and a box at most one track; times are seconds of the source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lpr.movement import Movement
from lpr.reading import Box

OVERLAP = 0.1
"""Intersection over union with what was foreseen at which a box goes on a track."""
FIRM = 0.35
"""The same at which nobody else can be meant."""
REACH = 1.5
"""Plate widths a plate may be from where it was foreseen."""
SMOOTH = 0.6
"""What the newest step counts in a track's velocity."""
TWICE = 0.7
"""Natural logarithm of how much larger or smaller a plate may be than foreseen."""


@dataclass
class Path:
    """Where one vehicle's plate went."""

    start: Box
    first: float
    velocity: tuple[float, float] = (0.0, 0.0)
    movement: Movement = field(default_factory=Movement)
    _steps: int = 0

    def __post_init__(self) -> None:
        self.box, self.last = self.start, self.first

    def go(self, box: Box, seconds: float) -> None:
        """Goes on to a box."""
        elapsed = seconds - self.last
        if self.movement.count and elapsed > 0:
            (x, y), (before_x, before_y) = box.centre, self.box.centre
            new = SMOOTH if self._steps else 1.0
            step = (x - before_x) / elapsed, (y - before_y) / elapsed
            self.velocity = (
                new * step[0] + (1 - new) * self.velocity[0],
                new * step[1] + (1 - new) * self.velocity[1],
            )
            self._steps += 1
        self.box, self.last = box, seconds
        self.movement.add(box)

    def foreseen(self, seconds: float) -> Box:
        """Where the plate should be now."""
        ahead = seconds - self.last
        x, y = self.velocity[0] * ahead, self.velocity[1] * ahead
        return Box(self.box.x + x, self.box.y + y, self.box.width, self.box.height)

    def nearness(self, box: Box, seconds: float) -> float:
        """How well a box goes on here: 0 not at all, above 1 + FIRM for certain."""
        foreseen = self.foreseen(seconds)
        if abs(math.log(box.width / self.box.width)) > TWICE:
            return 0.0
        overlap = foreseen.overlap(box)
        if overlap >= OVERLAP:
            return 1.0 + overlap
        apart = distance(foreseen, box)
        return 1.0 - apart / REACH if apart < REACH else 0.0


def distance(one: Box, other: Box) -> float:
    """Between the centres, in widths of the larger box."""
    across, down = one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]
    return math.hypot(across, down) / max(one.width, other.width)


def pair(paths: Sequence[Path], boxes: Sequence[Box], seconds: float) -> dict[int, int]:
    """The path that each box goes on, both by number; the best fits first."""
    fits = sorted(
        (
            (-path.nearness(box, seconds), number, place)
            for place, path in enumerate(paths)
            for number, box in enumerate(boxes)
        ),
    )
    found: dict[int, int] = {}
    taken: set[int] = set()
    for fit, number, place in fits:
        if fit < 0 and number not in found and place not in taken:
            found[number] = place
            taken.add(place)
    return found
