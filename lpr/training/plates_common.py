"""What the styles of several countries share: inks, a sheet to start from, numbers in two lines.

Always true here: every choice comes from the random generator handed in.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from lpr.training.plates_faces import Face
from lpr.training.plates_sheet import Colour, Plate, Sheet

WHITE: Colour = (238, 238, 236)
BLACK: Colour = (24, 24, 26)
BLUE: Colour = (30, 60, 145)
YELLOW: Colour = (245, 200, 40)
_FORMS = {"A": string.ascii_uppercase, "9": string.digits, "C": "BCDFGHJKLPRSTVWXYZ"}
_FORMS["#"] = string.ascii_uppercase + string.digits

Style = Callable[[random.Random, Face], Plate]
"""Draws one plate."""


def fill(rng: random.Random, pattern: str) -> str:
    """Random characters for A (letter), C (consonant), 9 (digit), # (either)."""
    return "".join(rng.choice(_FORMS[c]) if c in _FORMS else c for c in pattern)


def sheet_of(
    rng: random.Random, face: Face, shape: float, ground: Colour, ink: Colour, height: int = 84
) -> Sheet:
    """A sheet `shape` times as wide as high; its paint is now and then worn off."""
    worn = rng.uniform(0.1, 0.4) if rng.random() < 0.08 else 0.0
    wide = round(height * shape * rng.uniform(0.95, 1.05))
    sheet = Sheet(rng, wide, height, ground, ink, face, worn)
    sheet.ink = sheet.near(ink, 20)
    return sheet


def two_lines(
    sheet: Sheet, first: str, second: str, top: float, bottom: float, side: float = 0.08
) -> None:
    """Two lines between `top` and `bottom`, at least `side` from the edges (shares)."""
    rng = sheet.rng
    tall = (bottom - top) * rng.uniform(0.43, 0.47)
    narrow = side + rng.uniform(0.0, 0.12)
    sheet.line(first, (narrow, top, 1 - 2 * narrow, tall))
    narrow = side + rng.uniform(0.0, 0.06)
    sheet.line(second, (narrow, bottom - tall, 1 - 2 * narrow, tall))
