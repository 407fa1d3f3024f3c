"""The plates of the United States and of Europe, and plates of nowhere, as drawing instructions.

Always true here: what stands on these plates beside the number (arms, stickers, pictures, mottoes)
is drawn without being read, so that the network learns to pass over it.
"""

from __future__ import annotations

import random

from lpr.training.plates_common import BLACK, BLUE, WHITE, YELLOW, fill, sheet_of, two_lines
from lpr.training.plates_faces import Face
from lpr.training.plates_sheet import Colour, Plate, seal

_US = (
    "AAA~9999", "AAA~999", "999~AAA", "9AAA999", "AA9~A9A", "AA9~A9A", "A99~9999", "AA~9999",
    "99A~999", "9AA~999", "AA~99999", "AAA9999", "999~9999", "A9~9999", "999999", "#######",
    "######", "#####", "A99~99A", "999A99", "AAAAA", "AA~AAAA", "AA999A", "9999~AA",
)  # fmt: skip


def united_states(rng: random.Random, face: Face) -> Plate:
    """A state of the United States."""
    light = (rng.uniform(190, 250), rng.uniform(195, 250), rng.uniform(195, 250))
    ground, ink = light, rng.choice((BLACK, BLACK, (25, 35, 95), (30, 70, 50), (120, 25, 35)))
    if rng.random() < 0.1:
        ground, ink = rng.choice((BLUE, (25, 90, 60), BLACK)), (235, 230, 190)
    sheet = sheet_of(rng, face, rng.uniform(1.75, 2.1), ground, ink, 104)
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
    text = "".join(rng.choice(" **-.") if c == "~" else fill(rng, c) for c in rng.choice(_US))
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


def europe(rng: random.Random, face: Face) -> Plate:
    """A country of Europe."""
    ground = rng.choice((WHITE,) * 6 + (YELLOW, (200, 205, 210)))
    ink = BLACK
    if rng.random() < 0.06:
        ground, ink = BLACK, (230, 225, 200)
    text = "".join(rng.choice(" -*") if c == "~" else fill(rng, c) for c in rng.choice(_EUROPE))
    strip = rng.uniform(0.07, 0.1)
    if rng.random() < 0.08 and len(text) > 5:
        sheet = sheet_of(rng, face, rng.uniform(1.25, 1.6), ground, ink, 110)
        cut = next((i for i, c in enumerate(text) if not c.isalnum()), 3)
        two_lines(sheet, text[:cut], text[cut:].strip(" -*.") or "9", 0.08, 0.92, 0.12)
        return sheet.plate("EU")
    sheet = sheet_of(rng, face, rng.uniform(3.9, 4.9), ground, ink, 72)
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


def anything(rng: random.Random, face: Face) -> Plate:
    """Any characters on any colours."""
    count = rng.choice((4, 5, 6, 6, 7, 7, 7, 8, 9, 10))
    text = fill(rng, "#" * count)
    ground: Colour = (rng.uniform(140, 255), rng.uniform(140, 255), rng.uniform(100, 255))
    ink: Colour = (rng.uniform(0, 70), rng.uniform(0, 70), rng.uniform(0, 90))
    if rng.random() < 0.3:
        ground, ink = ink, ground
    sheet = sheet_of(rng, face, rng.choice((2.0, 2.4, 3.0, 4.5)), ground, ink)
    cut = rng.randint(1, count - 1)
    top = rng.uniform(0.1, 0.3)
    left = rng.uniform(0.02, 0.12)
    box = (left, top, 1 - 2 * left, rng.uniform(0.75, 0.92) - top)
    mark = rng.choice(("", " ", "-", ".", "*"))
    sheet.line(text[:cut] + mark + text[cut:], box, fixed=rng.random() < 0.3)
    return sheet.plate("OTHER")
