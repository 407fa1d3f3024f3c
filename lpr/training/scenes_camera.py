"""What a camera makes of a scene: night, infra-red, glare, fog, movement, noise, compression.

Always true here: pictures are RGB uint8 (height, width, 3), and nothing in them moves.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpr.reading import Picture

Light = NDArray[np.float32]


def as_seen(picture: Picture, chance: Generator) -> Picture:
    """The scene through a camera taken by chance; a third are left as they are but for noise."""
    seen = picture.astype(np.float32)
    if chance.random() < 0.25:
        seen = _moved(seen, chance)
    if chance.random() < 0.67:
        seen = _coloured(seen, chance)
        seen = _exposed(seen, chance)
    if chance.random() < 0.5:
        grain = 1 if chance.random() < 0.6 else 3
        noise = chance.standard_normal((*seen.shape[:2], grain), np.float32)
        seen = seen + noise * np.float32(chance.uniform(1, 10))
    shown = np.clip(seen, 0, 255).astype(np.uint8)
    if chance.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(chance.integers(30, 92))]
        shown = np.asarray(cv2.imdecode(cv2.imencode(".jpg", shown, quality)[1], cv2.IMREAD_COLOR))
    return shown


def _moved(seen: Light, chance: Generator) -> Light:
    """Out of focus, or the car or camera moved."""
    if chance.random() < 0.5:
        return np.asarray(
            cv2.GaussianBlur(seen, (0, 0), float(chance.uniform(0.5, 1.8))), np.float32
        )
    length = int(chance.choice([3, 5, 7, 9]))
    stroke = np.zeros((length, length), np.float32)
    stroke[length // 2] = 1.0 / length
    middle = (length / 2 - 0.5, length / 2 - 0.5)
    turn = cv2.getRotationMatrix2D(middle, float(chance.normal(0, 25)), 1.0)
    stroke = cv2.warpAffine(stroke, turn, (length, length))
    return np.asarray(cv2.filter2D(seen, -1, stroke / max(float(stroke.sum()), 1e-3)), np.float32)


def _coloured(seen: Light, chance: Generator) -> Light:
    """Another white balance, other paints, or none at all, as by infra-red light."""
    way = chance.random()
    if way < 0.25:
        weights = chance.dirichlet((3, 3, 3)).astype(np.float32)
        return np.repeat((seen @ weights)[..., None], 3, axis=2)
    if way < 0.6:  # Towards a grey world: as if the camera's colour cast were not there.
        means = seen.mean(axis=(0, 1)) + 1
        gains = (means.mean() / means) ** np.float32(chance.uniform(0.4, 1.1))
        return np.asarray(seen * gains, np.float32)
    if way < 0.75:
        return np.ascontiguousarray(seen[..., chance.permutation(3)])
    return np.asarray(seen * chance.uniform(0.65, 1.3, 3).astype(np.float32), np.float32)


def _exposed(seen: Light, chance: Generator) -> Light:
    """Brighter, darker, flatter, steeper, or with a beam of light across."""
    way = chance.random()
    if way < 0.6:  # Brighter more often than darker: the frames are of dusk and night.
        curve = np.power(np.clip(seen, 0, 255) / 255, np.float32(chance.uniform(0.35, 1.3)))
        return np.asarray(255 * curve * np.float32(chance.uniform(0.75, 1.3)), np.float32)
    if way < 0.68:
        return np.asarray(seen * np.float32(chance.uniform(0.2, 0.6)), np.float32)
    if way < 0.8:  # Fog, or the sun in the lens.
        veil = np.float32(chance.uniform(0.3, 0.75))
        return np.asarray(
            seen * (1 - veil) + veil * np.float32(chance.uniform(90, 230)), np.float32
        )
    if way < 0.9:
        dark = np.float32(chance.uniform(0, 50))
        return np.asarray((seen - dark) * np.float32(chance.uniform(1.1, 2.2)), np.float32)
    small = chance.uniform(0.35, 1.4, (3, 3)).astype(np.float32)
    shade = cv2.resize(small, (seen.shape[1], seen.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(seen * shade[..., None], np.float32)
