"""From a picture to what was read in it: the detector's boxes, the OCR's readings, our rules.

Always true here: at most one candidate a place, best first; what the rules refuse is no read. A
text of letters alone or of digits alone is taken for a sign unless OCR and detector are both sure,
because shop fronts, the numbers of buses and a camera's own clock are what a detector falls for,
and few plates are like that; in a picture that stands alone, a text that may be such a one, or is
very short, has to be so much surer as it may; the name of a make or model (badges.csv) never is a
plate. A plate that reaches the left or right edge of a picture is left out: part of it may be
outside, and what is left of a plate reads as another one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from lpr.calibration import Calibration
from lpr.detector import Detector
from lpr.interpretation import Interpreter
from lpr.ocr import Recogniser
from lpr.reading import NOTHING, Box, Candidate, Detection, Picture, Reading, Sight

CROP_WIDTH = 240
"""A picture narrower than this is a plate's crop, and goes straight to the OCR."""
WIDE_CROP, PLATE_SHAPE = 2 * CROP_WIDTH, 1.7
"""A picture narrower than the one, and at least so much wider than high, may still be a plate's
crop: it is read whole too, and what is surer counts."""
NO_SIGN = 0.56
"""Confidence times detector's score that a text of letters or digits alone needs."""
DOUBTED = 0.295
"""Confidence times detector's score under which a single picture gives no read."""
SHORT = 4
"""Characters up to which a text in a single picture is taken for a sign like one of letters."""
OF_ONE_KIND = 0.5
"""What such a text's rank is multiplied by."""
DIGITS = 10
"""Columns of a posterior that are digits, the first ones."""
LONGEST = 12
"""Characters a plate has at most."""
SMALLEST = 6.0
"""Pixels of height under which nothing can be read."""
EDGE = 0.25
"""How near a plate may be to the left or right edge, as a share of its height."""
AROUND = 0.5
"""What is kept around a plate for people's eyes, as a share of its height."""
PICTURE_BYTES = 256 * 1024
"""The protocol's limit of a picture."""


@cache
def badges() -> frozenset[str]:
    """Names of makes and models as they stand on vehicles, normalised like plates."""
    return frozenset((Path(__file__).parent / "badges.csv").read_text("ascii").split()[1:])


@dataclass(frozen=True)
class Rules:
    """What counts as a plate."""

    min_confidence: float = 0.3
    min_length: int = 4
    letters_only: bool = False

    def plausible(self, reading: Reading, score: float = 0.0) -> bool:
        """Whether the text can be a plate, however sure it is.

        score: the detector's; 1 for a picture that is a plate. Text and detector must both be sure
        of a plate of letters or digits alone.
        """
        if not self.long_enough(reading):
            return False
        if self.usual(reading):
            return True
        return reading.confidence * score >= NO_SIGN and reading.plate not in badges()

    def usual(self, reading: Reading) -> bool:
        """Whether plates are of such characters."""
        return not reading.plate.isdigit() and (self.letters_only or not reading.plate.isalpha())

    def odd(self, reading: Reading) -> float:
        """How likely it is a text that few plates are like, 0..1: of one kind, or very short.

        TAX0 may well be TAXI, however much likelier formats make it the former.
        """
        if len(reading.plate) <= SHORT or not self.usual(reading):
            return 1.0
        letters, digits = (
            float(reading.posterior[:, kind].sum(axis=1).prod())
            for kind in (slice(DIGITS, NOTHING), slice(DIGITS))
        )
        return min(1.0, digits + (0.0 if self.letters_only else letters))

    def long_enough(self, reading: Reading) -> bool:
        """Whether the text has as many characters as plates have."""
        return self.min_length <= len(reading.plate) <= LONGEST

    def accept(self, reading: Reading, score: float = 0.0) -> bool:
        """Whether it is a read."""
        return self.plausible(reading, score) and reading.confidence >= self.min_confidence


@dataclass(frozen=True)
class Seen:
    """What came of a picture that stands alone: its reads, and where a plate was looked for."""

    reads: list[Candidate]
    boxes: list[Box]


class Eye:
    """A detector and an OCR model that work together."""

    def __init__(
        self,
        detector: Detector,
        recogniser: Recogniser,
        rules: Rules,
        *,
        places: int = 10,
        countries: Sequence[str] = (),
    ) -> None:
        self._detector = detector
        self._recogniser = recogniser
        self._interpreter = Interpreter(Calibration.of(recogniser.name), countries)
        self._places = places
        self.rules = rules

    @property
    def model(self) -> str:
        """The OCR model's name."""
        return self._recogniser.name

    def read(self, picture: Picture) -> list[Candidate]:
        """The reads of a picture that stands alone, best first, each plate once."""
        return self.see(picture).reads

    def see(self, picture: Picture) -> Seen:
        """The same, with the places that were looked at."""
        height, width = picture.shape[:2]
        if width < CROP_WIDTH:
            return self.plate(picture)
        seen = self.look(picture)
        boxes, best = [one.box for one in seen], seen[:1]
        if width < WIDE_CROP and width >= PLATE_SHAPE * height:
            whole = self.crop(picture)
            if not best or self._rank(whole[0]) > self._rank(best[0]):
                return Seen(self._accepted(whole), boxes)
        return Seen(self._accepted(seen), boxes)

    def plate(self, picture: Picture) -> Seen:
        """The read of a picture that is known to be a plate's crop."""
        return Seen(self._accepted(self.crop(picture)), [])

    def crop(self, picture: Picture) -> list[Candidate]:
        """The reading of a picture that is a plate."""
        sight = Sight.of(picture)
        reading = self._interpreter.interpret(self._recogniser.read([sight])[0])
        return [Candidate(reading, sight.box, 1.0, picture, sharpness(picture))]

    def look(self, picture: Picture) -> list[Candidate]:
        """The best reading at each place that may be a plate, whatever the rules say."""
        seen = self.read_at(picture, self.places(picture))
        return sorted((one for one in seen if one is not None), key=self._rank, reverse=True)

    def places(self, picture: Picture) -> list[list[Detection]]:
        """Where the OCR should look, best first; at each place the boxes to choose from.

        A place is left out where any of its boxes is cut off: the others may just be too narrow.
        """
        places = []
        for place in self._detector.find(picture)[: self._places]:
            large = [one for one in place if one.box.height >= SMALLEST]
            if large and not any(_cut_off(one.box, picture) for one in large):
                places.append(large)
        return places

    def read_at(
        self, picture: Picture, places: Sequence[Sequence[Detection]]
    ) -> list[Candidate | None]:
        """The best reading at each place, in their order; None where there is nothing to cut."""
        boxes = [(number, one) for number, place in enumerate(places) for one in place]
        seen = [
            (number, one, Sight(picture, one.box))
            for number, one in boxes
            if one.box.cut(picture).size
        ]
        said = self._recogniser.read([sight for _, _, sight in seen])
        readings = self._interpreter.interpret_all(said)
        rivals: list[list[Candidate]] = [[] for _ in places]
        for (number, one, sight), reading in zip(seen, readings, strict=True):
            around = sight.crop(AROUND).copy()
            candidate = Candidate(reading, one.box, one.score, around, sharpness(sight.crop()))
            rivals[number].append(candidate)
        return [self._settled(inside) if inside else None for inside in rivals]

    def _settled(self, rivals: list[Candidate]) -> Candidate:
        """The place's reading: the plate that most stands for among boxes that are nearly alike.

        The surest reading alone may be that of a box which cut a character off.
        """
        support: dict[str, float] = defaultdict(float)
        for one in rivals:
            support[one.reading.plate] += self._rank(one)
        return max(rivals, key=lambda one: (support[one.reading.plate], self._rank(one)))

    def _accepted(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that are reads, each plate once.

        A confidence takes it that there is a plate. Where the detector doubts that, and no second
        frame can tell, the read is doubted as much.
        """
        reads: dict[str, Candidate] = {}
        for candidate in candidates:
            reading, score = candidate.reading, candidate.score
            if not self.rules.accept(reading, score):
                continue
            needed = DOUBTED + (NO_SIGN - DOUBTED) * self.rules.odd(reading)
            if reading.confidence * score >= needed:
                reads.setdefault(reading.plate, candidate)
        return list(reads.values())

    def _rank(self, candidate: Candidate) -> float:
        """How likely it is to be the plate; a text without a digit is half as likely to be one."""
        reading = candidate.reading
        if not self.rules.long_enough(reading):
            return 0.0
        usual = 1.0 if self.rules.usual(reading) else OF_ONE_KIND
        return reading.confidence * candidate.score * usual


def _cut_off(box: Box, picture: Picture) -> bool:
    """Whether part of a plate may be outside; not where it fills the picture, as a close-up."""
    width, margin = picture.shape[1], EDGE * box.height
    return 2 * box.width < width and (box.x < margin or box.x + box.width > width - margin)


def sharpness(crop: Picture) -> float:
    """Grows with detail and with size; comparable among crops of one vehicle."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    return float(np.var(cv2.Laplacian(grey, cv2.CV_32F))) * float(crop.shape[0])


def jpeg(crop: Picture) -> bytes:
    """The crop as a JPEG within the protocol's limit; empty where it can't be made."""
    picture = crop
    for quality in (90, 80, 70, 60):
        made, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if made and len(data) <= PICTURE_BYTES:
            return bytes(np.asarray(data).tobytes())
        scale = min(1.0, 640 / picture.shape[1])
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale), np.uint8)
    return b""
