"""Things put into a picture: plates in perspective, patches of paint, what only looks like a plate.

Always true here: pictures are RGB uint8 (height, width, 3); nothing is changed in place; corners
run clockwise from the plate's upper left, in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpr.reading import Picture
from lpr.training.scenes_plates import near, write

Corners = NDArray[np.float32]

PAINTS = (
    (20, 20, 23),
    (60, 60, 65),
    (120, 122, 125),
    (185, 187, 190),
    (225, 225, 225),
    (140, 30, 30),
    (30, 45, 110),
    (60, 80, 65),
    (150, 130, 100),
)
WORDS = (
    "sale",
    "taxi",
    "service",
    "Auto",
    "parking",
    "TURBO",
    "delivery",
    "EXIT",
    "rent a car",
    "Hotel",
)


def tilted(x: float, y: float, width: float, height: float, chance: Generator) -> Corners:
    """Corners about a centre: mostly level, now and then well turned or seen from the side."""
    strong = chance.random() < 0.2
    turn = float(np.radians(chance.normal(0, 10 if strong else 3.5)))
    shear = float(chance.normal(0, 0.12 if strong else 0.03))
    half = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    half[:, 0] *= float(chance.uniform(0.75, 1)) if strong else 1.0
    half[:, 1] += shear * half[:, 0]
    wobble = chance.normal(0, 1, (4, 2)) * np.array([0.012 * width, 0.03 * height])
    turning = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.asarray(half @ turning + wobble + np.array([x, y]), np.float32)


def bounds(corners: Corners) -> NDArray[np.float32]:
    """Left, top, right, bottom of corners."""
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def paste(
    picture: Picture,
    plate: Picture,
    corners: Corners,
    chance: Generator,
    *,
    light: NDArray[np.float64] | None,
    zoom: float,
) -> Picture:
    """A plate laid on a picture.

    light: what white becomes there, (3,) in 0..255; None: as drawn. zoom: how much the picture
    itself has been enlarged; the plate is blurred alike, more or less.
    """
    high, wide = plate.shape[:2]
    side = (picture.shape[1], picture.shape[0])
    across = max(4.0, float(np.linalg.norm(corners[1] - corners[0])))
    shown = plate.astype(np.float32)
    if wide > 1.3 * across:  # Made small before it is laid down, else strokes turn to moiré.
        share = across / wide
        smaller = (round(across), max(3, round(high * share)))
        shown = np.asarray(cv2.resize(shown, smaller, interpolation=cv2.INTER_AREA), np.float32)
        high, wide = shown.shape[:2]
    if light is not None:
        # Retroreflective plates outshine what is around them, old ones do not.
        gain = light / 235.0 * float(np.exp(chance.normal(0, 0.15)))
        shown = shown * gain.astype(np.float32) + float(chance.uniform(0, 12))
    flat = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    way = cv2.getPerspectiveTransform(flat, corners)
    laid = cv2.warpPerspective(np.clip(shown, 0, 255), way, side, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((side[1], side[0]), np.float32)
    cv2.fillConvexPoly(mask, np.round(corners * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    soft = float(chance.uniform(0.3, 0.45 * max(1.0, min(zoom, 5.0)) + 0.2))
    laid = cv2.GaussianBlur(laid, (0, 0), soft)
    mask = cv2.GaussianBlur(mask, (0, 0), soft)[..., None]
    ground = picture.astype(np.float32)
    if chance.random() < 0.35:
        ground = _holder(ground, corners, chance)
    return np.asarray(np.clip(ground * (1 - mask) + laid * mask, 0, 255), np.uint8)


def put_patch(picture: Picture, box: NDArray[np.float32], chance: Generator) -> Picture:
    """Paint around a place, as a bumper or a boot lid, its edges soft."""
    left, top, right, bottom = (float(value) for value in box)
    wide, high = right - left, bottom - top
    grow_x, grow_y = (
        float(chance.uniform(0.05, 1.0)) * wide,
        float(chance.uniform(0.15, 1.5)) * high,
    )
    paint = near(PAINTS[int(chance.integers(len(PAINTS)))], chance)
    mask = np.zeros(picture.shape[:2], np.float32)
    corner = (round(left - grow_x), round(top - grow_y))
    opposite = (round(right + grow_x), round(bottom + grow_y))
    cv2.rectangle(mask, corner, opposite, float(chance.uniform(0.6, 1)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(chance.uniform(0.5, 4)))[..., None]
    upper, lower = chance.uniform(0.7, 1.2, 2).tolist()
    slope = np.linspace(upper, lower, picture.shape[0])[:, None, None]
    return np.asarray(
        np.clip(picture * (1 - mask) + np.array(paint) * slope * mask, 0, 255), np.uint8
    )


def put_distractor(
    picture: Picture, away_from: list[NDArray[np.float32]], chance: Generator
) -> Picture:
    """Something that is no plate where no plate is: lettering, a sign, a grille, a blank field."""
    side = picture.shape[0]
    wide = float(np.exp(chance.uniform(np.log(16), np.log(0.8 * side))))
    high = wide / float(np.exp(chance.uniform(np.log(0.8), np.log(8))))
    left, top = float(chance.uniform(0, side - wide)), float(chance.uniform(0, max(1, side - high)))
    for box in away_from:
        gap = 6 + 0.3 * float(box[3] - box[1])
        if (
            left < box[2] + gap
            and box[0] < left + wide + gap
            and top < box[3] + gap
            and box[1] < top + high + gap
        ):
            return picture
    changed = picture.copy()
    area = (max(0.0, left), max(0.0, top), wide, high)
    what = chance.random()
    paint = near(PAINTS[int(chance.integers(len(PAINTS)))], chance, 40)
    if what < 0.35:
        _words(changed, area, paint, chance)
    elif what < 0.6:
        _blank(changed, area, paint, chance)
    elif what < 0.8:
        _bars(changed, area, paint, chance)
    else:
        _sign(changed, area, paint, chance)
    return changed


# ---- within ----------------------------------------------------------------

_Area = tuple[float, float, float, float]
_Paint = tuple[int, int, int]


def _holder(
    ground: NDArray[np.float32], corners: Corners, chance: Generator
) -> NDArray[np.float32]:
    """The frame or recess that a plate sits in."""
    middle = corners.mean(axis=0)
    room = corners - middle
    grown = middle + room * np.float32(1 + chance.uniform(0.02, 0.25, 2))
    mask = np.zeros(ground.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, np.round(grown * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
    shade = float(chance.choice([15, 30, 50, 140, 200]))
    mask = mask[..., None] * np.float32(chance.uniform(0.5, 1))
    return np.asarray(ground * (1 - mask) + shade * mask, np.float32)


def _part(picture: Picture, area: _Area) -> Picture:
    left, top, wide, high = (round(value) for value in area)
    return picture[top : top + max(2, high), left : left + max(2, wide)]


def _words(picture: Picture, area: _Area, paint: _Paint, chance: Generator) -> None:
    """Lettering on what is there already: no field, no rim, no digits."""
    left, top, wide, _ = area
    text = WORDS[int(chance.integers(len(WORDS)))]
    write(picture, text, (left, top, wide, max(4.0, 1.4 * wide / len(text))), paint, chance)


def _blank(picture: Picture, area: _Area, paint: _Paint, chance: Generator) -> None:
    """A field of a plate's shape with nothing in it: a painted-over plate, a lamp, a reflector."""
    part = _part(picture, area)
    part[:] = np.clip(np.array(paint) + chance.normal(0, chance.uniform(0, 8), part.shape), 0, 255)


def _bars(picture: Picture, area: _Area, paint: _Paint, chance: Generator) -> None:
    """A grille, a fence, a crossing: strokes of one width side by side, or one above another."""
    part = _part(picture, area)
    step, thick = int(chance.integers(4, 14)), int(chance.integers(1, 7))
    if chance.random() < 0.6:
        part[:] = near(paint, chance, 90)
    along = part if chance.random() < 0.5 else part.swapaxes(0, 1)
    for start in range(0, along.shape[0], step):
        along[start : start + min(thick, step - 1)] = paint


def _sign(picture: Picture, area: _Area, paint: _Paint, chance: Generator) -> None:
    """Three or more rows of words on a field, as shop fronts and road signs have."""
    part = _part(picture, area)
    part[:] = paint
    ink = (235, 235, 235) if float(np.mean(paint)) < 120 else (25, 25, 60)
    rows = int(chance.integers(3, 6))
    high = part.shape[0] / rows
    for row in range(rows):
        text = " ".join(WORDS[int(one)] for one in chance.integers(0, len(WORDS), 2))
        size = part.shape[1] * float(chance.uniform(0.5, 0.95))
        write(part, text, (2, row * high + 0.15 * high, size, 0.7 * high), ink, chance)
