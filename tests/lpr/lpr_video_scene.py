"""A checkpoint seen from a gantry: a seeded road with vehicles, drawn frame by frame; the truth.

Always true here: the same seed draws the same frames; metres are on a flat road seen by one pinhole
camera, so that plates grow, are blurred and hide behind one another as they do on a real one; what
a reader should say is known for each vehicle.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lpr.reading import Box, Picture

WIDTH, HEIGHT = 1280, 720
FOCAL, HORIZON, CAMERA = 2600.0, -300.0, 4.5
"""Pixels, pixels, metres above the road."""
NEAR, FAR = 10.6, 32.0
"""Metres between which a plate is in the picture."""
LANE, KERB = 1.75, -4.4
"""Metres beside the middle: of the lanes (towards: right, away: left), and of those who park."""
PLATE, PLATE_UP, LENGTH = (0.40, 0.13), 0.6, 4.4
"""Metres: a plate's size and height, a vehicle's length."""
FONT = cv2.FontFace("sans")
FORMATS = ("LLNNNLL", "LLNNNLL", "LLLNNN", "LLLNLNN", "LLLNNNN", "LLLLNN")
FACE = 420
"""Pixels that a vehicle's face is drawn wide, before it is scaled."""
FACE_SIZE = (1.8, 1.5)
"""Metres."""


@dataclass
class Vehicle:
    """One vehicle. Times in seconds of the scene; speed in m/s, towards the camera if positive."""

    plate: str
    towards: bool
    enters: float
    speed: float
    beside: float
    parked: float = 0.0
    """Seconds that it stands, if it does."""
    stands_at: float = 20.0
    colour: tuple[int, int, int] = (60, 50, 45)
    dirt: float = 0.0
    face: Picture = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8), repr=False)

    @property
    def direction(self) -> str:
        """As the reader should say; empty for who never moves."""
        return "" if self.parked and not self.speed else "entry" if self.towards else "exit"

    def distance(self, seconds: float) -> float:
        """Metres from the camera to its plate."""
        if not self.speed:
            return self.stands_at
        run = max(0.0, seconds - self.enters) * self.speed
        start, sign = (FAR, -1) if self.towards else (NEAR, 1)
        before = abs(self.stands_at - start)
        if self.parked and run > before:
            run = max(before, run - self.parked * self.speed)
        return start + sign * run

    @property
    def leaves(self) -> float:
        if not self.speed:
            return self.enters + self.parked
        return self.enters + (FAR - NEAR) / self.speed + self.parked

    def box(self, seconds: float) -> Box:
        """Where its plate is in the picture."""
        z = self.distance(seconds)
        x, y = project(self.beside, PLATE_UP, z)
        width, height = FOCAL * PLATE[0] / z, FOCAL * PLATE[1] / z
        return Box(x - width / 2, y - height / 2, width, height)


def project(beside: float, up: float, z: float) -> tuple[float, float]:
    return WIDTH / 2 + FOCAL * beside / z, HORIZON + FOCAL * (CAMERA - up) / z


class Checkpoint:
    """A scene: `vehicles` and what the camera sees of them.

    Every twelfth vehicle stands for a while at the stop line, every fourth follows the one before
    bumper to bumper; one in 50 is parked at the kerb while the others go by. The last part of the
    scene is at night. every: seconds between cars that do not follow each other; drawn: whether
    there are to be pictures.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int,
        rate: float = 12.0,
        night: float = 0.35,
        every: float = 1.6,
        drawn: bool = True,
    ) -> None:
        self.rate = rate
        self._drawn = drawn
        self._chance = np.random.default_rng(seed)
        self.vehicles: list[Vehicle] = []
        self._fill(count, every)
        self.seconds = max(one.leaves for one in self.vehicles) + 1.5
        self.night_from = self.seconds * (1 - night)
        if not drawn:
            return
        self._road = self._background()
        self._grain = [
            self._chance.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(4)
        ]

    # ---- who comes ---------------------------------------------------------

    def _fill(self, count: int, every: float) -> None:
        chance = self._chance
        free = {True: 0.5, False: 1.2}
        speeds = {True: 9.0, False: 9.0}
        seen: set[str] = set()
        kerb = 0.0
        for number in range(count):
            plate = self._plate()
            while plate in seen:
                plate = self._plate()
            seen.add(plate)
            if number % 50 == 12:
                start = max(kerb, min(free.values()))
                stays = min(float(chance.uniform(12, 30)), 0.4 * count)
                one = Vehicle(plate, True, start, 0.0, KERB, stays, float(chance.uniform(21, 24)))
                kerb = one.leaves + 12
            else:
                # The emptier lane, mostly: cars come in both at a time.
                towards = (free[True] <= free[False]) == bool(chance.random() < 0.9)
                tail = number % 4 == 3
                speed = speeds[towards] if tail else float(chance.uniform(5, 15))
                start = free[towards]
                if not tail:
                    # Nobody drives through the one ahead.
                    slower = (FAR - NEAR) * (1 / speeds[towards] - 1 / speed)
                    start += max(0.0, slower) + float(chance.exponential(every * 1.1))
                beside = (LANE if towards else -LANE) + float(chance.normal(0, 0.12))
                one = Vehicle(plate, towards, start, speed, beside)
                gap = LENGTH + float(chance.uniform(1.3, 2.5))
                free[towards] = start + gap / speed
                if number % 12 == 5:
                    one.parked = float(chance.uniform(1, 4))
                    one.stands_at = float(chance.uniform(13, 16))
                    free[towards] += one.parked + (FAR - NEAR) / speed
                speeds[towards] = speed
            one.colour = tuple(
                int(v) for v in chance.integers(25, 210, 1).repeat(3) + chance.integers(-15, 15, 3)
            )
            one.dirt = float(chance.uniform(0, 0.5))
            if self._drawn:
                one.face = self._face(one)
            self.vehicles.append(one)

    def _plate(self) -> str:
        pick = self._chance.choice
        return "".join(
            pick(list(string.ascii_uppercase if kind == "L" else string.digits))
            for kind in pick(FORMATS)
        )

    def _face(self, vehicle: Vehicle) -> Picture:
        """Its front or rear, with the plate in place."""
        high = round(FACE * FACE_SIZE[1] / FACE_SIZE[0])
        body = np.array(vehicle.colour)
        face = np.zeros((high, FACE, 3), np.uint8)
        face[:] = body
        shade = np.linspace(1.15, 0.7, high)[:, None, None]
        face = np.clip(face * shade, 0, 255).astype(np.uint8)
        glass = np.array([[60, 170], [95, 15], [FACE - 95, 15], [FACE - 60, 170]], np.int32)
        cv2.fillPoly(face, [glass], (70, 60, 55), cv2.LINE_AA)
        lamps = (215, 225, 225) if vehicle.towards else (40, 40, 170)
        for x in (12, FACE - 82):
            cv2.rectangle(face, (x, 195), (x + 70, 228), lamps, -1, cv2.LINE_AA)
        if vehicle.towards:
            cv2.rectangle(face, (120, 180), (FACE - 120, 186), (35, 35, 35), -1)
            cv2.ellipse(
                face, (FACE // 2, 176), (11, 7), 0, 0, 360, (200, 200, 200), -1, cv2.LINE_AA
            )
        cv2.line(face, (20, 240), (FACE - 20, 240), tuple(float(v) for v in body * 0.6), 2)
        cv2.rectangle(face, (0, high - 40), (FACE, high), (28, 28, 28), -1)
        centre = high * (1 - PLATE_UP / FACE_SIZE[1])
        wide, tall = FACE * PLATE[0] / FACE_SIZE[0], FACE * PLATE[1] / FACE_SIZE[0]
        left, top = round(FACE / 2 - wide / 2), round(centre - tall / 2)
        drawn = draw_plate(vehicle.plate, self._chance, vehicle.dirt)
        shown = cv2.resize(drawn, (round(wide), round(tall)), interpolation=cv2.INTER_AREA)
        face[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        return face

    # ---- what the camera sees ----------------------------------------------

    def _background(self) -> Picture:
        chance = self._chance
        road = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        road[:] = (98, 96, 94)
        for size in (4, 16, 64, 160):
            coarse = chance.normal(0, 5, (HEIGHT // size + 2, WIDTH // size + 2)).astype(np.float32)
            road += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
        for beside, dashed in ((0.0, True), (-3.4, False), (3.4, False)):
            for start in np.arange(8.0, 80.0, 4.0):
                ends = (start, start + (2.0 if dashed else 4.0))
                line = [project(beside + side, 0, z) for z in ends for side in (-0.06, 0.06)]
                around = np.array([line[0], line[1], line[3], line[2]])
                cv2.fillConvexPoly(road, around.round().astype(np.int32), (190, 195, 195))
        verge = [project(x, 0, z) for x, z in ((5.6, 8), (5.6, 90), (60, 90), (60, 8))]
        cv2.fillConvexPoly(road, np.array(verge).round().astype(np.int32), (70, 105, 85))
        cv2.rectangle(road, (1010, 40), (1230, 110), (110, 60, 20), -1)
        road += chance.normal(0, 3, road.shape)
        drawn = np.clip(road, 0, 255).astype(np.uint8)
        cv2.putText(drawn, "SALIDA CENTRO", (1022, 84), (235, 235, 235), FONT, 23)
        return cv2.GaussianBlur(drawn, (0, 0), 0.7)

    def __len__(self) -> int:
        return int(self.seconds * self.rate)

    def frames(self) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of each; now and then the camera's line hangs, or shows rubbish."""
        chance = np.random.default_rng(len(self.vehicles))
        hangs, last = 0, self._road
        for number in range(len(self)):
            seconds = number / self.rate
            if not hangs and chance.random() < 0.015:
                hangs = int(chance.integers(1, 4))
            if hangs:
                hangs -= 1
                yield seconds, last
                continue
            last = self.frame(seconds)
            if chance.random() < 0.01:
                rubbish = last.copy()
                rubbish[int(chance.integers(100, 400)) :] = 118
                yield seconds, rubbish
                continue
            yield seconds, last

    def frame(self, seconds: float) -> Picture:
        """What the camera sees at a time."""
        light = float(np.clip((self.night_from + 4 - seconds) / 8, 0, 1))
        picture = cv2.convertScaleAbs(self._road, alpha=0.16 + 0.84 * light, beta=4)
        there = [one for one in self.vehicles if one.enters <= seconds <= one.leaves]
        for one in sorted(there, key=lambda one: -one.distance(seconds)):
            self._draw(picture, one, seconds, light)
        grain = self._grain[int(seconds * self.rate) % 4]
        grain = np.roll(grain, int(seconds * 977) % HEIGHT, axis=0)
        noisy = picture.astype(np.float32) + (grain * (2.0 + 5.0 * (1 - light)))[..., None]
        return cv2.convertScaleAbs(np.maximum(noisy, 0))

    def _draw(self, picture: Picture, one: Vehicle, seconds: float, light: float) -> None:
        z = one.distance(seconds)
        if not 4 < z < 80:
            return
        body = np.array(one.colour) * (0.25 + 0.75 * light)
        # Front and back of a vehicle that comes are nearer and farther; of one that goes, as well:
        # its plate is at the back, which is what the camera sees.
        self._shadow(picture, one, z)
        half = FACE_SIZE[0] / 2
        roof = [
            project(one.beside + x * half, FACE_SIZE[1], z + dz)
            for x, dz in ((-0.8, 0), (0.8, 0), (0.78, LENGTH), (-0.78, LENGTH))
        ]
        cv2.fillConvexPoly(picture, np.array(roof).round().astype(np.int32), body * 0.9)
        left, top = project(one.beside - half, FACE_SIZE[1], z)
        scale = FOCAL * FACE_SIZE[0] / z / FACE
        # Subpixel placement: a plate does not jump from pixel to pixel.
        x0, y0 = int(np.floor(left)), int(np.floor(top))
        size = (int(FACE * scale) + 3, int(one.face.shape[0] * scale) + 3)
        place = np.array([[scale, 0, left - x0], [0, scale, top - y0]])
        source = one.face
        if scale < 0.6:
            source = cv2.GaussianBlur(source, (0, 0), 0.35 / scale)
        shown = cv2.warpAffine(source, place, size, flags=cv2.INTER_LINEAR)
        mask = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), place, size)
        if light < 1:
            shown = self._by_night(shown, one, scale, place, light)
        # How far the picture moves while the shutter is open: 1/250 s, at night 1/120 s.
        open_for = 1 / 250 if light > 0.5 else 1 / 120
        later = project(one.beside, PLATE_UP, z - np.sign(one.towards - 0.5) * one.speed * open_for)
        smear = float(np.hypot(*(np.array(later) - project(one.beside, PLATE_UP, z))))
        moves = one.speed and not (one.parked and abs(z - one.stands_at) < 1e-6)
        if moves and smear > 1.0:
            shown = cv2.blur(shown, (1, max(1, round(smear))))
        paste(picture, shown, mask, x0, y0)

    @staticmethod
    def _by_night(
        shown: Picture, one: Vehicle, scale: float, place: np.ndarray, light: float
    ) -> Picture:
        """Dark but for lamps and plate, which throws the infra-red lamp's light back."""
        dark = shown.astype(np.float32) * (0.12 + 0.88 * light)
        high = one.face.shape[0]
        centre = high * (1 - PLATE_UP / FACE_SIZE[1])
        wide, tall = FACE * PLATE[0] / FACE_SIZE[0], FACE * PLATE[1] / FACE_SIZE[0]
        x, y = place @ (FACE / 2 - wide / 2, centre - tall / 2, 1)
        rows = slice(max(0, round(y)), round(y + tall * scale))
        columns = slice(max(0, round(x)), round(x + wide * scale))
        dark[rows, columns] = shown[rows, columns] * (0.62 + 0.38 * light)
        for lamp in (47, FACE - 47):
            lx, ly = place @ (lamp, 211, 1)
            centre_at = (round(lx), round(ly))
            glow = np.zeros(dark.shape[:2], np.float32)
            cv2.circle(glow, centre_at, max(2, round(30 * scale)), 1.0, -1)
            glow = cv2.GaussianBlur(glow, (0, 0), max(1.0, 18 * scale))
            tint = (200, 235, 250) if one.towards else (40, 40, 210)
            dark += glow[..., None] * np.array(tint, np.float32) * (1 - light)
        return cv2.convertScaleAbs(np.clip(dark, 0, 255))

    @staticmethod
    def _shadow(picture: Picture, one: Vehicle, z: float) -> None:
        half = FACE_SIZE[0] / 2 + 0.15
        ground = [
            project(one.beside + x, 0, z + dz)
            for x, dz in ((-half, -0.2), (half, -0.2), (half, LENGTH), (-half, LENGTH))
        ]
        cv2.fillConvexPoly(picture, np.array(ground).round().astype(np.int32), (38, 38, 38))

    def write(self, path: Path) -> Path:
        """The scene as a video file, compressed as a camera would."""
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, (WIDTH, HEIGHT)
        )
        assert writer.isOpened()
        for _, picture in self.frames():
            writer.write(picture)
        writer.release()
        return path


def draw_plate(text: str, chance: np.random.Generator, dirt: float = 0.0) -> Picture:
    """A plate, 400 × 130, after one of four manners of the region."""
    kind = int(chance.integers(4))
    plate = np.full((130, 400, 3), 228 if kind < 3 else 40, np.uint8)
    ink = (25, 22, 20) if kind < 3 else (225, 225, 225)
    if kind == 1:
        plate[:] = (150, 215, 235)
    top = 0
    if kind == 0:
        plate[:30] = (140, 60, 20)
        cv2.putText(plate, "REPUBLICA", (140, 23), (230, 230, 230), FONT, 20)
        top = 26
    cv2.rectangle(plate, (3, 3), (396, 126), ink, 3, cv2.LINE_AA)
    size = 86 if kind == 0 else 96
    groups = text
    (x, y, wide, tall) = cv2.getTextSize((400, 130), groups, (0, 0), FONT, size, weight=500)
    drawn = np.full((tall + 12, wide + 12, 3), plate[top + 50, 200].tolist(), np.uint8)
    cv2.putText(drawn, groups, (6 - x, 6 - y), ink, FONT, size, weight=500)
    room = (min(372, int(drawn.shape[1] * 1.15)), min(122 - top, drawn.shape[0]))
    drawn = cv2.resize(drawn, room, interpolation=cv2.INTER_AREA)
    left, down = (400 - room[0]) // 2, top + (130 - top - room[1]) // 2
    inner = plate[down : down + room[1], left : left + room[0]]
    inner[:] = drawn
    if dirt > 0:
        coarse = chance.random((9, 26)).astype(np.float32)
        veil = cv2.resize(coarse, (400, 130), interpolation=cv2.INTER_CUBIC)[..., None]
        veil = np.clip(veil * 1.6 - 0.8, 0, 1) * dirt
        plate = (plate * (1 - veil) + 90 * veil).astype(np.uint8)
    return plate


def paste(picture: Picture, shown: Picture, mask: Picture, x: int, y: int) -> None:
    """Lays `shown` where `mask` says, cut at the picture's edges."""
    high, wide = shown.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(WIDTH, x + wide), min(HEIGHT, y + high)
    if left >= right or top >= bottom:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    under = picture[top:bottom, left:right]
    cv2.copyTo(shown[part], (mask[part] > 127).astype(np.uint8), under)
