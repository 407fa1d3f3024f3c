"""The plates of Latin America, as drawing instructions: formats, proportions, colours, clutter.

Always true here: the text of a plate is in a format that its country uses.
"""

from __future__ import annotations

import random
from functools import cache

from lpr.training.plates_common import (
    BLACK,
    BLUE,
    WHITE,
    YELLOW,
    Style,
    fill,
    sheet_of,
    two_lines,
)
from lpr.training.plates_faces import Face, StrokeFace
from lpr.training.plates_sheet import Colour, Plate, Sheet, duplicate, seal

_STAMPED = {"1": (1, 3), "4": (0, 0, 1), "J": (0,), "M": (0, 1, 3), "W": (1, 3, 4), "A": (0, 1)}
"""Shapes of the first Argentine series, by place in a stroke face's choice."""


@cache
def _stamped(seed: int) -> Face:
    return StrokeFace(seed, _STAMPED)


def _own_face(rng: random.Random, face: Face) -> Face:
    """Three in four Argentine plates are set in what resembles their own face."""
    return _stamped(rng.randrange(200)) if rng.random() < 0.75 else face


def argentina_old(rng: random.Random, face: Face) -> Plate:
    """Argentina until 2016: white on black, ABC 123."""
    face = _own_face(rng, face)
    sheet = sheet_of(rng, face, rng.uniform(2.1, 2.4), rng.choice((WHITE, (190, 190, 190))), WHITE)
    top, bottom = rng.uniform(0.18, 0.27), rng.uniform(0.76, 0.9)
    side = rng.uniform(0.015, 0.05)
    dark = rng.choice((BLACK, BLACK, (45, 45, 50), (70, 70, 72)))
    sheet.band(side, top, 1 - 2 * side, bottom - top, dark)
    sheet.caption("ARGENTINA", 0.28, top * 0.25, 0.44, top * 0.5, sheet.near((120, 130, 150), 50))
    for x in (0.2, 0.8):
        sheet.disc(x, top * 0.5, 0.03, rng.choice((BLACK, (140, 140, 140))))
        sheet.band(x - 0.03, (1 + bottom) / 2 - 0.02, 0.06, 0.04, BLACK)
    if rng.random() < 0.15:
        sheet.caption(sheet.word(5, 10), 0.3, bottom + 0.03, 0.4, (1 - bottom) * 0.6, BLACK)
    text = fill(rng, "AAA999")
    mark = rng.choice((" ", " ", "  ", "*"))
    pad = (bottom - top) * rng.uniform(0.05, 0.15)
    left = side + rng.uniform(0.01, 0.035)
    box = (left, top + pad, 1 - 2 * left, bottom - top - 2 * pad)
    sheet.line(text[:3] + mark + text[3:], box, emblem=duplicate)
    return sheet.plate("AR")


def _mercosur_band(sheet: Sheet, country: str, depth: float) -> None:
    sheet.band(0, 0, 1, depth, BLUE)
    wide = 0.045 * len(country)
    light = sheet.near((225, 228, 235), 25)
    sheet.caption(country, 0.5 - wide / 2, depth * 0.25, wide, depth * 0.5, light)
    if sheet.rng.random() < 0.8:
        flag = sheet.rng.choice(((200, 225, 245), (40, 150, 70), (200, 60, 60), (235, 235, 235)))
        sheet.band(sheet.rng.choice((0.9, 0.9, 0.03)), depth * 0.18, 0.06, depth * 0.64, flag)


def _ink_of_use(rng: random.Random) -> Colour:
    """Mercosur inks: private black, hire red, official blue, diplomatic gold, collector grey."""
    return rng.choice((BLACK,) * 8 + ((170, 30, 35), BLUE, (150, 120, 40), (120, 125, 130)))


def argentina(rng: random.Random, face: Face) -> Plate:
    """Argentina since 2016, Mercosur: AB 123 CD."""
    face = _own_face(rng, face)
    sheet = sheet_of(rng, face, rng.uniform(2.9, 3.2), WHITE, _ink_of_use(rng))
    depth = rng.uniform(0.2, 0.27)
    _mercosur_band(sheet, "REPUBLICA ARGENTINA", depth)
    text = fill(rng, "AA999AA")
    if rng.random() < 0.4:  # the series issued so far begin so
        text = "A" + text[1:]
    top = depth + rng.uniform(0.05, 0.11)
    left = rng.uniform(0.025, 0.07)
    box = (left, top, 1 - 2 * left, rng.uniform(0.87, 0.93) - top)
    sheet.line(f"{text[:2]} {text[2:5]} {text[5:]}", box)
    if rng.random() < 0.6:
        sheet.border(BLACK)
    return sheet.plate("AR")


def argentina_motorcycle(rng: random.Random, face: Face) -> Plate:
    """Argentine motorcycles, both series, in two lines."""
    if rng.random() < 0.5:
        sheet = sheet_of(rng, face, rng.uniform(1.15, 1.4), WHITE, BLACK, 120)
        _mercosur_band(sheet, "ARGENTINA", 0.18)
        text = fill(rng, "A999AAA")
        two_lines(sheet, text[:4], text[4:], 0.24, 0.94)
        return sheet.plate("AR")
    sheet = sheet_of(rng, face, rng.uniform(1.3, 1.75), WHITE, WHITE, 110)
    sheet.band(0.03, 0.14, 0.94, 0.8, BLACK)
    text = fill(rng, "999AAA")
    two_lines(sheet, text[:3], text[3:], 0.19, 0.9, rng.uniform(0.1, 0.22))
    return sheet.plate("AR")


def brazil_old(rng: random.Random, face: Face) -> Plate:
    """Brazil until 2018: grey, ABC-1234, the town above."""
    ground, ink = rng.choice(
        (((185, 185, 182), BLACK),) * 3
        + (((210, 210, 205), BLACK), ((235, 225, 190), BLACK), ((170, 190, 200), BLACK))
        + (((165, 35, 40), WHITE),)
    )
    text = fill(rng, "AAA9999")
    if rng.random() < 0.15:
        sheet = sheet_of(rng, face, rng.uniform(1.1, 1.3), ground, ink, 116)
        sheet.caption(f"SP {sheet.word()}", 0.15, 0.05, 0.7, 0.1, None)
        two_lines(sheet, text[:3], text[3:], 0.2, 0.93)
        return sheet.plate("BR")
    sheet = sheet_of(rng, face, rng.uniform(2.7, 3.1), ground, ink)
    town = sheet.word(2, 2) + " " + sheet.word(5, 13)
    sheet.caption(town, 0.22, rng.uniform(0.08, 0.14), 0.56, rng.uniform(0.09, 0.14), None)
    if rng.random() < 0.4:
        sheet.disc(rng.uniform(0.05, 0.15), rng.uniform(0.1, 0.22), 0.05, (190, 40, 40))
    top = rng.uniform(0.28, 0.36)
    left = rng.uniform(0.02, 0.07)
    box = (left, top, 1 - 2 * left, rng.uniform(0.82, 0.92) - top)
    sheet.line(text[:3] + rng.choice("..- ") + text[3:], box)
    if rng.random() < 0.5:
        sheet.border(ink)
    return sheet.plate("BR")


def brazil(rng: random.Random, face: Face) -> Plate:
    """Brazil since 2018, Mercosur: ABC1D23."""
    text = fill(rng, "AAA9A99")
    if rng.random() < 0.2:
        sheet = sheet_of(rng, face, rng.uniform(1.1, 1.3), WHITE, _ink_of_use(rng), 116)
        _mercosur_band(sheet, "BRASIL", 0.2)
        two_lines(sheet, text[:3], text[3:], 0.26, 0.94)
        return sheet.plate("BR")
    sheet = sheet_of(rng, face, rng.uniform(2.9, 3.2), WHITE, _ink_of_use(rng))
    depth = rng.uniform(0.2, 0.27)
    _mercosur_band(sheet, "BRASIL", depth)
    top = depth + rng.uniform(0.05, 0.1)
    left = rng.uniform(0.03, 0.12)
    box = (left, top, 0.97 - left, rng.uniform(0.88, 0.94) - top)
    sheet.line(text[:3] + rng.choice(("", " ")) + text[3:], box)
    if rng.random() < 0.4:
        sheet.caption("BR", 0.02, 0.8, 0.05, 0.1, None)
    return sheet.plate("BR")


def _mercosur_like(country: str, region: str, patterns: tuple[str, ...]) -> Style:
    """Uruguay and Paraguay: a blue band and groups; the motorcycles in two lines."""

    def draw(rng: random.Random, face: Face) -> Plate:
        groups = rng.choice(patterns).split(" ")
        texts = [fill(rng, group) for group in groups]
        if rng.random() < 0.15:
            sheet = sheet_of(rng, face, rng.uniform(1.15, 1.4), WHITE, BLACK, 116)
            _mercosur_band(sheet, country, 0.2)
            two_lines(sheet, texts[0], texts[1], 0.26, 0.94)
            return sheet.plate(region)
        sheet = sheet_of(rng, face, rng.uniform(2.8, 3.2), WHITE, _ink_of_use(rng))
        depth = rng.uniform(0.18, 0.26)
        _mercosur_band(sheet, country, depth)
        top = depth + rng.uniform(0.05, 0.1)
        left = rng.uniform(0.03, 0.08)
        sheet.line(" ".join(texts), (left, top, 1 - 2 * left, rng.uniform(0.88, 0.94) - top))
        return sheet.plate(region)

    return draw


def _captioned(
    region: str,
    captions: tuple[str, ...],
    patterns: tuple[str, ...],
    grounds: tuple[Colour, ...],
    shapes: tuple[float, float],
    below: float,
) -> Style:
    """Groups with a small caption above or below them (`below`: how often below)."""

    def draw(rng: random.Random, face: Face) -> Plate:
        ink = rng.choice((BLACK, BLACK, (20, 70, 50), (110, 30, 40), BLUE))
        sheet = sheet_of(rng, face, rng.uniform(*shapes), rng.choice(grounds), ink)
        words = rng.choice(captions) or sheet.word()
        tall = rng.uniform(0.09, 0.15)
        under = rng.random() < below
        sheet.caption(words, 0.28, 0.82 if under else 0.06, 0.44, tall, None)
        if rng.random() < 0.4:
            sheet.caption(sheet.word(), 0.3, 0.05 if under else 0.86, 0.4, tall * 0.8, None)
        if rng.random() < 0.3:
            tint = (rng.uniform(40, 255), rng.uniform(40, 255), rng.uniform(40, 255))
            sheet.band(0, 0, rng.uniform(0.1, 1), rng.uniform(0.08, 0.2), tint)
        text = "".join(
            rng.choice(" -.*") if c == "~" else fill(rng, c) for c in rng.choice(patterns)
        )
        top, bottom = (0.13, 0.78) if under else (0.26, 0.93)
        top += rng.uniform(0, 0.06)
        left = rng.uniform(0.025, 0.08)
        box = (left, top, 1 - 2 * left, bottom - rng.uniform(0, 0.06) - top)
        sheet.line(text, box, emblem=seal, fixed=rng.random() < 0.2)
        if rng.random() < 0.5:
            sheet.border(ink)
        return sheet.plate(region)

    return draw


_PALE: tuple[Colour, ...] = (WHITE, WHITE, (215, 228, 220), (240, 232, 220), (225, 225, 240))
COLOMBIA = _captioned(
    "CO", ("", "BOGOTA D C"), ("AAA~999", "AAA~999", "AAA999", "AAA99A"),
    (YELLOW, YELLOW, (250, 215, 70), WHITE), (2.0, 2.2), 1.0,
)  # fmt: skip
CHILE = _captioned(
    "CL", ("CHILE",), ("CCCC.99", "CC.CC.99", "CCCC~99", "AA~9999", "AA.99.99", "CCCCC9"),
    (WHITE, WHITE, (245, 200, 60)), (2.5, 2.8), 1.0,
)  # fmt: skip
BOLIVIA = _captioned(
    "BO", ("BOLIVIA",), ("9999~AAA", "9999AAA", "9999-AAA", "999~AAA"), (WHITE,), (2.0, 2.7), 0.4
)
MEXICO = _captioned(
    "MX", ("",), ("AAA-999-A", "AAA-99-99", "AA-99-999", "A99-AAA", "999-AAA", "AA-9999-A"),
    _PALE, (1.9, 2.1), 0.15,
)  # fmt: skip
URUGUAY = _mercosur_like("URUGUAY", "UY", ("AAA 9999", "SAA 9999", "AAA 999"))
PARAGUAY = _mercosur_like("PARAGUAY", "PY", ("AAAA 999", "AAA 999", "999 AAAA", "AAAA 999"))
