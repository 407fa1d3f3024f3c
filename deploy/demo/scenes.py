"""Draws what a checkpoint's camera sees: a road, a car from behind, its Argentine plate.

Two forms of plate: the one since 2016, AB123CD on white under a blue band, and the one before,
ABC123 in white on black. The same seed draws the same picture. Nothing here knows how plates are
read: these are pictures like any others.
"""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1280, 720
_HORIZON = 250
# Blue, green, red.
_CARS: tuple[Colour, ...] = (
    (150, 150, 155),
    (60, 60, 66),
    (130, 70, 40),
    (40, 40, 150),
    (205, 205, 205),
    (70, 100, 70),
)


def draw_scene(plate: str, seed: int) -> Picture:
    """A picture of a car with the plate: (HEIGHT, WIDTH, 3), blue-green-red.

    Raises ValueError where the plate is of neither form.
    """
    chance = random.Random(f"{plate} {seed}")
    picture = _road(chance)
    across = chance.uniform(0.42, 0.58) * WIDTH
    width = chance.uniform(430, 540)
    _car(picture, across, width, chance)
    _mount(picture, _plate(plate), across, 640 - width * 0.16, width * 0.36, chance)
    return _camera(picture, chance)


def write_scene(path: Path, plate: str, seed: int) -> None:
    """The scene as a JPEG file, there as a whole or not at all."""
    _, jpeg = cv2.imencode(".jpg", draw_scene(plate, seed), [cv2.IMWRITE_JPEG_QUALITY, 90])
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(jpeg.tobytes())
    beside.replace(path)


def _road(chance: random.Random) -> Picture:
    light = chance.uniform(0.75, 1.0)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:_HORIZON] = np.linspace((225, 190, 150), (235, 225, 215), _HORIZON)[:, None]
    picture[_HORIZON:] = np.linspace((105, 105, 105), (70, 70, 72), HEIGHT - _HORIZON)[:, None]
    for _ in range(14):  # houses behind the road
        left, high = chance.randrange(-60, WIDTH), chance.randrange(30, 130)
        grey = chance.randrange(110, 180)
        corner = (left + chance.randrange(60, 160), _HORIZON)
        cv2.rectangle(picture, (left, _HORIZON - high), corner, (grey, grey + 5, grey + 12), -1)
    for at_horizon, at_bottom in ((560, -250), (610, 390), (660, 960), (720, 1560)):
        line = np.array(
            [
                (at_horizon, _HORIZON),
                (at_horizon + 4, _HORIZON),
                (at_bottom + 26, HEIGHT),
                (at_bottom, HEIGHT),
            ],
            np.int32,
        )
        cv2.fillPoly(picture, [line], (200, 205, 205), cv2.LINE_AA)
    return np.clip(picture * light, 0, 255).astype(np.uint8)


def _car(picture: Picture, across: float, width: float, chance: random.Random) -> None:
    """From behind: its wheels stand at y = 650."""
    paint = chance.choice(_CARS)
    dark: Colour = (paint[0] * 3 // 5, paint[1] * 3 // 5, paint[2] * 3 // 5)

    def shape(points: list[tuple[float, float]], colour: Colour) -> None:
        """In parts of the car's width, from its middle and up from the road."""
        corners = [(across + x * width, 650 - y * width) for x, y in points]
        cv2.fillPoly(picture, [np.array(corners, np.int32)], colour, cv2.LINE_AA)

    shape([(-0.55, -0.03), (0.55, -0.03), (0.48, 0.04), (-0.48, 0.04)], (35, 35, 36))  # shadow
    for side in (-1, 1):
        shape(
            [(side * 0.34, 0), (side * 0.46, 0), (side * 0.46, 0.15), (side * 0.34, 0.15)],
            (22, 22, 22),
        )
    shape([(-0.34, 0.72), (0.34, 0.72), (0.44, 0.45), (-0.44, 0.45)], dark)  # roof and pillars
    shape([(-0.3, 0.69), (0.3, 0.69), (0.37, 0.48), (-0.37, 0.48)], (70, 62, 55))  # window
    shape([(-0.48, 0.46), (0.48, 0.46), (0.5, 0.12), (-0.5, 0.12)], paint)
    shape([(-0.5, 0.14), (0.5, 0.14), (0.48, 0.05), (-0.48, 0.05)], dark)  # bumper
    for side in (-1, 1):
        lamp = [(side * 0.37, 0.43), (side * 0.48, 0.43), (side * 0.49, 0.31), (side * 0.4, 0.31)]
        shape(lamp, (40, 30, 190))


def _plate(text: str) -> Picture:
    """The plate as it leaves the works."""
    if re.fullmatch(r"[A-Z]{2}\d{3}[A-Z]{2}", text):
        picture = np.full((130, 400, 3), 242, np.uint8)
        picture[:30] = (150, 70, 30)
        _letters(picture, "REPUBLICA ARGENTINA", (105, 300), 22, 17, (245, 245, 245))
        _letters(picture, f"{text[:2]} {text[2:5]} {text[5:]}", (16, 384), 116, 102, (20, 20, 20))
        cv2.rectangle(picture, (0, 0), (399, 129), (30, 30, 30), 2)
        return picture
    if re.fullmatch(r"[A-Z]{3}\d{3}", text):
        picture = np.full((130, 300, 3), 235, np.uint8)
        cv2.rectangle(picture, (8, 26), (291, 114), (22, 22, 24), -1)
        _letters(picture, "ARGENTINA", (100, 200), 20, 17, (120, 90, 60))
        _letters(picture, f"{text[:3]} {text[3:]}", (18, 282), 102, 88, (240, 240, 240))
        return picture
    raise ValueError(f"{text} is no Argentine plate: AB123CD or ABC123")


def _letters(
    picture: Picture, text: str, span: tuple[int, int], base: int, size: int, colour: Colour
) -> None:
    """One letter a cell between the two columns, a space half a cell; wide ones are narrowed."""
    cells = [0.5 if letter == " " else 1.0 for letter in text]
    step = (span[1] - span[0]) / sum(cells)
    font, scale, thick = cv2.FONT_HERSHEY_SIMPLEX, size / 30, max(1, round(size / 17))
    left = float(span[0])
    for letter, cell in zip(text, cells, strict=True):
        if letter != " ":
            (wide, _), _ = cv2.getTextSize(letter, font, scale, thick)
            ink = np.zeros((picture.shape[0], wide + 2), np.uint8)
            cv2.putText(ink, letter, (1, base), font, scale, 255, thick, cv2.LINE_AA)
            narrow = min(ink.shape[1], round(step * 0.94))
            ink = cv2.resize(ink, (narrow, ink.shape[0]), interpolation=cv2.INTER_AREA)
            start = round(left + (step - narrow) / 2)
            under = picture[:, start : start + narrow]
            share = ink[..., None] / np.float32(255)
            under[:] = (under * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)
        left += cell * step


def _mount(
    picture: Picture,
    plate: Picture,
    across: float,
    middle: float,
    width: float,
    chance: random.Random,
) -> None:
    """Puts the plate on the car, a little askew."""
    high, wide = plate.shape[:2]
    width *= wide / 400
    height = width * high / wide
    left, right = across - width / 2, across + width / 2
    top, bottom = middle - height / 2, middle + height / 2
    tilt = chance.uniform(-0.02, 0.02) * width
    corners = np.array(
        [(left, top - tilt), (right, top + tilt), (right, bottom + tilt), (left, bottom - tilt)],
        np.float32,
    )
    whole = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float32)
    matrix = cv2.getPerspectiveTransform(whole, corners)
    # Small first: warping alone would pick single pixels and lose the strokes.
    warped = cv2.warpPerspective(plate, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((high, wide), 255, np.uint8), matrix, (WIDTH, HEIGHT))
    picture[mask > 127] = warped[mask > 127]


def _camera(picture: Picture, chance: random.Random) -> Picture:
    """What the lens and the sensor do to it."""
    soft = cv2.GaussianBlur(picture, (0, 0), chance.uniform(0.6, 1.0))
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, 4, soft.shape)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    # python scenes.py FOLDER PLATE...
    for number, name in enumerate(sys.argv[2:]):
        write_scene(Path(sys.argv[1], f"scene-{number:02d}.jpg"), name, number)
