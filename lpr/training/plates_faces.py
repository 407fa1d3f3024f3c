"""The letters on drawn plates: faces of our own, made of strokes, and faces of font files.

Always true here: a glyph is a tight mask (uint8, 0..255), the same for the same face and
character; stroke faces need no file, so plates can be drawn on any machine.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

TALL = 72
"""Height of a glyph's mask in pixels; smaller than this it is drawn on hardly any plate."""

# A glyph's strokes in a box of 1 by 1, y downwards: paths apart by ';', 'o' closes a path, '!'
# keeps a corner sharp, '/' separates shapes that real plates use for the same character.
_STROKES = {
    "0": "o 0,0 1,0 1,1 0,1",
    "1": ".1,.22 .75,0! .75,1/.1,.18 .5,0! .5,1;0,1 1,1/.5,0 .5,1/0,0 .5,0! .5,1;0,1 1,1",
    "2": "0,.25 0,0 1,0 1,.45 0,1! 1,1",
    "3": "0,.2 0,0 .96,0 .96,.47 .35,.47!;.35,.47! 1,.47 1,1 0,1 0,.8"
    "/0,0! 1,0! .45,.42! 1,.42 1,1 0,1 0,.8",
    "4": ".9,1 .9,0! 0,.76! 1,.76/.75,1 .75,0! 0,.7! 1,.7"
    "/.2,0 0,.68! 1,.68;.7,.36 .7,1/.5,0 0,.7! 1,.7;.7,.45 .7,1",
    "5": "1,0 .06,0! 0,.43! 1,.43 1,1 0,1 0,.8",
    "6": "1,.2 1,0 0,0 0,1 1,1 1,.44 0,.44/.75,0 0,.62 0,1 1,1 1,.48 .1,.48",
    "7": "0,0 1,0! .35,1/0,.14! 0,0! 1,0! .45,.55 .42,1/0,0 1,0! 1,.2 .4,.6 .4,1",
    "8": "o .05,0 .95,0 .95,.47 .05,.47;o 0,.47 1,.47 1,1 0,1",
    "9": "0,.8 0,1 1,1 1,0 0,0 0,.56 1,.56/.25,1 1,.38 1,0 0,0 0,.52 .9,.52",
    "A": "0,1 .5,0! 1,1;.2,.7 .8,.7/0,1 .36,0 .64,0 1,1;.15,.7 .85,.7/0,1 0,0 1,0 1,1;0,.6 1,.6",
    "B": "o 0,0! .93,0 .93,.47 0,.47!;o 0,.47! 1,.47 1,1 0,1!",
    "C": "1,.24 1,0 0,0 0,1 1,1 1,.76",
    "D": "o 0,0! 1,0 1,1 0,1!",
    "E": "1,0 0,0! 0,1! 1,1;0,.48 .86,.48",
    "F": "1,0 0,0! 0,1;0,.48 .86,.48",
    "G": "1,.24 1,0 0,0 0,1 1,1 1,.55! .55,.55/1,.24 1,0 0,0 0,1 1,1! 1,.58! .5,.58",
    "H": "0,0 0,1;1,0 1,1;0,.48 1,.48",
    "I": ".5,0 .5,1/0,0 1,0;.5,0 .5,1;0,1 1,1/.5,0 .5,1",
    "J": "1,0 1,1 0,1 0,.74/.4,0 1,0! 1,1 0,1 0,.74",
    "K": "0,0 0,1;1,0 0,.6;.32,.4 1,1",
    "L": "0,0 0,1! 1,1",
    "M": "0,1 0,0! .5,.6! 1,0! 1,1/0,1 0,0! .5,.4! 1,0! 1,1/0,1 .08,0! .5,.75! .92,0! 1,1"
    "/0,1 0,0! .5,.5! 1,0! 1,1/0,1 0,0! .5,.95! 1,0! 1,1",
    "N": "0,1 0,0! 1,1! 1,0",
    "O": "o 0,0 1,0 1,1 0,1",
    "P": "0,1 0,0! 1,0 1,.53 0,.53",
    "Q": "o 0,0 1,0 1,1 0,1;.55,.7 1.02,1.06/o 0,0 1,0 1,1 0,1;.6,.66 .75,1.1",
    "R": "0,1 0,0! 1,0 1,.5 0,.5;.5,.5 1,1",
    "S": "1,.22 1,0 0,0 0,.47 1,.5 1,1 0,1 0,.78",
    "T": "0,0 1,0;.5,0 .5,1",
    "U": "0,0 0,1 1,1 1,0",
    "V": "0,0 .5,1! 1,0",
    "W": "0,0 .22,1! .5,.35! .78,1! 1,0/0,0 .05,1! .5,.55! .95,1! 1,0/0,0 .25,1! .5,0! .75,1! 1,0"
    "/0,0 0,1! .5,.5! 1,1! 1,0/0,0 .15,1! .5,.45! .85,1! 1,0",
    "X": "0,0 1,1;1,0 0,1",
    "Y": ".5,1 .5,.52! 0,0;.5,.52 1,0",
    "Z": "0,0 1,0! 0,1! 1,1",
}


class Face(Protocol):
    """Something to write plates with."""

    def glyph(self, character: str) -> Mask:
        """The mask of one of A-Z 0-9, TALL high or nearly so."""
        ...


class StrokeFace:
    """A face drawn with a round pen along _STROKES; the seed chooses its proportions.

    `shapes` holds characters to some of their shapes in _STROKES (by place), as the faces do that a
    country makes its plates with; such a face is also as wide in M and W as elsewhere.
    """

    def __init__(self, seed: int, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        rng = random.Random(seed)  # noqa: S311  drawing, not secrets
        self.aspect = rng.uniform(0.44, 0.68)
        self.pen = rng.uniform(0.1, min(0.185, 0.31 * self.aspect))
        self.radius = rng.choice((rng.uniform(0.18, 0.4), rng.uniform(0.35, 0.5)))
        self._bar = rng.uniform(-0.05, 0.04)
        self._choices = {c: rng.randrange(12) for c in _STROKES}
        # Faces made for plates squeeze M and W into the width of the others; others don't.
        self._wide = rng.uniform(0.95, 1.05 if shapes else 1.25)
        self._choices |= {c: rng.choice(those) for c, those in (shapes or {}).items()}
        self._narrow_o = rng.uniform(0.84, 1.0)
        self._made: dict[str, Mask] = {}

    def glyph(self, character: str) -> Mask:
        """See Face."""
        if character not in self._made:
            self._made[character] = self._draw(character)
        return self._made[character]

    def _draw(self, character: str) -> Mask:
        shapes = _STROKES[character].split("/")
        shape = shapes[self._choices[character] % len(shapes)]
        pen = max(3, round(TALL * self.pen))
        wide = TALL * self.aspect * (self._wide if character in "MW" else 1.0)
        if character == "0":
            wide *= self._narrow_o
        if character in "1I":
            wide *= 0.62
        if shape == ".5,0 .5,1":
            wide = float(pen)
        span = np.array([max(wide - pen, 0.0), TALL - pen])
        picture = np.zeros((TALL + 24, round(wide) + 40), np.uint8)
        for path in shape.split(";"):
            closed = path.startswith("o ")
            spots, sharp = [], []
            for point in path.removeprefix("o ").split():
                x, y = (float(part) for part in point.rstrip("!").split(","))
                y += self._bar if 0.3 < y < 0.7 else 0.0
                spots.append(np.array([x, y]) * span + 12 + pen / 2)
                sharp.append(point.endswith("!"))
            line = _rounded(spots, sharp, closed, self.radius * max(wide, TALL * 0.3))
            cv2.polylines(
                picture, [np.round(line * 8).astype(np.int32)], closed, 255, pen, cv2.LINE_AA, 3
            )
        return _tight(picture)


class FileFace:
    """A font file (TTF, OTF or WOFF). Needs Pillow."""

    def __init__(self, path: Path) -> None:
        from PIL import ImageFont

        self._font = ImageFont.truetype(str(path), TALL + 28)
        self._made: dict[str, Mask] = {}

    def glyph(self, character: str) -> Mask:
        """See Face."""
        from PIL import Image, ImageDraw

        if character not in self._made:
            picture = Image.new("L", (3 * TALL, 3 * TALL))
            ImageDraw.Draw(picture).text((TALL // 2, TALL // 2), character, 255, self._font)
            self._made[character] = _tight(np.asarray(picture))
        return self._made[character]


def faces_in(folder: Path | None) -> list[Face]:
    """The faces of every font file in `folder`, by name; none without a folder."""
    if folder is None or not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.suffix in {".ttf", ".otf", ".woff"})
    return [FileFace(path) for path in files]


def _tight(picture: Mask) -> Mask:
    rows, columns = np.nonzero(picture > 40)
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].copy()


def _rounded(
    spots: list[NDArray[np.float64]], sharp: list[bool], closed: bool, radius: float
) -> NDArray[np.float64]:
    """The path with its corners, but the sharp ones, cut by quadratic curves."""
    line: list[NDArray[np.float64]] = []
    for place, spot in enumerate(spots):
        inner = closed or 0 < place < len(spots) - 1
        if not inner or sharp[place]:
            line.append(spot)
            continue
        before, after = spots[place - 1], spots[(place + 1) % len(spots)]
        start = spot + (before - spot) * _share(radius, spot, before)
        end = spot + (after - spot) * _share(radius, spot, after)
        line.extend(
            (1 - t) ** 2 * start + 2 * t * (1 - t) * spot + t * t * end
            for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        )
    return np.array(line)


def _share(radius: float, spot: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    length = float(np.linalg.norm(other - spot))
    return min(0.5, radius / max(length, 1e-6))
