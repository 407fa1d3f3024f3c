"""From frames to vehicles: one read for each that passes, however many frames show it.

Always true here: a vehicle is emitted at most once, when it leaves or has stayed for the time
limit, and is silent from then on; posteriors are fused, strings are never voted on; memory is
bounded by the vehicles in view.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from lpr.pipeline import Rules
from lpr.reading import Box, Candidate, CapturedRead, Posterior, Reading

OVERLAP = 0.1
"""Intersection over union at which a box goes on a track."""
REACH = 1.5
"""Plate widths a plate may move beyond what was foreseen."""
FAR_REACH = 6.0
"""The same where the text is the track's."""
SURE = 0.5
"""Confidence at which two texts can contradict each other."""
CONTRADICTION = 3
"""Characters by which they then differ."""
WORTH_FUSING = 0.02
"""Confidence under which a frame tells nothing."""
ALONE = 0.8
"""Confidence that a vehicle needs where one frame shows it."""


@dataclass
class _Evidence:
    """Weighted sum of log posteriors of one length."""

    logs: Posterior
    weight: float = 0.0


@dataclass
class _Track:
    """One vehicle in view. Times in seconds of the source."""

    box: Box
    first: float
    last: float
    velocity: tuple[float, float] = (0.0, 0.0)
    frames: int = 0
    plate: str = ""
    sure: float = 0.0
    evidence: dict[int, _Evidence] = field(default_factory=dict)
    regions: Counter[str] = field(default_factory=Counter)
    best: Candidate | None = None
    best_at: datetime | None = None
    done: bool = False
    emitted: str = ""

    def take(self, candidate: Candidate, captured_at: datetime, seconds: float) -> None:
        """Adds what one frame shows."""
        elapsed = seconds - self.last
        if self.frames and elapsed > 0:
            (x, y), (before_x, before_y) = candidate.box.centre, self.box.centre
            self.velocity = (x - before_x) / elapsed, (y - before_y) / elapsed
        self.box, self.last = candidate.box, seconds
        self.frames += 1
        reading = candidate.reading
        if reading.confidence > self.sure:
            self.plate, self.sure = reading.plate, reading.confidence
        if reading.confidence >= WORTH_FUSING:
            logs = np.log(np.maximum(reading.posterior, 1e-6)).astype(np.float32)
            found = self.evidence.setdefault(len(logs), _Evidence(np.zeros_like(logs)))
            found.logs = found.logs + logs * reading.confidence
            found.weight += reading.confidence
            self.regions[reading.region] += 1
        if self.best is None or self._value(candidate) > self._value(self.best):
            self.best, self.best_at = candidate, captured_at

    @staticmethod
    def _value(candidate: Candidate) -> float:
        return candidate.sharpness * (0.1 + candidate.reading.confidence)

    def reading(self) -> Reading:
        """All frames together: the weighted mean of log probabilities, of the likeliest length."""
        if not self.evidence:
            return Reading("", 0.0, np.zeros((0, 37), np.float32))
        found = max(self.evidence.values(), key=lambda evidence: evidence.weight)
        mean = np.exp(found.logs / found.weight)
        region = self.regions.most_common(1)[0][0]
        return Reading.of((mean / mean.sum(axis=1, keepdims=True)).astype(np.float32), region)

    def nearness(self, candidate: Candidate, seconds: float) -> float:
        """How well the candidate goes on this track; 0: not at all."""
        if self._contradicts(candidate.reading):
            return 0.0
        ahead = seconds - self.last
        x, y = self.box.centre
        x, y = x + self.velocity[0] * ahead, y + self.velocity[1] * ahead
        foreseen = Box(
            x - self.box.width / 2, y - self.box.height / 2, self.box.width, self.box.height
        )
        overlap = foreseen.overlap(candidate.box)
        if overlap >= OVERLAP:
            return 1.0 + overlap
        other_x, other_y = candidate.box.centre
        distance = float(np.hypot(x - other_x, y - other_y)) / max(
            self.box.width, candidate.box.width
        )
        same = bool(self.plate) and self.plate == candidate.reading.plate
        reach = FAR_REACH if same else REACH
        return 1.0 - distance / reach if distance < reach else 0.0

    def _contradicts(self, reading: Reading) -> bool:
        if min(self.sure, reading.confidence) < SURE:
            return False
        if len(self.plate) != len(reading.plate):
            return abs(len(self.plate) - len(reading.plate)) >= CONTRADICTION
        pairs = zip(self.plate, reading.plate, strict=True)
        return sum(one != other for one, other in pairs) >= CONTRADICTION


class Consensus:
    """The vehicles in view of one camera. Times in seconds; `name` is the source's."""

    def __init__(
        self, name: str, rules: Rules, *, gap: float = 0.7, longest: float = 8.0, repeat: float = 10
    ) -> None:
        self._name = name
        self._rules = rules
        self._gap, self._longest, self._repeat = gap, longest, repeat
        self._tracks: list[_Track] = []
        self._recent: dict[str, float] = {}

    def see(
        self, candidates: list[Candidate], captured_at: datetime, seconds: float
    ) -> list[CapturedRead]:
        """Takes a frame's candidates; returns the reads that are now due."""
        pairs = sorted(
            (
                (track.nearness(candidate, seconds), place, number)
                for place, track in enumerate(self._tracks)
                for number, candidate in enumerate(candidates)
            ),
            reverse=True,
        )
        free_tracks, free = set(range(len(self._tracks))), set(range(len(candidates)))
        for nearness, place, number in pairs:
            if nearness > 0 and place in free_tracks and number in free:
                free_tracks.remove(place)
                free.remove(number)
                self._tracks[place].take(candidates[number], captured_at, seconds)
        for number in sorted(free):
            track = _Track(candidates[number].box, seconds, seconds)
            track.take(candidates[number], captured_at, seconds)
            self._tracks.append(track)
        return self._due(seconds)

    def finish(self) -> list[CapturedRead]:
        """The source has ended: every vehicle has left."""
        return self._due(float("inf"))

    def _due(self, seconds: float) -> list[CapturedRead]:
        reads = []
        staying = []
        for track in self._tracks:
            left = seconds - track.last > self._gap
            if not track.done and (left or seconds - track.first >= self._longest):
                reads += self._emit(track)
            if not left:
                staying.append(track)
            if track.done:
                self._recent[track.emitted] = track.last
        self._tracks = staying
        for plate, last in list(self._recent.items()):
            if seconds - last > self._repeat:
                del self._recent[plate]
        return reads

    def _emit(self, track: _Track) -> list[CapturedRead]:
        reading = track.reading()
        if not self._rules.accept(reading) or track.best is None or track.best_at is None:
            return []
        if track.frames < 2 and reading.confidence < ALONE:
            return []
        track.done, track.emitted = True, reading.plate
        if track.first - self._recent.get(reading.plate, float("-inf")) <= self._repeat:
            return []
        return [CapturedRead(self._name, track.best_at, reading, track.best.box, track.best.crop)]
