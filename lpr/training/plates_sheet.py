"""A flat plate being painted: colour, bands, captions, and the lines that count.

Always true here: colours are RGB; the box of every character of a line is kept in reading order,
so a plate's labels come from the drawing itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from lpr.training.plates_faces import Face, Mask

Colour = tuple[float, float, float]
Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

_CAPTION = "ABCDEFGHIJKLMNOPRSTUVZ"


@dataclass(frozen=True)
class Plate:
    """A drawn plate: picture (height, width, 3) RGB, and a box for each character of `text`."""

    picture: Picture
    text: str
    region: str
    boxes: tuple[Box, ...]


@dataclass
class Sheet:
    """A plate while it is painted: its lines are set in `face`, in the colour `ink`."""

    rng: random.Random
    width: int
    height: int
    ground: Colour
    ink: Colour
    face: Face
    worn: float = 0.0
    text: str = ""
    boxes: list[Box] = field(default_factory=list)
    picture: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.picture = np.empty((self.height, self.width, 3), np.float32)
        self.picture[:] = self.near(self.ground)

    def near(self, colour: Colour, spread: float = 14.0) -> Colour:
        """A colour like `colour`, as sun and dirt leave it."""
        light = self.rng.uniform(-spread, spread)
        r, g, b = (
            min(255.0, max(0.0, part + light + self.rng.uniform(-spread, spread) / 3))
            for part in colour
        )
        return r, g, b

    def band(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A filled rectangle, in shares of the sheet."""
        corner = (round(x * self.width), round(y * self.height))
        far = (round((x + width) * self.width), round((y + height) * self.height))
        cv2.rectangle(self.picture, corner, far, self.near(colour), -1)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle; x, y in shares of the sheet, the radius of its height."""
        centre = (round(x * self.width), round(y * self.height))
        size = max(1, round(radius * self.height))
        cv2.circle(self.picture, centre, size, self.near(colour), -1, cv2.LINE_AA)

    def border(self, colour: Colour, thickness: int = 2) -> None:
        """A line along the plate's edge."""
        far = (self.width - 2, self.height - 2)
        cv2.rectangle(self.picture, (1, 1), far, self.near(colour), thickness, cv2.LINE_AA)

    def caption(
        self, words: str, x: float, y: float, width: float, height: float, colour: Colour | None
    ) -> None:
        """Words that are not the plate's text, set to fill a box in shares of the sheet."""
        letters = [c for c in words.upper() if c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 "]
        step = width * self.width / max(len(letters), 1)
        wide = min(step * 0.85, height * self.height * 0.9)
        left = x * self.width + (width * self.width - step * len(letters)) / 2
        paint = colour or self.ink
        for place, letter in enumerate(letters):
            if letter != " ":
                glyph = self.face.glyph(letter)
                own = wide * min(1.0, 2.2 * glyph.shape[1] / glyph.shape[0])
                at = left + place * step + (wide - own) / 2
                self.stamp(glyph, (at, y * self.height, own, height * self.height), paint)

    def word(self, low: int = 4, high: int = 12) -> str:
        """Letters that could be a caption: a town, a dealer, a motto."""
        length = self.rng.randint(low, high)
        return "".join(self.rng.choice(_CAPTION) for _ in range(length))

    def line(
        self,
        text: str,
        box: Box,
        *,
        emblem: Callable[[Sheet, Box], None] | None = None,
        fixed: bool = False,
    ) -> None:
        """Paints characters over `box` (shares of the sheet) and notes where they stand.

        In `text`, ' ' is a gap, '-' and '.' are painted but don't count, '*' is an emblem.
        """
        x, y, width, height = (
            box[0] * self.width, box[1] * self.height, box[2] * self.width, box[3] * self.height
        )  # fmt: skip
        glyphs = {c: self.face.glyph(c) for c in text if c.isalnum()}
        aspects = sorted(glyph.shape[1] / glyph.shape[0] for glyph in glyphs.values())
        pitch = aspects[-1]
        # Half the plates squeeze their wide letters, as faces made for plates do.
        widest = aspects[len(aspects) // 2] * 1.1 if self.rng.random() < 0.5 else pitch
        natural = []
        for character in text:
            if character in " -.*":
                natural.append(
                    {" ": self.rng.uniform(0.12, 0.4), "-": 0.3, ".": 0.16, "*": 0.42}[character]
                )
            else:
                glyph = glyphs[character]
                natural.append(pitch if fixed else min(widest, glyph.shape[1] / glyph.shape[0]))
        gap = self.rng.uniform(0.08, 0.2)
        total = sum(natural) + gap * (len(text) - 1)
        stretch = min(width / height / total, 1.25)
        at = x + (width - total * stretch * height) / 2
        for character, share in zip(text, natural, strict=True):
            wide = share * stretch * height
            self._set(character, (at, y, wide, height), glyphs, emblem)
            at += wide + gap * stretch * height

    def _set(
        self,
        character: str,
        box: Box,
        glyphs: dict[str, Mask],
        emblem: Callable[[Sheet, Box], None] | None,
    ) -> None:
        x, y, wide, height = box
        if character == "*":
            (emblem or seal)(self, box)
        elif character == "-":
            thick = height * self.rng.uniform(0.08, 0.14)
            self.fill((x, y + height * 0.46, wide, thick), self.ink)
        elif character == ".":
            centre = (round(x + wide / 2), round(y + height * self.rng.choice((0.5, 0.5, 0.92))))
            size = max(1, round(height * self.rng.uniform(0.05, 0.09)))
            cv2.circle(self.picture, centre, size, self.ink, -1, cv2.LINE_AA)
        elif character.isalnum():
            glyph = glyphs[character]
            narrow = min(wide, height * glyph.shape[1] / glyph.shape[0] * 1.2)
            place = (x + (wide - narrow) / 2, y, narrow, height)
            self.stamp(glyph, place, self.ink, worn=self.worn)
            self.text += character
            self.boxes.append(place)

    def fill(self, box: Box, colour: Colour) -> None:
        """A filled rectangle, in pixels."""
        x, y, wide, high = box
        corner, far = (round(x), round(y)), (round(x + wide), round(y + high))
        cv2.rectangle(self.picture, corner, far, colour, -1)

    def stamp(self, mask: Mask, box: Box, colour: Colour, *, worn: float = 0.0) -> None:
        """Paints `colour` through a mask laid over `box` (pixels); what sticks out is cut off."""
        x, y, wide, high = (round(part) for part in box)
        wide, high = max(wide, 2), max(high, 2)
        method = cv2.INTER_AREA if high < mask.shape[0] else cv2.INTER_LINEAR
        scaled = cv2.resize(mask, (wide, high), interpolation=method).astype(np.float32) / 255
        if worn:
            rough = np.random.default_rng(self.rng.getrandbits(32))
            spots = cv2.resize(
                rough.random((max(2, high // 4), max(2, wide // 4)), np.float32), (wide, high)
            )
            scaled *= np.clip((spots - worn) * 8, 0.15, 1)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + wide, self.width), min(y + high, self.height)
        if right <= left or bottom <= top:
            return
        share = scaled[top - y : bottom - y, left - x : right - x, None]
        under = self.picture[top:bottom, left:right]
        under += (np.array(colour, np.float32) - under) * share

    def plate(self, region: str) -> Plate:
        """The finished plate."""
        picture = np.clip(self.picture, 0, 255).astype(np.uint8)
        return Plate(picture, self.text, region, tuple(self.boxes))


def seal(sheet: Sheet, box: Box) -> None:
    """What stands between groups: a coat of arms, an inspection sticker, a star, two discs."""
    x, y, wide, high = box
    rng = sheet.rng
    colour = (rng.uniform(0, 255), rng.uniform(0, 200), rng.uniform(0, 160))
    centre = (round(x + wide / 2), round(y + high / 2))
    size = max(1, round(high * rng.uniform(0.1, 0.2)))
    kind = rng.randrange(4)
    if kind == 0:
        cv2.circle(sheet.picture, centre, size, colour, -1, cv2.LINE_AA)
    elif kind == 1:
        for offset in (-0.27, 0.27):
            at = (centre[0], round(centre[1] + offset * high))
            cv2.circle(sheet.picture, at, max(1, round(high * 0.17)), colour, -1, cv2.LINE_AA)
            cv2.circle(sheet.picture, at, max(1, round(high * 0.06)), (230, 230, 230), -1)
    elif kind == 2:
        narrow = wide * rng.uniform(0.55, 0.8)
        tall = high * rng.uniform(0.25, 0.5)
        place = (x + (wide - narrow) / 2, y + (high - tall) / 2, narrow, tall)
        sheet.fill(place, colour)
        letter = sheet.face.glyph(rng.choice("0123456789"))
        sheet.stamp(letter, (x + wide * 0.4, y + high * 0.42, wide * 0.2, high * 0.16), sheet.ink)
    else:
        sheet.fill((x + wide * 0.2, y + high * 0.4, wide * 0.6, high * 0.08), colour)
        sheet.fill((x + wide * 0.2, y + high * 0.54, wide * 0.6, high * 0.08), colour)


def duplicate(sheet: Sheet, box: Box) -> None:
    """The small letter in a box that says a plate is a second copy."""
    x, y, wide, high = box
    inner = (x + wide * 0.2, y + high * 0.36, wide * 0.6, high * 0.28)
    corner = (round(inner[0]), round(inner[1]))
    far = (round(inner[0] + inner[2]), round(inner[1] + inner[3]))
    cv2.rectangle(sheet.picture, corner, far, sheet.ink, 1)
    small = (inner[0] + inner[2] * 0.25, inner[1] + inner[3] * 0.2, inner[2] * 0.5, inner[3] * 0.6)
    sheet.stamp(sheet.face.glyph(sheet.rng.choice("DTC")), small, sheet.ink)
