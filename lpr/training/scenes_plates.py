"""Number plates drawn for the detector: shape, colours and clutter, not the form of the letters.

Always true here: a plate is RGB uint8 (height, width, 3), some 300 pixels wide, drawn from the
generator given and from nothing else. The letters are OpenCV's own; what a detector learns from is
the rectangle, the row of strokes in it and the colours.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from lpr.reading import Picture

Colour = tuple[int, int, int]

LETTERS = string.ascii_uppercase
DIGITS = string.digits
DARK: tuple[Colour, ...] = ((22, 22, 25), (40, 40, 45), (20, 40, 110), (120, 25, 30), (20, 80, 50))
LIGHT: tuple[Colour, ...] = ((238, 238, 235), (225, 225, 220), (205, 205, 200), (245, 240, 225))
VIVID: tuple[Colour, ...] = (
    (245, 205, 40),
    (250, 225, 90),
    (90, 150, 220),
    (170, 205, 235),
    (240, 170, 90),
    (150, 205, 150),
    (235, 180, 190),
    (60, 120, 80),
    (190, 40, 45),
)
BLUE: Colour = (30, 65, 155)
FONTS = ("sans", "sans", "sans", "serif")


def draw_plate(chance: Generator) -> Picture:
    """One plate of a kind taken by chance."""
    kind = _KINDS[int(chance.choice(len(_KINDS), p=_SHARES))]
    plate = kind(chance)
    if chance.random() < 0.5:
        _bolts(plate, chance)
    if chance.random() < 0.2:
        _dirt(plate, chance)
    return plate


def write(
    on: Picture,
    text: str,
    area: tuple[float, float, float, float],
    colour: Colour,
    chance: Generator,
) -> None:
    """Text that fills an area (left, top, width, height in pixels), stretched as that needs."""
    left, top, width, height = (round(value) for value in area)
    if width < 2 or height < 2:
        return
    mask = _lettering(text, chance)
    alpha = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[..., None] / 255.0
    place = on[top : top + height, left : left + width]
    alpha = alpha[: place.shape[0], : place.shape[1]]
    place[:] = (place * (1 - alpha) + np.array(colour) * alpha).astype(np.uint8)


def serial(chance: Generator, fewest: int = 4, most: int = 8) -> str:
    """Letters and digits as plates have them, sometimes in two groups."""
    count = int(chance.integers(fewest, most + 1))
    letters = int(chance.integers(0, count))
    runs = ["".join(chance.choice(list(LETTERS), letters))] if letters else []
    runs.append("".join(chance.choice(list(DIGITS), count - letters)))
    if chance.random() < 0.4:
        runs.reverse()
    return str(chance.choice(["", " ", "-", "."])).join(runs)


def near(colour: Colour, chance: Generator, spread: int = 18) -> Colour:
    """A colour like another."""
    red, green, blue = (
        int(np.clip(part + chance.integers(-spread, spread + 1), 0, 255)) for part in colour
    )
    return red, green, blue


# ---- kinds -----------------------------------------------------------------


def _european(chance: Generator) -> Picture:
    """520 × 110 mm: light or yellow, mostly with a blue band at the left, sometimes one right."""
    plate = _ground(chance, 468, 100, (*LIGHT, (250, 205, 60)))
    left = 0.03
    if chance.random() < 0.75:
        plate[:, : round(468 * 0.09)] = near(BLUE, chance)
        write(plate, _word(chance, 2), (8, 62, 26, 22), (240, 240, 240), chance)
        left = 0.11
    right = 0.97
    if chance.random() < 0.15:
        plate[:, round(468 * 0.92) :] = near(BLUE, chance)
        right = 0.91
    _serial_line(plate, chance, left, right, 0.14, 0.86, _pick(DARK[:3], chance))
    return _rimmed(plate, chance)


def _band_above(chance: Generator) -> Picture:
    """Mercosur: a blue band with the country above dark characters."""
    plate = _ground(chance, 400, 130, LIGHT)
    band = round(130 * chance.uniform(0.18, 0.28))
    plate[:band] = near(BLUE, chance, 30)
    write(plate, _word(chance, 8), (120, band * 0.25, 160, max(8, band * 0.5)), (235,) * 3, chance)
    colour = _pick((DARK[0], DARK[0], (140, 30, 35), (30, 70, 150)), chance)
    _serial_line(plate, chance, 0.04, 0.96, band / 130 + 0.08, 0.93, colour)
    return _rimmed(plate, chance)


def _name_above(chance: Generator) -> Picture:
    """Grey, white or coloured, with a place's name in small letters above or below."""
    plate = _ground(chance, 400, 130, ((175, 175, 170), (150, 150, 150), *LIGHT, *VIVID[:1]))
    colour = _pick(DARK[:2], chance)
    below = chance.random() < 0.25
    write(plate, _word(chance, 12), (100, 106 if below else 9, 200, 15), colour, chance)
    top, bottom = (0.1, 0.75) if below else (0.27, 0.92)
    _serial_line(plate, chance, 0.04, 0.96, top, bottom, colour)
    return _rimmed(plate, chance)


def _white_on_black(chance: Generator) -> Picture:
    """Light characters on a dark field, with or without a light rim."""
    width, height = int(chance.choice([300, 400, 468])), int(chance.choice([100, 130]))
    plate = _ground(chance, width, height, LIGHT)
    dark = near(_pick(DARK, chance), chance)
    if chance.random() < 0.5:
        edge, top = round(width * 0.025), round(height * chance.uniform(0.05, 0.25))
        plate[top : height - round(height * 0.12), edge : width - edge] = dark
        _serial_line(plate, chance, 0.06, 0.94, top / height + 0.06, 0.8, _pick(LIGHT, chance))
    else:
        plate[:] = dark
        _serial_line(plate, chance, 0.05, 0.95, 0.14, 0.86, _pick(LIGHT, chance))
    return plate


def _american(chance: Generator) -> Picture:
    """12 × 6 inches: any colour, graphics behind, a state's name above, a motto below."""
    plate = _ground(chance, 300, 150, (*LIGHT, *LIGHT, *VIVID, *DARK[:3]))
    if chance.random() < 0.5:
        _gradient(plate, chance)
    for _ in range(int(chance.integers(0, 4))):
        _graphic(plate, chance)
    dark_ground = float(plate.mean()) < 105
    colour = near(_pick(LIGHT if dark_ground else DARK, chance), chance)
    other = near(_pick((*DARK, *VIVID) if not dark_ground else LIGHT, chance), chance)
    if chance.random() < 0.9:
        length = float(chance.uniform(90, 220))
        high = float(chance.uniform(14, 28))
        write(plate, _word(chance, 9), (150 - length / 2, 7, length, high), other, chance)
    if chance.random() < 0.6:
        length = float(chance.uniform(90, 230))
        write(plate, _word(chance, 14), (150 - length / 2, 128, length, 14), other, chance)
    left = float(chance.uniform(0.03, 0.16))
    _serial_line(plate, chance, left, 1 - left, 0.26, float(chance.uniform(0.72, 0.86)), colour)
    for corner in (16, 264):
        if chance.random() < 0.2:
            plate[118:142, corner : corner + 22] = near(_pick(VIVID, chance), chance)
    if chance.random() < 0.3:
        _dealer_frame(plate, chance)
    return _rimmed(plate, chance)


def _two_lines(chance: Generator) -> Picture:
    """A motorcycle's, or a van's: two short rows."""
    width, height = 220, int(chance.choice([110, 145, 160, 190]))
    plate = _ground(chance, width, height, (*LIGHT, *VIVID[:1], *DARK[:1]))
    colour = _pick(LIGHT if float(plate.mean()) < 105 else DARK, chance)
    top = 0.08
    if chance.random() < 0.4:
        band = round(height * 0.18)
        plate[:band] = near(BLUE, chance, 30)
        write(plate, _word(chance, 7), (60, band * 0.2, 100, band * 0.6), (235,) * 3, chance)
        top = 0.22
    middle = (top + 0.94) / 2
    indent = float(chance.uniform(0.04, 0.25))
    _line(plate, serial(chance, 2, 4), indent, 1 - indent, top, middle - 0.03, colour, chance)
    _line(plate, serial(chance, 3, 5), 0.06, 0.94, middle + 0.03, 0.93, colour, chance)
    return _rimmed(plate, chance)


def _any_shape(chance: Generator) -> Picture:
    """Anything between 1.6 : 1 and 5 : 1."""
    width = 320
    plate = _ground(
        chance, width, round(width / float(chance.uniform(1.6, 5))), (*LIGHT, *VIVID, *DARK)
    )
    colour = _pick(LIGHT if float(plate.mean()) < 105 else DARK, chance)
    top = float(chance.uniform(0.08, 0.3))
    bottom = float(chance.uniform(0.75, 0.92))
    _serial_line(plate, chance, 0.05, 0.95, top, bottom, colour)
    return _rimmed(plate, chance)


_KINDS: tuple[Callable[[Generator], Picture], ...] = (
    _european,
    _band_above,
    _name_above,
    _white_on_black,
    _american,
    _two_lines,
    _any_shape,
)
_SHARES = (0.17, 0.12, 0.13, 0.09, 0.31, 0.1, 0.08)


# ---- parts -----------------------------------------------------------------


def _ground(chance: Generator, width: int, height: int, colours: tuple[Colour, ...]) -> Picture:
    return np.full((height, width, 3), near(_pick(colours, chance), chance), np.uint8)


def _pick(colours: tuple[Colour, ...], chance: Generator) -> Colour:
    return colours[int(chance.integers(len(colours)))]


def _word(chance: Generator, longest: int) -> str:
    return "".join(
        chance.choice(list(LETTERS), int(chance.integers(max(1, longest // 2), longest + 1)))
    )


def _lettering(text: str, chance: Generator) -> Picture:
    """A mask of the text, cut to its strokes: (height, width), 0..255."""
    canvas = np.zeros((110, 90 * len(text) + 60), np.uint8)
    if chance.random() < 0.25:
        thick = int(chance.integers(4, 9))
        cv2.putText(canvas, text, (20, 85), cv2.FONT_HERSHEY_DUPLEX, 2.6, 255, thick, cv2.LINE_AA)
    else:
        font = cv2.FontFace(FONTS[int(chance.integers(len(FONTS)))])
        weight = int(chance.integers(400, 900))
        cv2.putText(canvas, text, (20, 85), 255, font, 70, weight)
    rows, columns = canvas.max(axis=1).nonzero()[0], canvas.max(axis=0).nonzero()[0]
    if not len(rows):
        return np.full((4, 4), 255, np.uint8)
    return canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _serial_line(
    plate: Picture,
    chance: Generator,
    left: float,
    right: float,
    top: float,
    bottom: float,
    colour: Colour,
) -> None:
    _line(plate, serial(chance), left, right, top, bottom, near(colour, chance), chance)


def _line(
    plate: Picture,
    text: str,
    left: float,
    right: float,
    top: float,
    bottom: float,
    colour: Colour,
    chance: Generator,
) -> None:
    """Text between shares of the plate's width and height, its letters not wider than high."""
    height, width = plate.shape[:2]
    high = (bottom - top) * height
    wide = min((right - left) * width, 0.8 * high * len(text))
    middle = (left + right) / 2 * width
    write(plate, text, (middle - wide / 2, top * height, wide, high), colour, chance)


def _rimmed(plate: Picture, chance: Generator) -> Picture:
    height, width = plate.shape[:2]
    thick = int(chance.integers(0, 5))
    if thick:
        shade = near(_pick((*DARK[:2], (120, 120, 120), (235, 235, 235)), chance), chance)
        cv2.rectangle(plate, (1, 1), (width - 2, height - 2), shade, thick)
    return plate


def _gradient(plate: Picture, chance: Generator) -> None:
    """The ground fades into another colour."""
    height, width = plate.shape[:2]
    other = np.array(near(_pick((*LIGHT, *VIVID), chance), chance), float)
    if chance.random() < 0.7:
        ramp = np.linspace(0, 1, height)[:, None, None]
    else:
        ramp = np.linspace(0, 1, width)[None, :, None]
    ramp = ramp ** float(chance.uniform(0.5, 3))
    plate[:] = (plate * (1 - ramp) + other * ramp).astype(np.uint8)


def _graphic(plate: Picture, chance: Generator) -> None:
    """A hill, a sun, a stripe: something that is no letter."""
    height, width = plate.shape[:2]
    shade = near(_pick((*VIVID, *LIGHT, (120, 120, 130)), chance), chance, 40)
    x, y = int(chance.integers(width)), int(chance.integers(height))
    what = chance.random()
    if what < 0.4:
        corners = chance.integers((0, 0), (width, height), (int(chance.integers(3, 6)), 2))
        cv2.fillPoly(plate, [corners.astype(np.int32)], shade, cv2.LINE_AA)
    elif what < 0.7:
        cv2.circle(plate, (x, y), int(chance.integers(8, 45)), shade, -1, cv2.LINE_AA)
    else:
        high = int(chance.integers(4, 40))
        plate[y : y + high] = shade


def _dealer_frame(plate: Picture, chance: Generator) -> None:
    """A frame that hides the plate's edge."""
    height, width = plate.shape[:2]
    shade = near(_pick(((30, 30, 32), (170, 170, 172), (235, 235, 235)), chance), chance)
    thick = int(chance.integers(8, 16))
    cv2.rectangle(plate, (0, 0), (width, height), shade, thick)
    if chance.random() < 0.6:
        deep = int(chance.integers(16, 30))
        plate[height - deep :] = shade
        light = float(np.mean(shade)) < 110
        ink = (220, 220, 220) if light else (30, 30, 30)
        write(plate, _word(chance, 14), (70, height - deep * 0.8, 160, deep * 0.6), ink, chance)


def _bolts(plate: Picture, chance: Generator) -> None:
    height, width = plate.shape[:2]
    shade = near(_pick(((40, 40, 42), (150, 150, 150)), chance), chance)
    for share in (0.22, 0.78):
        for down in (0.07, 0.93)[: int(chance.integers(1, 3))]:
            cv2.circle(plate, (round(width * share), round(height * down)), 4, shade, -1)


def _dirt(plate: Picture, chance: Generator) -> None:
    height, width = plate.shape[:2]
    shade = np.array(near((105, 92, 78), chance, 30), float)
    cloud = cv2.resize(
        chance.random((3, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    alpha = np.clip(cloud - float(chance.uniform(0.3, 0.8)), 0, 0.8)[..., None]
    plate[:] = (plate * (1 - alpha) + shade * alpha).astype(np.uint8)
