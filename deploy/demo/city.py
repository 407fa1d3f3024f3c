"""A made-up city, the same for the same seed: who drives past which checkpoint, and what is read.

Residents leave in the morning and commuters come; visitors stay an hour or four, couriers come
and go all day. Now and then a passage is missed, a plate misread, a read faint. Nothing here
knows of gRPC: what is seen is a list, so that others can say what must come of it.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

HERE = Path(__file__).parent
ZONE = "America/Argentina/Buenos_Aires"
CAMERA_CHECKPOINT = "RI-12"
"""Where the picture reader stands, alone."""
CAMERA_READER = "RI-12-camera"
PICTURE_PLATE = "AB384WM"
"""On the hotlist, and driving past the camera only."""
PASSAGE_GAP = timedelta(seconds=60)

_VEHICLES = 1_500
_MISSED, _MISREAD, _FAINT = 0.02, 0.02, 0.01
_CONFUSED = dict(zip("0O1I8B5S2ZMNUV", "O0I1B8S5Z2NMVU", strict=True))
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Seen:
    """One read by one reader. direction: entry or exit. A plate may be misread, or no plate."""

    captured_at: datetime
    reader_id: str
    checkpoint: str
    direction: str
    plate: str
    confidence: float


def checkpoint_codes() -> list[str]:
    """Along the ring, from the river clockwise round to its other end."""
    with (HERE / "checkpoints.csv").open(encoding="utf-8", newline="") as file:
        return [row["code"] for row in csv.DictReader(file)]


def hotlist_entries() -> list[dict[str, str]]:
    """The rows of hotlist.csv."""
    with (HERE / "hotlist.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reader_rows() -> Iterator[tuple[str, str, str, str]]:
    """(reader_id, checkpoint, lane, direction): one reader each way, and the picture reader."""
    for code in checkpoint_codes():
        if code == CAMERA_CHECKPOINT:
            yield CAMERA_READER, code, "1", "entry"
        else:
            yield f"{code}-in", code, "1", "entry"
            yield f"{code}-out", code, "2", "exit"


class City:
    """Vehicles with habits. Every draw comes from the seed, in a fixed order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._gates = [code for code in checkpoint_codes() if code != CAMERA_CHECKPOINT]
        self._wanted = [row["plate"] for row in hotlist_entries()]
        self._wanted.remove(PICTURE_PLATE)
        plates: dict[str, None] = {}
        while len(plates) < _VEHICLES:
            plate = self._plate()
            if plate not in self._wanted:
                plates[plate] = None
        self._plates = list(plates)

    def day(self, day: date) -> list[Seen]:
        """What the readers of a whole day in the city's own time see, in order of capture."""
        midnight = datetime.combine(day, time(), ZoneInfo(ZONE))
        seen: list[Seen] = []
        for number, plate in enumerate(self._plates):
            for hour, gate, direction in self._journey(number):
                seen.extend(self._passage(plate, midnight + timedelta(hours=hour), gate, direction))
        for plate in self._wanted:
            for hour, gate, direction in self._visits(self._chance.randint(1, 2)):
                seen.extend(self._passage(plate, midnight + timedelta(hours=hour), gate, direction))
        # Not every sign is a plate: these must be rejected, and stay on record.
        for hour, text in ((9.2, "ESCUELA DE CONDUCTORES"), (13.7, "?"), (17.1, "")):
            gate = self._chance.choice(self._gates)
            at = midnight + timedelta(hours=hour)
            seen.append(Seen(at, f"{gate}-in", gate, "entry", text, 0.31))
        return sorted(seen, key=lambda read: (read.captured_at, read.reader_id))

    def live(self) -> Iterator[tuple[float, list[Seen]]]:
        """For ever: (seconds to wait, what is seen then), captured now."""
        while True:
            wanted = self._chance.random() < 0.02
            plate = self._chance.choice(self._wanted if wanted else self._plates)
            gate = self._chance.choice(self._gates)
            direction = self._chance.choice(("entry", "exit"))
            now = datetime.now(ZoneInfo(ZONE))
            yield self._chance.expovariate(2.0), self._passage(plate, now, gate, direction)[:1]

    def _plate(self) -> str:
        if self._chance.random() < 0.6:
            front = "A" + self._chance.choice(_LETTERS[:8])
            return f"{front}{self._chance.randrange(1000):03d}{self._letters(2)}"
        first = self._chance.choice("DEFGHIJKLMNOP")
        return f"{first}{self._letters(2)}{self._chance.randrange(1000):03d}"

    def _letters(self, count: int) -> str:
        return "".join(self._chance.choices(_LETTERS, k=count))

    def _journey(self, number: int) -> list[tuple[float, str, str]]:
        """(hour, gate, direction) of a vehicle's day."""
        chance = self._chance
        kind = number % 20
        home = chance.choice(self._gates)
        if kind < 10:  # a commuter, by the same gate mostly
            back = home if chance.random() < 0.8 else chance.choice(self._gates)
            return [
                (chance.gauss(8, 0.8), home, "entry"),
                (min(23.5, chance.gauss(18, 1)), back, "exit"),
            ]
        if kind < 14:  # a resident who works outside
            return [
                (max(4.0, chance.gauss(7.5, 0.8)), home, "exit"),
                (min(23.5, chance.gauss(18.5, 1)), home, "entry"),
            ]
        if kind < 19:
            return self._visits(1)
        return self._visits(chance.randint(2, 4))  # a courier

    def _visits(self, count: int) -> list[tuple[float, str, str]]:
        journey = []
        each = 14 / count
        for visit in range(count):
            enters = 7 + visit * each + self._chance.uniform(0, each / 3)
            leaves = enters + self._chance.uniform(0.5, each / 2)
            journey.append((enters, self._chance.choice(self._gates), "entry"))
            journey.append((leaves, self._chance.choice(self._gates), "exit"))
        return journey

    def _passage(self, plate: str, at: datetime, gate: str, direction: str) -> list[Seen]:
        """The reads of one vehicle that drives past: none where it is missed."""
        chance = self._chance
        reads = 0 if chance.random() < _MISSED else chance.choice((1, 1, 1, 2, 2, 3))
        reader = f"{gate}-{'in' if direction == 'entry' else 'out'}"
        seen = []
        for number in range(reads):
            captured = at + timedelta(milliseconds=round(700 * number + chance.uniform(0, 500)))
            text, confidence = plate, round(chance.uniform(0.8, 0.99), 3)
            draw = chance.random()
            if draw < _MISREAD:
                text, confidence = self._misread(plate), round(chance.uniform(0.4, 0.7), 3)
            elif draw < _MISREAD + _FAINT:
                confidence = round(chance.uniform(0.15, 0.45), 3)
            seen.append(Seen(captured, reader, gate, direction, text, confidence))
        return seen

    def _misread(self, plate: str) -> str:
        places = [place for place, letter in enumerate(plate) if letter in _CONFUSED]
        if not places:
            return plate[:-1]
        place = self._chance.choice(places)
        return plate[:place] + _CONFUSED[plate[place]] + plate[place + 1 :]


def is_plate(text: str) -> bool:
    """Whether the ring takes it: [A-Z0-9]{2,12}."""
    return 2 <= len(text) <= 12 and text.isascii() and text.isalnum() and text.upper() == text


def expected_hits(seen: Iterable[Seen], floor: float = 0.5) -> list[tuple[datetime, str, str]]:
    """(second of capture, plate, checkpoint) of every hit that the hotlist must give, sorted."""
    ends = {row["plate"]: row["expires_at"] for row in hotlist_entries()}
    return sorted(
        (read.captured_at.replace(microsecond=0), read.plate, read.checkpoint)
        for read in seen
        if read.plate in ends
        and read.confidence >= floor
        and (
            not ends[read.plate] or read.captured_at.date() <= date.fromisoformat(ends[read.plate])
        )
    )


def count_passages(seen: Sequence[Seen]) -> int:
    """Runs of reads of a plate at a checkpoint and direction, each soon after the one before."""
    last: dict[tuple[str, str, str], datetime] = {}
    passages = 0
    for read in sorted(seen, key=lambda read: read.captured_at):
        if not is_plate(read.plate):
            continue
        key = (read.plate, read.checkpoint, read.direction)
        before = last.get(key)
        passages += before is None or read.captured_at - before > PASSAGE_GAP
        last[key] = read.captured_at
    return passages
