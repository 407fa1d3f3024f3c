"""Plates and road scenes drawn here, for tests that need no real picture."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lpr.reading import Picture


def plate(text: str) -> Picture:
    """A plate's crop, black on white, 200 × 60."""
    crop = np.full((60, 200, 3), 235, np.uint8)
    cv2.rectangle(crop, (2, 2), (197, 57), (20, 20, 20), 2)
    size, _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.3, 2)
    cv2.putText(
        crop,
        text,
        ((200 - size[0]) // 2, 44),
        cv2.FONT_HERSHEY_DUPLEX,
        1.3,
        (15, 15, 15),
        2,
        cv2.LINE_AA,
    )
    return crop


def scene(
    plates: Sequence[tuple[str, int, int]], width: int = 960, height: int = 540, seed: int = 0
) -> Picture:
    """A road with dark cars, each with a plate whose centre is at (x, y)."""
    chance = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 96, np.uint8)
    picture[: height // 3] = 150
    picture = np.clip(picture + chance.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    for text, x, y in plates:
        cv2.rectangle(picture, (x - 130, y - 110), (x + 130, y + 50), (55, 40, 35), -1)
        cv2.rectangle(picture, (x - 100, y - 180), (x + 100, y - 110), (90, 80, 75), -1)
        crop = cv2.resize(plate(text), (140, 42), interpolation=cv2.INTER_AREA)
        top, left = y - 21, x - 70
        if top < 0 or left < 0 or top + 42 > height or left + 140 > width:
            continue
        picture[top : top + 42, left : left + 140] = crop
    return picture


def film(path: Path, frames: Sequence[Picture], rate: float = 12.5) -> Path:
    """A video of the frames."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path
