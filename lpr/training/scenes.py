"""Pieces of street that the detector learns from: real frames, zoomed, plates put on and taken off.

Always true here: a scene is RGB uint8 (side, side, 3) with boxes (left, top, right, bottom) of the
plates whose centre is inside, in its pixels, and boxes that are neither plate nor street (cut in
half, too small to tell), which training leaves out. Scene number n of a seed is always the same.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpr.reading import Picture
from lpr.training.scenes_camera import as_seen
from lpr.training.scenes_paste import Corners, bounds, paste, put_distractor, put_patch, tilted
from lpr.training.scenes_plates import draw_plate

Boxes = NDArray[np.float32]

BANK = 4000
"""Different plates drawn; the way they are put on is new every time."""
SMALLEST = 9.0
"""Pixels of width under which a real plate is neither plate nor street."""
NARROWEST, WIDEST = 14.0, 1.15
"""Widths of plates aimed at: pixels, and share of the side."""
HELD_OUT = ("dayride_type1_003", "nightride_type3_001.mp4#t=7", "nightride_type3_001.mp4#t=8")
"""How the names of frames begin that are kept for looking how training goes."""


@dataclass(frozen=True)
class Frame:
    """A frame, the same with its plates painted over, and their boxes as in a Scene."""

    picture: Picture
    bare: Picture
    plates: Boxes


@dataclass(frozen=True)
class Scene:
    """What is learnt from. Shapes: (side, side, 3), (plates, 4), (doubtful, 4)."""

    picture: Picture
    plates: Boxes
    doubtful: Boxes


def load_frames(folder: Path, *, held_out: bool = False) -> list[Frame]:
    """The frames of a folder with boxes.csv (file,x,y,width,height), in order of name.

    Raises FileNotFoundError where boxes.csv is absent.
    """
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
            boxes[row["file"]].append([x, y, x + width, y + height])
    frames = []
    for name in sorted(boxes):
        if name.startswith(HELD_OUT) != held_out:
            continue
        picture = cv2.imread(str(folder / name))
        if picture is not None:
            frames.append(frame(np.ascontiguousarray(picture[..., ::-1], np.uint8), boxes[name]))
    return frames


def frame(picture: Picture, plates: list[list[float]]) -> Frame:
    """A frame of an RGB picture, its bare twin painted from what surrounds each plate."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    for left, top, right, bottom in plates:
        edge = 0.15 * (bottom - top) + 1
        corner, opposite = (
            (round(left - edge), round(top - edge)),
            (round(right + edge), round(bottom + edge)),
        )
        cv2.rectangle(mask, corner, opposite, 255, -1)
    bare = cv2.inpaint(picture, mask, 3, cv2.INPAINT_TELEA)
    return Frame(picture, np.asarray(bare, np.uint8), np.array(plates, np.float32).reshape(-1, 4))


def draw_scene(frames: list[Frame], seed: int, number: int, *, side: int = 320) -> Scene:
    """Scene number `number` of a seed."""
    chance = np.random.default_rng((seed, number))
    chosen = frames[int(chance.integers(len(frames)))]
    way = str(chance.choice(["real", "changed", "bare", "anywhere"], p=[0.3, 0.42, 0.1, 0.18]))
    source = chosen.picture if way == "real" else chosen.bare
    scale, left, top, ratio = _window(chosen, side, way, chance)
    window = np.array([[scale * ratio, 0, -left * scale * ratio], [0, scale, -top * scale]])
    picture = _cut(source, window, side)
    places = (chosen.plates.reshape(-1, 2) @ window[:, :2].T + window[:, 2]).reshape(-1, 4)
    whole = _cut(chosen.picture, window, side) if way == "changed" else picture
    if chance.random() < 0.4:
        picture = np.ascontiguousarray(picture[:, ::-1])
        whole = np.ascontiguousarray(whole[:, ::-1])
        places = np.stack(
            [side - places[:, 2], places[:, 1], side - places[:, 0], places[:, 3]], axis=1
        )
    found = list(places.astype(np.float32)) if way == "real" else []
    taken = list(found)
    if way == "changed":
        for place in places:
            plate = _plate(chance, seed)
            corners = _in_its_place(place, plate, chance)
            if _reaches(bounds(corners), side):
                light = _lightness(whole, place)
                picture = paste(picture, plate, corners, chance, light=light, zoom=scale)
                found.append(bounds(corners))
    if way == "anywhere" or chance.random() < 0.12:
        picture = _anywhere(picture, found, seed, chance)
    if way in {"bare", "anywhere"} or chance.random() < 0.3:
        for _ in range(int(chance.integers(1, 4))):
            picture = put_distractor(picture, [*found, *taken], chance)
    boxes = np.array(found, np.float32).reshape(-1, 4)
    if chance.random() < 0.15:
        picture, boxes = _turned(picture, boxes, chance)
    return _sorted_out(as_seen(picture, chance), boxes, side)


# ---- within ----------------------------------------------------------------


@lru_cache(maxsize=BANK)
def _drawn(seed: int, number: int) -> Picture:
    return draw_plate(np.random.default_rng((seed, number, 1)))


def _plate(chance: Generator, seed: int) -> Picture:
    return _drawn(seed, int(chance.integers(BANK)))


def _window(
    chosen: Frame, side: int, way: str, chance: Generator
) -> tuple[float, float, float, float]:
    """Scale, left and top of the part of the frame that is seen, and how much it is widened."""
    height, width = chosen.picture.shape[:2]
    ratio = float(np.exp(chance.normal(0, 0.06)))
    least = side / min(height, width / 1.2)
    if way == "anywhere" or not len(chosen.plates) or chance.random() < 0.12:
        scale = least * float(np.exp(chance.uniform(0, 1.4)))
        seen = side / scale
        left = float(chance.uniform(0, width - seen / ratio))
        return scale, left, float(chance.uniform(0, height - seen)), ratio
    one = chosen.plates[int(chance.integers(len(chosen.plates)))]
    aim = float(np.exp(chance.uniform(np.log(NARROWEST), np.log(WIDEST * side))))
    scale = max(least, aim / float(one[2] - one[0]))
    seen = side / scale
    middle_x, middle_y = float(one[0] + one[2]) / 2, float(one[1] + one[3]) / 2
    margin = 0.5 if aim > 0.6 * side else 0.12
    left = middle_x - float(chance.uniform(margin, 1 - margin)) * seen / ratio
    top = middle_y - float(chance.uniform(0.1, 0.9)) * seen
    left = float(np.clip(left, 0, width - seen / ratio))
    return scale, left, float(np.clip(top, 0, height - seen)), ratio


def _cut(source: Picture, window: NDArray[np.float64], side: int) -> Picture:
    """The window of a picture, (side, side, 3); made smaller without moiré."""
    least = float(min(window[0, 0], window[1, 1]))
    if least < 0.8:
        left, top = -window[0, 2] / window[0, 0], -window[1, 2] / window[1, 1]
        wide, high = side / window[0, 0], side / window[1, 1]
        part = source[
            max(0, round(top)) : round(top + high), max(0, round(left)) : round(left + wide)
        ]
        return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(
        cv2.warpAffine(
            source, window, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
        np.uint8,
    )


def _in_its_place(place: NDArray[np.float64], plate: Picture, chance: Generator) -> Corners:
    """Corners of a plate put where another was, about as wide."""
    left, top, right, bottom = (float(value) for value in place)
    width = (right - left) * float(np.exp(chance.uniform(-0.45, 0.3)))
    height = width * plate.shape[0] / plate.shape[1] * float(np.exp(chance.normal(0, 0.06)))
    x = (left + right) / 2 + float(chance.normal(0, 0.1)) * width
    y = (top + bottom) / 2 + float(chance.normal(0, 0.15)) * height
    return tilted(x, y, width, height, chance)


def _lightness(whole: Picture, place: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The colour a white plate has there, (3,) in 0..255; None where the place is outside."""
    left, top, right, bottom = (max(0, round(float(value))) for value in place)
    part = whole[top:bottom, left:right]
    if part.shape[0] < 2 or part.shape[1] < 2:
        return None
    return np.asarray(np.percentile(part.reshape(-1, 3), 80, axis=0), float)


def _anywhere(
    picture: Picture, found: list[NDArray[np.float32]], seed: int, chance: Generator
) -> Picture:
    """One or two plates where there is room, mostly on a patch like a bumper."""
    side = picture.shape[0]
    for _ in range(int(chance.choice([1, 1, 2]))):
        plate = _plate(chance, seed)
        width = float(np.exp(chance.uniform(np.log(NARROWEST + 2), np.log(WIDEST * side))))
        height = width * plate.shape[0] / plate.shape[1]
        x = float(chance.uniform(min(width, side) / 2, side - min(width, side) / 2))
        y = float(chance.uniform(min(height, side) / 2, side - min(height, side) / 2))
        corners = tilted(x, y, width, height, chance)
        box = bounds(corners)
        if any(_touch(box, other) for other in found):
            continue
        if not found and chance.random() < 0.75:
            picture = put_patch(picture, box, chance)
        light = np.full(3, 255.0) * float(chance.uniform(0.35, 1.08))
        picture = paste(picture, plate, corners, chance, light=light, zoom=1.0)
        found.append(box)
    return picture


def _turned(picture: Picture, boxes: Boxes, chance: Generator) -> tuple[Picture, Boxes]:
    """The whole scene rolled by some degrees, as a camera that hangs askew sees it."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(chance.normal(0, 6)), 1.0)
    rolled = cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ turn[:, :2].T + turn[:, 2]
    turned = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return np.asarray(rolled, np.uint8), turned.astype(np.float32).reshape(-1, 4)


def _sorted_out(picture: Picture, boxes: Boxes, side: int) -> Scene:
    """Plates apart from what can't be told."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    inside = (x > 1) & (x < side - 1) & (y > 1) & (y < side - 1)
    across = np.minimum(boxes[:, 2], side) - np.maximum(boxes[:, 0], 0)
    down = np.minimum(boxes[:, 3], side) - np.maximum(boxes[:, 1], 0)
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    shown = np.clip(across, 0, None) * np.clip(down, 0, None) / np.maximum(wide * high, 1e-6)
    clear = inside & (shown > 0.6) & (wide >= SMALLEST) & (high >= 2)
    return Scene(picture, boxes[clear], boxes[~clear & (shown > 0)])


def _reaches(box: NDArray[np.float32], side: int) -> bool:
    return bool(box[2] > 0 and box[3] > 0 and box[0] < side and box[1] < side)


def _touch(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(
        one[0] < other[2] + 4
        and other[0] < one[2] + 4
        and one[1] < other[3] + 4
        and other[1] < one[3] + 4
    )
