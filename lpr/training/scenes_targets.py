"""What the detector should answer to a scene, cell by cell.

Always true here: a target is float32 (7, rows, columns) with a cell for every 8 × 8 pixels: heat,
the box there (left, top, right, bottom, in cells), the box's weight, and whether the cell counts at
all. A plate's weights sum to 1, whatever its size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpr.detector import CELL
from lpr.training.scenes import Scene


def target(scene: Scene) -> NDArray[np.float32]:
    """(7, side / 8, side / 8)."""
    rows, columns = (edge // CELL for edge in scene.picture.shape[:2])
    made = np.zeros((7, rows, columns), np.float32)
    made[6] = 1
    down, across = np.mgrid[:rows, :columns] + 0.5
    for left, top, right, bottom in scene.doubtful / CELL:
        made[
            6,
            max(0, int(top)) : max(0, int(np.ceil(bottom))),
            max(0, int(left)) : max(0, int(np.ceil(right))),
        ] = 0
    for left, top, right, bottom in scene.plates / CELL:
        x, y, wide, high = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        spread_x, spread_y = max(0.6, 0.12 * wide), max(0.5, 0.16 * high)
        heat = np.exp(
            -((across - x) ** 2) / (2 * spread_x**2) - (down - y) ** 2 / (2 * spread_y**2)
        )
        made[0] = np.maximum(made[0], heat)
        row, column = min(int(y), rows - 1), min(int(x), columns - 1)
        made[0, row, column] = 1
        near = (abs(across - x) < max(0.6, 0.15 * wide)) & (abs(down - y) < max(0.6, 0.25 * high))
        near[row, column] = True
        made[1:5, near] = np.array([left, top, right, bottom])[:, None]
        made[5, near] = 1 / near.sum()
    return made
