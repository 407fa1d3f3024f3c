"""Vehicles that pass a checkpoint: real pictures, as they are and in worse states, and their reads.

    passages    makes them          misses, believed    what became of them

Always true here: a read is what `lpr` would send of the picture, its plate, confidence and
posterior; what the plate really is stands beside it; a seed and a picture's name give the same
states again; nothing is written.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import numpy as np
from numpy.random import Generator

from lpr.camera import load_picture
from lpr.evaluation import Labelled, Sameness, distance
from lpr.pipeline import WIDE_CROP, Eye
from lpr.reading import CapturedRead, Picture, to_plate_read
from proto.ring.v1.ingest_pb2 import PlateRead
from ring.confusion import CHARACTERS
from ring.likelihood import LEAST, plausible
from ring.policy import Policy
from ring.reads import judge

NARROWEST, WIDEST = 60.0, 200.0
"""Pixels of a plate's width in a worse state, where it has as many."""
SMEAR = 0.035
"""How far a plate moves while the shutter is open, at most, as a share of its width."""
DARKEST, NOISIEST, ROUGHEST = 0.3, 12.0, 25
"""Light that is left, noise of the picture's 255 levels, quality of the JPEG."""
WRONG_LABELS = {"br/FZB9581.jpg": "FBZ9581"}
"""What is on the plate where the manifest says something else."""
SAME = Sameness(["eu:O0,I1"])
"""Labels of European pictures mix these."""

_AT = datetime(2026, 5, 4, 8, tzinfo=UTC)


class Passage(NamedTuple):
    """A vehicle before the camera, once. read: None where nothing was read.

    picture: the file's name. state: 0 as it is, else the number of a worse one.
    """

    picture: str
    group: str
    state: int
    plate: str
    read: PlateRead | None

    def is_plate(self, text: str) -> bool:
        """Whether it is the vehicle's plate, as far as the label tells."""
        return SAME.fold(text, self.group) == SAME.fold(self.plate, self.group)

    def apart(self) -> int:
        """Characters to change, leave out or add from what was read to the plate."""
        read = self.read.plate if self.read else ""
        return distance(SAME.fold(read, self.group), SAME.fold(self.plate, self.group))


def passages(eye: Eye, labelled: Sequence[Labelled], states: int, seed: int) -> Iterator[Passage]:
    """Each picture as it is, then in `states` worse ones, state by state.

    A picture's first read counts, as in `lpr evaluate`.
    """
    for state in range(states + 1):
        for one in labelled:
            picture = load_picture(one.path)
            assert picture is not None, one.path
            name = f"{one.group}/{one.path.name}"
            if state:
                chance = np.random.default_rng((seed, state, crc32(name.encode())))
                picture = worse(picture, one, chance)
            plate = WRONG_LABELS.get(name, one.plate)
            yield Passage(name, one.group, state, plate, _read(eye, picture))


def near(plate: str) -> set[str]:
    """Every text that one character changed, left out or added makes of a plate, and itself."""
    cuts = [(plate[:place], plate[place:]) for place in range(len(plate) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    for character in CHARACTERS:
        found |= {left + character + right for left, right in cuts}
        found |= {left + character + right[1:] for left, right in cuts if right}
    return found


def misses(seen: Sequence[Passage], threshold: float) -> dict[str, int]:
    """Why listed vehicles are missed at a threshold, and how many exact matching misses."""
    found: Counter[str] = Counter()
    for one in seen:
        read = one.read
        if read is None:
            found["no read"] += 1
        elif not one.is_plate(read.plate):
            said = max((s for p, s in plausible(read).items() if one.is_plate(p)), default=0.0)
            apart = one.apart()
            if said > threshold:
                found["found by ours"] += 1
            elif said:
                found["a likely plate, but not enough"] += 1
            elif apart > 2:
                found["something else was read"] += 1
            elif len(read.plate) != len(one.plate):
                found["unlikely: characters missed or added"] += 1
            else:
                found[f"unlikely: {apart} wrong"] += 1
        elif read.confidence < Policy().confidence_floor:
            found["right, but under the default floor"] += 1
    return dict(found.most_common())


def believed(seen: Sequence[Passage]) -> list[dict[str, Any]]:
    """Whether probabilities mean what they say: of plates given so much, the share that was it."""
    edges = (LEAST, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 0.95, 1.0)
    said = [
        (share, plate == one.read.plate, one.is_plate(plate))
        for one in seen
        if one.read is not None
        for plate, share in plausible(one.read).items()
    ]
    rows = []
    for chosen in (False, True):
        for low, high in pairwise(edges):
            inside = [(s, true) for s, best, true in said if best == chosen and low <= s < high]
            if inside:
                mean = sum(s for s, _ in inside) / len(inside)
                rows.append(
                    {
                        "plates": "read" if chosen else "others",
                        "from": low,
                        "to": high,
                        "count": len(inside),
                        "said": round(mean, 3),
                        "true": round(sum(true for _, true in inside) / len(inside), 3),
                    }
                )
    return rows


def worse(picture: Picture, labelled: Labelled, chance: Generator) -> Picture:
    """The picture from farther away, and every second time smeared, dark and noisy, compressed."""
    width = picture.shape[1]
    plate = labelled.box.width if labelled.box else float(width)
    # A scene stays too wide to be taken for a plate's crop.
    least = 1.0 if labelled.kind == "crop" else min(1.0, WIDE_CROP / width)
    wanted = float(np.exp(chance.uniform(np.log(NARROWEST), np.log(WIDEST))))
    scale = wanted / plate if labelled.kind == "crop" else max(wanted / plate, least)
    if scale < 1.0:
        picture = np.asarray(
            cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        plate *= scale
    smeared, dark, compressed = chance.random(3) < 0.5
    if smeared:
        picture = _smeared(picture, float(chance.uniform(0.2, 1.0)) * SMEAR * plate, chance)
    if dark:
        light = picture * np.float32(chance.uniform(DARKEST, 0.9))
        noise = chance.standard_normal(picture.shape, np.float32)
        light += noise * np.float32(chance.uniform(1, NOISIEST))
        picture = np.clip(light, 0, 255).astype(np.uint8)
    if compressed:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(chance.integers(ROUGHEST, 80))]
        written = cv2.imencode(".jpg", picture, quality)[1]
        picture = np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _smeared(picture: Picture, length: float, chance: Generator) -> Picture:
    """Moved by so many pixels while the shutter was open, mostly across."""
    side = 2 * int(np.ceil(length / 2 + 1)) + 1
    stroke = np.zeros((side * 8, side * 8), np.float32)
    angle = chance.normal(0, 0.35)
    way = np.array([np.cos(angle), np.sin(angle)]) * length * 4
    middle = np.array([side * 4, side * 4])
    start, end = (np.round(middle + sign * way).astype(int) for sign in (-1, 1))
    cv2.line(stroke, tuple(map(int, start)), tuple(map(int, end)), 1.0, thickness=8)
    kernel = cv2.resize(stroke, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _read(eye: Eye, picture: Picture) -> PlateRead | None:
    seen = eye.read(picture)
    if not seen:
        return None
    best = seen[0]
    read = to_plate_read(CapturedRead("", _AT, best.reading, best.box, best.crop))
    reason = judge(read)
    assert reason is None, reason
    return PlateRead.FromString(read.SerializeToString())
