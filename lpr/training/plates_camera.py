"""What a street camera and the weather make of a drawn plate: a crop as the detector hands it on.

Always true here: the plate is drawn at the resolution of the camera, then blurred, lit, made noisy
and compressed there, and only then scaled to the network's picture, as real crops are; the cells
on which each character stands go through the same perspective as the picture.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lpr.training.plates_labels import GRID, HEIGHT, NOBODY, WIDTH
from lpr.training.plates_sheet import Picture, Plate

Light = NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """A crop as the network takes it.

    picture: (HEIGHT, WIDTH, 3) RGB. cells: GRID, uint8, the place in the text of the character
    that stands there or NOBODY.
    """

    picture: Picture
    cells: NDArray[np.uint8]


def photograph(rng: random.Random, plate: Plate, scenery: Picture | None = None) -> Shot:
    """A crop around `plate` (scenery: any RGB picture of a street, for what is around it)."""
    noise = np.random.default_rng(rng.getrandbits(48))
    wide = round(38 * (250 / 38) ** rng.random() ** 1.15)
    tall, corners = _stance(rng, plate, wide)
    width, height, corners = _crop(rng, corners, wide, tall)
    source = _smaller(plate.picture, wide)
    scale = source.shape[1] / plate.picture.shape[1]
    matrix = cv2.getPerspectiveTransform(
        np.array(
            [
                [0, 0],
                [source.shape[1], 0],
                [source.shape[1], source.shape[0]],
                [0, source.shape[0]],
            ],
            np.float32,
        ),
        corners,
    )
    light = _around(rng, noise, scenery, width, height)
    if rng.random() < 0.45:
        _holder(rng, light, corners, tall)
    over = cv2.warpPerspective(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(
        np.full(source.shape[:2], 255, np.uint8), matrix, (width, height), flags=cv2.INTER_LINEAR
    )
    share = mask.astype(np.float32)[..., None] / 255
    light += (over.astype(np.float32) - light) * share
    letter = wide / max(len(plate.text), 5)
    picture = _recorded(rng, noise, _lit(rng, _optics(rng, light, letter)))
    cells = _cells(plate, matrix @ np.diag([scale, scale, 1.0]), width, height)
    return Shot(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), cells)


def spoil(rng: random.Random, crop: Picture, letter: float) -> Picture:
    """A real crop made another one: every second is lit anew, one in four blurred; all recorded."""
    noise = np.random.default_rng(rng.getrandbits(48))
    light: Light = crop.astype(np.float32)
    if rng.random() < 0.25:
        light = _optics(rng, light, letter * 0.6)
    if rng.random() < 0.5:
        light = _lit(rng, light)
    return _recorded(rng, noise, light)


def _stance(rng: random.Random, plate: Plate, wide: int) -> tuple[float, NDArray[np.float32]]:
    """The plate's height in pixels and its corners: turned, sheared, seen from the side."""
    tall = wide * plate.picture.shape[0] / plate.picture.shape[1] * rng.uniform(0.88, 1.25)
    corners = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float64)
    corners -= corners.mean(0)
    angle = np.deg2rad(rng.gauss(0, 4.5))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, 0], [rng.gauss(0, 0.12), 1]])
    climb = np.array([[1, rng.gauss(0, 0.04)], [0, 1]])
    corners = corners @ shear @ turn @ climb
    jitter = [[rng.gauss(0, 0.015 * wide), rng.gauss(0, 0.03 * tall)] for _ in range(4)]
    return tall, (corners + np.array(jitter)).astype(np.float32)


def _crop(
    rng: random.Random, corners: NDArray[np.float32], wide: float, tall: float
) -> tuple[int, int, NDArray[np.float32]]:
    """Width and height of the crop, and the corners in it: loose, shifted, now and then tight."""
    low, high = ((-0.07, 0.06), (0.0, 0.2), (0.05, 0.5))[rng.choices((0, 1, 2), (3, 5, 2))[0]]
    left, top, right, bottom = (tall * rng.uniform(low, high) for _ in range(4))
    left, right = left * 1.3, right * 1.3
    # Cutting a tilted plate's box closely is one thing, cutting its characters off another.
    left, right = max(left, -0.012 * wide), max(right, -0.012 * wide)
    least, most = corners.min(0), corners.max(0)
    moved = corners - least + np.array([left, top], np.float32)
    width = max(16, round(float(most[0] - least[0]) + left + right))
    height = max(8, round(float(most[1] - least[1]) + top + bottom))
    return width, height, moved.astype(np.float32)


def _smaller(picture: Picture, wide: int) -> Picture:
    """The drawing, averaged down to about the size it is warped at."""
    if picture.shape[1] <= wide * 1.2:
        return picture
    size = (wide, max(4, round(picture.shape[0] * wide / picture.shape[1])))
    smaller: Picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return smaller


def _around(
    rng: random.Random,
    noise: np.random.Generator,
    scenery: Picture | None,
    width: int,
    height: int,
) -> Light:
    """What lies behind the plate: a piece of street, or smooth blotches like bodywork."""
    if scenery is not None and rng.random() < 0.6:
        wide = rng.randint(min(24, scenery.shape[1]), max(25, scenery.shape[1] // 4))
        tall = max(8, min(scenery.shape[0], wide * height // width))
        x = rng.randrange(max(1, scenery.shape[1] - wide))
        y = rng.randrange(max(1, scenery.shape[0] - tall))
        piece = scenery[y : y + tall, x : x + wide]
        scaled: Picture = cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR)
        return scaled.astype(np.float32)
    rough = noise.normal(rng.choice((15, 40, 90, 160, 220)), rng.choice((5, 25, 50)), (4, 6, 1))
    rough = rough + noise.normal(0, rng.choice((0, 15)), (4, 6, 3))
    blotches: Light = cv2.resize(
        np.clip(rough, 0, 255).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return blotches


def _holder(rng: random.Random, light: Light, corners: NDArray[np.float32], tall: float) -> None:
    """The frame a plate sits in, perhaps with a lip below it."""
    shade = rng.choice((15.0, 30.0, 60.0, 150.0, 200.0))
    grow = 1 + rng.uniform(0.03, 0.12)
    middle = corners.mean(0)
    outer = (corners - middle) * np.array([1 + (grow - 1) / 2, grow], np.float32) + middle
    outer[2:, 1] += tall * rng.choice((0.0, 0.0, 0.12))
    cv2.fillConvexPoly(light, np.round(outer).astype(np.int32), (shade, shade, shade), cv2.LINE_AA)


def _optics(rng: random.Random, light: Light, letter: float) -> Light:
    """Shadow, glare, dirt, motion and defocus; `letter` is a character's width in pixels."""
    height, width = light.shape[:2]
    if rng.random() < 0.3:
        ramp = np.linspace(rng.uniform(0.4, 1), rng.uniform(0.7, 1.3), width, dtype=np.float32)
        light = light * ramp[None, :, None]
    if rng.random() < 0.12:
        edge = np.clip(
            (np.arange(width)[None] * rng.uniform(-1, 1) + np.arange(height)[:, None]) / 3
            - rng.uniform(-0.3, 1) * height / 3, 0, 1,
        )  # fmt: skip
        light = light * (1 - rng.uniform(0.3, 0.6) * edge[..., None].astype(np.float32))
    if rng.random() < 0.12:
        rows = (np.arange(height) - rng.uniform(-0.2, 1.2) * height) / (
            height * rng.uniform(0.2, 0.6)
        )
        columns = (np.arange(width) - rng.uniform(0, 1) * width) / (height * rng.uniform(0.3, 1.5))
        spot = np.exp(-(rows[:, None] ** 2) - columns[None] ** 2).astype(np.float32)
        light = light + rng.uniform(40, 160) * spot[..., None]
    if rng.random() < 0.15:
        for _ in range(rng.randrange(1, 5)):
            centre = (rng.randrange(width), rng.randrange(height))
            axes = (max(1, round(letter * rng.uniform(0.05, 0.25))), max(1, round(letter * 0.12)))
            shade = rng.choice((30.0, 90.0, 150.0))
            cv2.ellipse(light, centre, axes, rng.uniform(0, 180), 0, 360, (shade,) * 3, -1)
    blurred = rng.random()
    if blurred < 0.25:
        light = _moved(rng, light, letter)
    if blurred > 0.15 and rng.random() < 0.75:
        sigma = rng.uniform(0.25, 0.25 + 0.085 * letter)
        light = cv2.GaussianBlur(light, (0, 0), min(sigma, 3.5))
    return light


def _moved(rng: random.Random, light: Light, letter: float) -> Light:
    size = 2 * round(min(7, max(1, letter * rng.uniform(0.1, 0.26)))) + 1
    kernel = np.zeros((size, size), np.float32)
    angle = rng.choice((0.0, 0.0, 90.0, rng.uniform(0, 180)))
    reach = (size - 1) / 2
    across = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]) * reach
    start, end = reach - across, reach + across
    ends = [(round(float(p[0])), round(float(p[1]))) for p in (start, end)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    moved: Light = cv2.filter2D(light, -1, kernel / kernel.sum())
    return moved


def _lit(rng: random.Random, light: Light) -> Light:
    """Exposure and colour: grey and infra-red, night, over-exposed, hazy, tinted."""
    if rng.random() < 0.45:
        light = light.mean(2, keepdims=True) * np.ones(3, np.float32)
    elif rng.random() < 0.4:
        tint = [rng.uniform(0.7, 1.12), rng.uniform(0.85, 1.08), rng.uniform(0.7, 1.15)]
        light = light * np.array(tint, np.float32)
    kind = rng.random()
    if kind < 0.22:
        return light * rng.uniform(0.12, 0.6) + rng.uniform(0, 25)
    if kind < 0.42:
        return (light - rng.uniform(0, 50)) * rng.uniform(1.2, 2.1)
    if kind < 0.62:
        level = np.clip(light / 255, 0, 1)
        return (255 * level ** rng.uniform(0.5, 1.8)).astype(np.float32)
    if kind < 0.76:
        middle = rng.uniform(60, 180)
        return (light - 128) * rng.uniform(0.2, 0.6) + middle
    return light


def _recorded(rng: random.Random, noise: np.random.Generator, light: Light) -> Picture:
    """Sensor noise, sharpening, one more change of size, compression."""
    height, width = light.shape[:2]
    light = np.clip(light, 0, 255)
    if rng.random() < 0.6:
        contrast = max(12.0, float(light.std()))
        grain = noise.normal(0, 1, (height, width, 3 if rng.random() < 0.4 else 1))
        light = light + grain.astype(np.float32) * rng.uniform(0.01, 0.22) * min(contrast, 50)
    if rng.random() < 0.3:
        soft = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.7, 2.0))
        light = light + (light - soft) * rng.uniform(0.5, 1.8)
    if rng.random() < 0.06:  # interlaced video: every second line is from a moment later
        light[1::2] = np.roll(light[1::2], rng.choice((-2, -1, 1, 2)), axis=1)
    if rng.random() < 0.3:
        grown = rng.uniform(1.1, 3)
        size = (round(width * grown), round(height * grown))
        method = rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        light = cv2.resize(light, size, interpolation=method)
    picture = np.clip(light, 0, 255).astype(np.uint8)
    if rng.random() < 0.65:
        quality = [cv2.IMWRITE_JPEG_QUALITY, rng.randint(30, 95)]
        packed = cv2.imencode(".jpg", picture, quality)[1]
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return picture


_ROWS, _COLUMNS = np.meshgrid(
    (np.arange(GRID[0]) + 0.5) / GRID[0], (np.arange(GRID[1]) + 0.5) / GRID[1], indexing="ij"
)


def _cells(plate: Plate, matrix: NDArray[np.float64], width: int, height: int) -> NDArray[np.uint8]:
    """Which character stands on each cell; each stands on one at least."""
    spots = np.stack([_COLUMNS.ravel() * width, _ROWS.ravel() * height, np.ones(_ROWS.size)])
    flat = np.linalg.inv(matrix) @ spots
    x, y = flat[0] / flat[2], flat[1] / flat[2]
    cells = np.full(_ROWS.size, NOBODY, np.uint8)
    boxes = np.array(plate.boxes)
    for place, (left, top, wide, high) in enumerate(boxes):
        inside = (x >= left) & (x < left + wide) & (y >= top) & (y < top + high)
        cells[inside] = place
    for place, (left, top, wide, high) in enumerate(boxes):
        if not (cells == place).any():
            far = (x - left - wide / 2) ** 2 + ((y - top - high / 2) / 3) ** 2
            cells[far.argmin()] = place
    return cells.reshape(GRID)
