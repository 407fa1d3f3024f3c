"""What the stages hand to each other: pictures, boxes, readings.

Always true here: pictures are uint8 (height, width, 3) in OpenCV's BGR order; boxes are
(x, y, width, height) in pixels of the picture they came from; a posterior is a float32 matrix
(positions, 37) over ALPHABET whose rows sum to 1. Nothing in this module does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datetime import datetime

    from proto.ring.v1.ingest_pb2 import PlateRead

Picture: TypeAlias = NDArray[np.uint8]
Posterior: TypeAlias = NDArray[np.float32]

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
"""Columns of a posterior; the last one means "no character here"."""
NOTHING = len(ALPHABET) - 1

KEPT_CANDIDATES = 6
"""Characters kept a position on the wire, as far as each has at least KEPT_PROBABILITY."""
KEPT_PROBABILITY = 0.002
KEPT_POSITIONS = 16
"""The protocol's limit of positions in a posterior."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.width * self.height + other.width * other.height - shared)

    def grown(self, share: float, within: Picture) -> Box:
        """Wider and higher by `share` of the height on every side, cut at the picture's edge."""
        margin = share * self.height
        height, width = within.shape[:2]
        left, top = max(0.0, self.x - margin), max(0.0, self.y - margin)
        right = min(float(width), self.x + self.width + margin)
        bottom = min(float(height), self.y + self.height + margin)
        return Box(left, top, max(0.0, right - left), max(0.0, bottom - top))

    def cut(self, picture: Picture) -> Picture:
        """The part of the picture inside the box; may be empty."""
        left, top = max(0, round(self.x)), max(0, round(self.y))
        right, bottom = round(self.x + self.width), round(self.y + self.height)
        return picture[top : max(top, bottom), left : max(left, right)]

    def rounded(self) -> tuple[int, int, int, int]:
        """Whole pixels, as they are printed."""
        return round(self.x), round(self.y), round(self.width), round(self.height)


@dataclass(frozen=True)
class Detection:
    """Where a plate may be, and the detector's score (0..1, no probability)."""

    box: Box
    score: float


@dataclass(frozen=True)
class Sight:
    """Where to read: a picture, and where a plate is in it."""

    picture: Picture
    box: Box

    @classmethod
    def of(cls, crop: Picture) -> Sight:
        """A picture that is a plate."""
        height, width = crop.shape[:2]
        return cls(crop, Box(0, 0, width, height))

    def crop(self, margin: float = 0.0) -> Picture:
        """The plate with `margin` of its height around it, as far as the picture goes."""
        return self.box.grown(margin, self.picture).cut(self.picture)


@dataclass(frozen=True)
class Reading:
    """What the OCR makes of one crop.

    plate: A-Z 0-9, may be empty. confidence: 0..1, the product of the best probability at each
    position, those that hold no character included. region: ISO 3166-1 alpha-2, or empty.
    regions: the model's own say on the country, probabilities that sum to at most 1; empty where
    it has none.
    """

    plate: str
    confidence: float
    posterior: Posterior
    region: str = ""
    regions: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, posterior: Posterior, region: str = "", regions: Mapping[str, float] | None = None
    ) -> Reading:
        """The likeliest reading of a posterior."""
        regions = regions or {}
        if not len(posterior):
            return cls("", 0.0, posterior, region, regions)
        best = posterior.argmax(axis=1)
        plate = "".join(ALPHABET[column] for column in best if column != NOTHING)
        sure = min(1.0, float(posterior.max(axis=1).prod()))
        return cls(plate, sure, posterior, region, regions)


@dataclass(frozen=True)
class Candidate:
    """A reading at its place in a picture, with what is needed to choose among several."""

    reading: Reading
    box: Box
    score: float
    crop: Picture
    sharpness: float = 0.0


Way: TypeAlias = Literal["", "entry", "exit"]
"""Into the ring or out of it; empty: as the reader is registered."""


@dataclass(frozen=True)
class CapturedRead:
    """One vehicle's read, ready for the spool."""

    source: str
    captured_at: datetime
    reading: Reading
    box: Box
    crop: Picture
    direction: Way = ""


def to_plate_read(read: CapturedRead, *, lane: str = "", crop_sha256: bytes = b"") -> PlateRead:
    """The read as it goes over the wire, but for its sequence, which the spool gives."""
    from proto.ring.v1.common_pb2 import Direction
    from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead

    message = PlateRead(
        plate=read.reading.plate,
        confidence=read.reading.confidence,
        region=read.reading.region,
        lane=lane,
        direction=Direction.Value(f"DIRECTION_{(read.direction or 'unspecified').upper()}"),
        crop_sha256=crop_sha256,
    )
    message.captured_at.FromDatetime(read.captured_at)
    rows = read.reading.posterior
    last = len(rows)
    while last and int(rows[last - 1].argmax()) == NOTHING:
        last -= 1
    for row in rows[:last] if last <= KEPT_POSITIONS else rows[:0]:
        best = row.argsort()[::-1][:KEPT_CANDIDATES]
        kept = [column for column in best if row[column] >= KEPT_PROBABILITY] or [best[0]]
        message.posterior.append(
            CharacterCandidates(
                characters="".join(ALPHABET[column] for column in kept),
                probabilities=[min(1.0, round(float(row[column]), 4)) for column in kept],
            )
        )
    return message
