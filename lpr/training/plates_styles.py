"""The plates of each country, as drawing instructions: formats, proportions, colours, clutter.

Always true here: a style draws from the random generator it is handed and from nothing else, so a
seed gives the same plate; the text of the plate is one of the formats that the country uses.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from lpr.training.plates_faces import Face
from lpr.training.plates_sheet import Colour, Plate, Sheet, duplicate, seal

WHITE: Colour = (238, 238, 236)
BLACK: Colour = (24, 24, 26)
BLUE: Colour = (30, 60, 145)
YELLOW: Colour = (245, 200, 40)
_FORMS = {"A": string.ascii_uppercase, "9": string.digits, "C": "BCDFGHJKLPRSTVWXYZ"}
_FORMS["#"] = string.ascii_uppercase + string.digits

Style = Callable[[random.Random, Face], Plate]


def _fill(rng: random.Random, pattern: str) -> str:
    """Random characters for A (letter), C (consonant), 9 (digit), # (either)."""
    return "".join(rng.choice(_FORMS[c]) if c in _FORMS else c for c in pattern)


def _sheet(
    rng: random.Random, face: Face, shape: float, ground: Colour, ink: Colour, height: int = 84
) -> Sheet:
    worn = rng.uniform(0.1, 0.4) if rng.random() < 0.08 else 0.0
    wide = round(height * shape * rng.uniform(0.95, 1.05))
    sheet = Sheet(rng, wide, height, ground, ink, face, worn)
    sheet.ink = sheet.near(ink, 20)
    return sheet


def _argentina_old(rng: random.Random, face: Face) -> Plate:
    sheet = _sheet(rng, face, rng.uniform(2.1, 2.4), rng.choice((WHITE, (190, 190, 190))), WHITE)
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
    text = _fill(rng, "AAA999")
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


def _argentina(rng: random.Random, face: Face) -> Plate:
    sheet = _sheet(rng, face, rng.uniform(2.9, 3.2), WHITE, _ink_of_use(rng))
    depth = rng.uniform(0.2, 0.27)
    _mercosur_band(sheet, "REPUBLICA ARGENTINA", depth)
    text = _fill(rng, "AA999AA")
    if rng.random() < 0.4:  # the series issued so far begin so
        text = "A" + text[1:]
    top = depth + rng.uniform(0.05, 0.11)
    left = rng.uniform(0.025, 0.07)
    box = (left, top, 1 - 2 * left, rng.uniform(0.87, 0.93) - top)
    sheet.line(f"{text[:2]} {text[2:5]} {text[5:]}", box)
    if rng.random() < 0.6:
        sheet.border(BLACK)
    return sheet.plate("AR")


def _two_lines(
    sheet: Sheet, first: str, second: str, top: float, bottom: float, side: float = 0.08
) -> None:
    rng = sheet.rng
    tall = (bottom - top) * rng.uniform(0.43, 0.47)
    narrow = side + rng.uniform(0.0, 0.12)
    sheet.line(first, (narrow, top, 1 - 2 * narrow, tall))
    narrow = side + rng.uniform(0.0, 0.06)
    sheet.line(second, (narrow, bottom - tall, 1 - 2 * narrow, tall))


def _argentina_motorcycle(rng: random.Random, face: Face) -> Plate:
    if rng.random() < 0.5:
        sheet = _sheet(rng, face, rng.uniform(1.15, 1.4), WHITE, BLACK, 120)
        _mercosur_band(sheet, "ARGENTINA", 0.18)
        text = _fill(rng, "A999AAA")
        _two_lines(sheet, text[:4], text[4:], 0.24, 0.94)
        return sheet.plate("AR")
    sheet = _sheet(rng, face, rng.uniform(1.3, 1.75), WHITE, WHITE, 110)
    sheet.band(0.03, 0.14, 0.94, 0.8, BLACK)
    text = _fill(rng, "999AAA")
    _two_lines(sheet, text[:3], text[3:], 0.19, 0.9, rng.uniform(0.1, 0.22))
    return sheet.plate("AR")


def _brazil_old(rng: random.Random, face: Face) -> Plate:
    ground, ink = rng.choice(
        (((185, 185, 182), BLACK),) * 3
        + (((210, 210, 205), BLACK), ((235, 225, 190), BLACK), ((170, 190, 200), BLACK))
        + (((165, 35, 40), WHITE),)
    )
    text = _fill(rng, "AAA9999")
    if rng.random() < 0.15:
        sheet = _sheet(rng, face, rng.uniform(1.1, 1.3), ground, ink, 116)
        sheet.caption(f"SP {sheet.word()}", 0.15, 0.05, 0.7, 0.1, None)
        _two_lines(sheet, text[:3], text[3:], 0.2, 0.93)
        return sheet.plate("BR")
    sheet = _sheet(rng, face, rng.uniform(2.7, 3.1), ground, ink)
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


def _brazil(rng: random.Random, face: Face) -> Plate:
    text = _fill(rng, "AAA9A99")
    if rng.random() < 0.2:
        sheet = _sheet(rng, face, rng.uniform(1.1, 1.3), WHITE, _ink_of_use(rng), 116)
        _mercosur_band(sheet, "BRASIL", 0.2)
        _two_lines(sheet, text[:3], text[3:], 0.26, 0.94)
        return sheet.plate("BR")
    sheet = _sheet(rng, face, rng.uniform(2.9, 3.2), WHITE, _ink_of_use(rng))
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
        texts = [_fill(rng, group) for group in groups]
        if rng.random() < 0.15:
            sheet = _sheet(rng, face, rng.uniform(1.15, 1.4), WHITE, BLACK, 116)
            _mercosur_band(sheet, country, 0.2)
            _two_lines(sheet, texts[0], texts[1], 0.26, 0.94)
            return sheet.plate(region)
        sheet = _sheet(rng, face, rng.uniform(2.8, 3.2), WHITE, _ink_of_use(rng))
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
        sheet = _sheet(rng, face, rng.uniform(*shapes), rng.choice(grounds), ink)
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
            rng.choice(" -.*") if c == "~" else _fill(rng, c) for c in rng.choice(patterns)
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


_US = (
    "AAA~9999", "AAA~999", "999~AAA", "9AAA999", "AA9~A9A", "AA9~A9A", "A99~9999", "AA~9999",
    "99A~999", "9AA~999", "AA~99999", "AAA9999", "999~9999", "A9~9999", "999999", "#######",
    "######", "#####", "A99~99A", "999A99", "AAAAA", "AA~AAAA", "AA999A", "9999~AA",
)  # fmt: skip


def _united_states(rng: random.Random, face: Face) -> Plate:
    light = (rng.uniform(190, 250), rng.uniform(195, 250), rng.uniform(195, 250))
    ground, ink = light, rng.choice((BLACK, BLACK, (25, 35, 95), (30, 70, 50), (120, 25, 35)))
    if rng.random() < 0.1:
        ground, ink = rng.choice((BLUE, (25, 90, 60), BLACK)), (235, 230, 190)
    sheet = _sheet(rng, face, rng.uniform(1.75, 2.1), ground, ink, 104)
    for top, far in ((0.0, 0.3), (0.7, 1.0)):
        if rng.random() < 0.35:  # scenery, in bands that fade
            tint = (rng.uniform(60, 250), rng.uniform(80, 250), rng.uniform(90, 250))
            steps = 6
            for step in range(steps):
                share = (step + 1) / steps if top else 1 - step / steps
                mixed = [a + (b - a) * share * 0.8 for a, b in zip(ground, tint, strict=True)]
                depth = (far - top) / steps
                sheet.band(0, top + step * depth, 1, depth, (mixed[0], mixed[1], mixed[2]))
    name = rng.choice(((200, 40, 40), (30, 50, 140), ink, ink, (110, 60, 120)))
    sheet.caption(
        sheet.word(4, 11), 0.25, rng.uniform(0.04, 0.1), 0.5, rng.uniform(0.11, 0.19), name
    )
    if rng.random() < 0.7:
        sheet.caption(sheet.word(6, 18), 0.2, rng.uniform(0.84, 0.9), 0.6, 0.09, name)
    for x in (0.04, 0.84):
        if rng.random() < 0.45:
            tint = (rng.uniform(150, 250), rng.uniform(40, 220), rng.uniform(40, 90))
            sheet.band(x, rng.choice((0.05, 0.05, 0.8)), 0.11, 0.13, tint)
    text = "".join(rng.choice(" **-.") if c == "~" else _fill(rng, c) for c in rng.choice(_US))
    top = rng.uniform(0.25, 0.34)
    left = rng.uniform(0.02, 0.1)
    if rng.random() < 0.2:  # a picture before the number: a cactus, a fruit, a badge
        tint = (rng.uniform(60, 200), rng.uniform(40, 150), rng.uniform(30, 160))
        for _ in range(rng.randint(1, 4)):
            place = (rng.uniform(0.06, 0.1), rng.uniform(0.4, 0.65))
            sheet.disc(*place, rng.uniform(0.05, 0.14), tint)
        left = rng.uniform(0.14, 0.19)
    box = (left, top, 0.97 - left, rng.uniform(0.7, 0.84) - top)
    sheet.line(text, box, emblem=seal, fixed=rng.random() < 0.35)
    if rng.random() < 0.4:
        sheet.border(ink)
    return sheet.plate("US")


_EUROPE = (
    "A-AA~9999", "AA-A~999", "AAA-AA~99", "AA~999AA", "AA~999AA", "AA*999AA", "9A9*9999",
    "AA~99999", "AAA~9999", "A-99-AAA", "AA-99-AAA", "AA99~AAA", "AA-999-AA", "9999~CCC",
    "AAA-999", "99-AAA-9", "AAA~999", "AA~9999", "AA~999-AA", "A-AAAAA", "AA*AAAAA", "AAA*99-99",
    "AA-AAA", "9A9~9999", "AA~AA999", "999~AAA", "A999~AAA", "AAAAAAA", "99~AA~99",
)  # fmt: skip


def _europe(rng: random.Random, face: Face) -> Plate:
    ground = rng.choice((WHITE,) * 6 + (YELLOW, (200, 205, 210)))
    ink = BLACK
    if rng.random() < 0.06:
        ground, ink = BLACK, (230, 225, 200)
    text = "".join(rng.choice(" -*") if c == "~" else _fill(rng, c) for c in rng.choice(_EUROPE))
    strip = rng.uniform(0.07, 0.1)
    if rng.random() < 0.08 and len(text) > 5:
        sheet = _sheet(rng, face, rng.uniform(1.25, 1.6), ground, ink, 110)
        cut = next((i for i, c in enumerate(text) if not c.isalnum()), 3)
        _two_lines(sheet, text[:cut], text[cut:].strip(" -*.") or "9", 0.08, 0.92, 0.12)
        return sheet.plate("EU")
    sheet = _sheet(rng, face, rng.uniform(3.9, 4.9), ground, ink, 72)
    left = rng.uniform(0.02, 0.05)
    if rng.random() < 0.72:
        sheet.band(0, 0, strip, 1, rng.choice((BLUE, BLUE, (40, 90, 190), (90, 130, 200))))
        sheet.disc(strip / 2, 0.3, 0.13, (150, 160, 120))
        code = sheet.word(1, 3)
        sheet.caption(code, strip * 0.2, 0.66, strip * 0.6, 0.18, sheet.near((220, 220, 220)))
        left += strip
    elif rng.random() < 0.7:  # arms and a country code on the white, as Slovakia's older ones
        tint = (rng.uniform(40, 220), rng.uniform(20, 140), rng.uniform(40, 180))
        sheet.disc(0.05, rng.uniform(0.3, 0.42), rng.uniform(0.12, 0.19), tint)
        sheet.disc(0.05, rng.uniform(0.3, 0.42), 0.06, (230, 230, 230))
        sheet.caption(sheet.word(2, 3), 0.025, 0.65, 0.05, rng.uniform(0.14, 0.22), None)
        left = rng.uniform(0.09, 0.12)
    if rng.random() < 0.2:
        sheet.caption(sheet.word(), 0.3, 0.93, 0.4, 0.05, None)
    top = rng.uniform(0.1, 0.18)
    sheet.line(text, (left, top, 0.97 - left, rng.uniform(0.83, 0.92) - top), emblem=seal)
    if rng.random() < 0.6:
        sheet.border(ink)
    return sheet.plate("EU")


def _anything(rng: random.Random, face: Face) -> Plate:
    count = rng.choice((4, 5, 6, 6, 7, 7, 7, 8, 9, 10))
    text = _fill(rng, "#" * count)
    ground: Colour = (rng.uniform(140, 255), rng.uniform(140, 255), rng.uniform(100, 255))
    ink: Colour = (rng.uniform(0, 70), rng.uniform(0, 70), rng.uniform(0, 90))
    if rng.random() < 0.3:
        ground, ink = ink, ground
    sheet = _sheet(rng, face, rng.choice((2.0, 2.4, 3.0, 4.5)), ground, ink)
    cut = rng.randint(1, count - 1)
    top = rng.uniform(0.1, 0.3)
    left = rng.uniform(0.02, 0.12)
    box = (left, top, 1 - 2 * left, rng.uniform(0.75, 0.92) - top)
    mark = rng.choice(("", " ", "-", ".", "*"))
    sheet.line(text[:cut] + mark + text[cut:], box, fixed=rng.random() < 0.3)
    return sheet.plate("OTHER")


_PALE: tuple[Colour, ...] = (WHITE, WHITE, (215, 228, 220), (240, 232, 220), (225, 225, 240))
_COLOMBIA = _captioned(
    "CO", ("", "BOGOTA D C"), ("AAA~999", "AAA~999", "AAA999", "AAA99A"),
    (YELLOW, YELLOW, (250, 215, 70), WHITE), (2.0, 2.2), 1.0,
)  # fmt: skip
_CHILE = _captioned(
    "CL", ("CHILE",), ("CCCC.99", "CC.CC.99", "CCCC~99", "AA~9999", "AA.99.99", "CCCCC9"),
    (WHITE, WHITE, (245, 200, 60)), (2.5, 2.8), 1.0,
)  # fmt: skip
_BOLIVIA = _captioned(
    "BO", ("BOLIVIA",), ("9999~AAA", "9999AAA", "9999-AAA", "999~AAA"), (WHITE,), (2.0, 2.7), 0.4
)
_MEXICO = _captioned(
    "MX", ("",), ("AAA-999-A", "AAA-99-99", "AA-99-999", "A99-AAA", "999-AAA", "AA-9999-A"),
    _PALE, (1.9, 2.1), 0.15,
)  # fmt: skip
_URUGUAY = _mercosur_like("URUGUAY", "UY", ("AAA 9999", "SAA 9999", "AAA 999"))
_PARAGUAY = _mercosur_like("PARAGUAY", "PY", ("AAAA 999", "AAA 999", "999 AAAA", "AAAA 999"))

STYLES: dict[str, tuple[tuple[float, Style], ...]] = {
    "AR": ((12.0, _argentina_old), (11.0, _argentina), (3.0, _argentina_motorcycle)),
    "BR": ((10.0, _brazil_old), (7.0, _brazil)),
    "UY": ((3.0, _URUGUAY),),
    "PY": ((3.0, _PARAGUAY),),
    "CL": ((4.0, _CHILE),),
    "BO": ((2.5, _BOLIVIA),),
    "CO": ((4.5, _COLOMBIA),),
    "MX": ((5.0, _MEXICO),),
    "US": ((15.0, _united_states),),
    "EU": ((12.0, _europe),),
    "OTHER": ((6.0, _anything),),
}
"""For each region of plates_labels.REGIONS, its styles, each with how often it is drawn."""


def draw(rng: random.Random, face: Face, region: str | None = None) -> Plate:
    """A plate of `region`, or of any, as often as STYLES says."""
    regions = STYLES if region is None else {region: STYLES[region]}
    weighted = [pair for styles in regions.values() for pair in styles]
    style = rng.choices([s for _, s in weighted], [w for w, _ in weighted])[0]
    return style(rng, face)
