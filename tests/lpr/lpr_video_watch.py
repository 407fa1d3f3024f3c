"""What a consensus makes of a drawn checkpoint, counted vehicle by vehicle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from lpr.reading import Box

if __package__:
    from tests.lpr.lpr_video_scene import Vehicle
else:
    from lpr_video_scene import Vehicle

SLACK = 0.4
"""Seconds that a read may be captured before or after its vehicle was in the picture."""


@dataclass(frozen=True)
class Told:
    """A read, as far as it is counted. seconds: of the scene."""

    seconds: float
    plate: str
    confidence: float
    direction: str
    box: Box


@dataclass
class Count:
    """How many vehicles were read as they should."""

    vehicles: int
    once: int = 0
    twice: int = 0
    never: int = 0
    astray: int = 0
    """Reads where no vehicle was."""
    right: int = 0
    """Vehicles whose plate was read right."""
    directions: int = 0
    """Vehicles read once whose direction was said right."""

    @property
    def fields(self) -> dict[str, int]:
        return asdict(self)


def count(
    vehicles: Sequence[Vehicle], reads: Iterable[Told]
) -> tuple[Count, list[tuple[float, bool]], list[str]]:
    """The counts, (confidence, right) of each read of a vehicle, and what went wrong in words.

    A read belongs to the vehicle whose plate was where it says at that time.
    """
    of: dict[str, list[Told]] = {one.plate: [] for one in vehicles}
    found, sure, wrong = Count(len(vehicles)), [], []
    for read in reads:
        there = [
            one
            for one in vehicles
            if one.enters - SLACK <= read.seconds <= one.leaves + SLACK
            and overlap(one, read) > 0.05
        ]
        if not there:
            found.astray += 1
            wrong.append(f"astray: {read}")
            continue
        one = max(there, key=lambda one: overlap(one, read))
        of[one.plate].append(read)
        sure.append((read.confidence, read.plate == one.plate))
    for one in vehicles:
        told = of[one.plate]
        found.once += len(told) == 1
        found.twice += len(told) > 1
        found.never += not told
        found.right += any(read.plate == one.plate for read in told)
        found.directions += len(told) == 1 and told[0].direction == one.direction
        if len(told) != 1 or told[0].plate != one.plate or told[0].direction != one.direction:
            wrong.append(f"{one}: {told}")
    return found, sure, wrong


def overlap(one: Vehicle, read: Told) -> float:
    """How well a read lies on a plate, now or just before: a line that hangs shows the past."""
    return max(one.box(read.seconds - late / 12).overlap(read.box) for late in range(5))


def calibration_error(sure: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error of (confidence, right) pairs, in bins of equal width."""
    at = Counter(min(int(confidence * bins), bins - 1) for confidence, _ in sure)
    error = 0.0
    for place in at:
        inside = [
            (confidence, right)
            for confidence, right in sure
            if min(int(confidence * bins), bins - 1) == place
        ]
        told = sum(confidence for confidence, _ in inside)
        error += abs(told - sum(right for _, right in inside)) / len(sure)
    return error
