"""From frames to vehicles: one read for each that passes, however many frames show it.

Always true here: a vehicle is emitted at most once, when it leaves or has stayed for the time
limit, and is silent from then on, also where it is hidden for a while; posteriors are fused,
strings are never voted on; the OCR is asked only where it can still tell something; memory is
bounded by the vehicles in view and those just gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from lpr.fusion import Evidence, alike
from lpr.movement import Sense
from lpr.pipeline import Rules
from lpr.reading import Box, Candidate, CapturedRead, Detection, Picture, Reading, Way
from lpr.tracking import FIRM, Path, distance, pair

ENOUGH, ENOUGH_READINGS = 0.9, 3
"""Confidence, and frames, from which on a vehicle counts as read."""
EAGER = 10
"""Frames in which a vehicle is read though it has not moved, until it counts as read."""
BRISK, PAUSE, LONG_PAUSE = 0.12, 0.4, 2.0
"""Seconds between readings after the second, once it counts as read, and once it was emitted."""
LARGER = 1.25
"""How much larger than ever a plate must be shown to be read again at once."""
MOVED = 0.5
"""Plate widths that an unread vehicle must have moved to be read again at once."""
FAR_REACH = 6.0
"""Plate widths that a plate may jump where its text is the track's."""
ALONE = 0.8
"""Confidence that a vehicle needs where one frame shows it, or where another was foreseen."""
LOST = 1.5
"""Seconds after which a plate that is seen again with nearly its text is another one."""
PARKED = 3600.0
"""Seconds that one who stood still may be hidden, and is no new vehicle at the same place."""
BLIND = 0.1
"""What the sharpness of a crop counts in which nothing was read."""
FRAMES = 2.5
"""Frames that may fail to show a vehicle that has not left, however slow they come."""


class View(Protocol):
    """One frame, of which things may be asked."""

    @property
    def places(self) -> Sequence[Sequence[Detection]]:
        """Where plates may be; at each place the boxes to choose from, best first."""
        ...

    def read(self, numbers: list[int]) -> list[Candidate | None]:
        """What the OCR reads at these places; None where there is nothing to read."""
        ...

    def shot(self, number: int) -> tuple[Picture, float]:
        """The picture of a place for people's eyes, and how sharp it is."""
        ...


@dataclass(frozen=True)
class _Shot:
    """A picture of a vehicle's plate."""

    worth: float
    captured_at: datetime
    box: Box
    crop: Picture


@dataclass
class _Gone:
    """A vehicle that was emitted, while it must not be again."""

    reading: Reading
    box: Box
    last: float
    still: bool


@dataclass
class _Track:
    """One vehicle in view."""

    path: Path
    evidence: Evidence = field(default_factory=Evidence)
    doubtful: bool = False
    """Whether it is there only because a reading contradicted another vehicle's."""
    best: _Shot | None = None
    read_at: float = float("-inf")
    largest: float = 0.0
    read_box: Box | None = None
    gone: _Gone | None = None

    def wants(self, box: Box, seconds: float) -> bool:
        """Whether the OCR should look again."""
        if self.path.nearness(box, seconds) < 1 + FIRM:
            return True
        since, evidence = seconds - self.read_at, self.evidence
        if self.gone:
            return since >= LONG_PAUSE
        if since >= PAUSE or evidence.readings < 2:
            return True
        if since < BRISK:
            return False
        if box.width >= LARGER * self.largest or evidence.readings < ENOUGH_READINGS:
            return True
        if evidence.reading.confidence >= ENOUGH:
            return False
        if evidence.readings < EAGER or self.read_box is None:
            return True
        return distance(self.read_box, box) >= MOVED

    def take(self, candidate: Candidate, captured_at: datetime, seconds: float) -> None:
        """Adds what the OCR made of it in this frame."""
        self.read_at, self.read_box = seconds, candidate.box
        self.largest = max(self.largest, candidate.box.width)
        if self.gone is None:
            self.evidence.add(candidate.reading)
            worth = candidate.sharpness * (BLIND + candidate.reading.confidence)
            self._show(_Shot(worth, captured_at, candidate.box, candidate.crop))

    def pass_by(self, box: Box, shot: tuple[Picture, float], captured_at: datetime) -> None:
        """Adds a frame that was not read: it shows the vehicle as well as any."""
        crop, sharpness = shot
        worth = sharpness * (BLIND + self.evidence.reading.confidence)
        self._show(_Shot(worth, captured_at, box, crop))

    def _show(self, shot: _Shot) -> None:
        if self.best is None or shot.worth > self.best.worth:
            self.best = shot

    def again(self, candidate: Candidate, seconds: float) -> bool:
        """Whether a plate away from where this one was foreseen is this one by its text."""
        apart = distance(self.path.foreseen(seconds), candidate.box)
        ours, other = self.evidence.reading, candidate.reading
        if not ours.plate or not other.plate or apart >= FAR_REACH:
            return False
        return ours.plate == other.plate or (apart < FAR_REACH / 2 and alike(ours, other))


class Consensus:
    """The vehicles in view of one camera. Times in seconds; `name` is the source's.

    direction: whose direction is said: none's ("": as the reader is registered), each one's
    ("entry", "exit"), or by how it moved; then `entry` says how those go that enter.
    """

    def __init__(
        self,
        name: str,
        rules: Rules,
        *,
        gap: float = 0.7,
        longest: float = 8.0,
        repeat: float = 10.0,
        direction: str = "",
        entry: Sense = "towards",
    ) -> None:
        self._name = name
        self._rules = rules
        self._gap, self._longest, self._repeat = gap, longest, repeat
        self._direction, self._entry = direction, entry
        self._tracks: list[_Track] = []
        self._gone: list[_Gone] = []
        self._last_frame = 0.0
        self._step = 0.0

    def see(self, view: View, captured_at: datetime, seconds: float) -> list[CapturedRead]:
        """Takes a frame; returns the reads that are now due. The OCR is asked once at most."""
        self._step += 0.2 * (min(1.0, max(0.0, seconds - self._last_frame)) - self._step)
        self._last_frame = seconds
        boxes = [place[0].box for place in view.places]
        tracks = self._tracks
        goes_on = pair([track.path for track in tracks], boxes, seconds)
        wanted = [
            number
            for number, box in enumerate(boxes)
            if number not in goes_on or tracks[goes_on[number]].wants(box, seconds)
        ]
        seen = dict(zip(wanted, view.read(wanted) if wanted else [], strict=True))
        for number, box in enumerate(boxes):
            if number not in seen:
                track = tracks[goes_on[number]]
                track.path.go(box, seconds)
                if track.gone is None:
                    track.pass_by(box, view.shot(number), captured_at)
        strays = []
        for number, candidate in seen.items():
            if candidate is None:
                continue
            known = tracks[goes_on[number]] if number in goes_on else None
            if known is None or known.evidence.contradicts(candidate.reading):
                strays.append((candidate, known is not None))
            else:
                self._go_on(known, candidate, captured_at, seconds)
        for candidate, doubtful in strays:
            free = (track for track in tracks if track.path.last < seconds)
            known = next((track for track in free if track.again(candidate, seconds)), None)
            if known is None:
                known = _Track(Path(candidate.box, seconds), doubtful=doubtful)
                tracks.append(known)
            self._go_on(known, candidate, captured_at, seconds)
        return self._due(seconds)

    def wait(self, seconds: float) -> list[CapturedRead]:
        """No frame has come for a while; returns the reads that are now due."""
        return self._due(seconds)

    def finish(self) -> list[CapturedRead]:
        """The source has ended: every vehicle has left."""
        return self._due(float("inf"))

    # ---- within ------------------------------------------------------------

    @staticmethod
    def _go_on(track: _Track, candidate: Candidate, captured_at: datetime, seconds: float) -> None:
        track.path.go(candidate.box, seconds)
        track.take(candidate, captured_at, seconds)

    def _due(self, seconds: float) -> list[CapturedRead]:
        reads = []
        staying = []
        gap = max(self._gap, FRAMES * self._step)
        for track in self._tracks:
            path = track.path
            left = seconds - path.last > gap
            if track.gone is None and (left or seconds - path.first >= self._longest):
                reads += self._emit(track)
            if track.gone is not None:
                gone = track.gone
                gone.box, gone.last, gone.still = path.box, path.last, path.movement.still()
            if not left:
                staying.append(track)
        self._tracks = staying
        self._gone = [
            gone
            for gone in self._gone
            if seconds - gone.last <= (PARKED if gone.still else self._repeat)
        ]
        return reads

    def _emit(self, track: _Track) -> list[CapturedRead]:
        """The vehicle's read; none where it can't be read, or was emitted before."""
        reading = track.evidence.reading
        if not self._rules.accept(reading) or track.best is None:
            return []
        alone, doubtful = track.evidence.readings < 2, track.doubtful
        if (alone and doubtful) or ((alone or doubtful) and reading.confidence < ALONE):
            return []
        before = self._before(track, reading)
        track.gone = before or _Gone(reading, track.path.box, track.path.last, still=False)
        if before is not None:
            return []
        self._gone.append(track.gone)
        best, way = track.best, self._way(track)
        return [CapturedRead(self._name, best.captured_at, reading, best.box, best.crop, way)]

    def _before(self, track: _Track, reading: Reading) -> _Gone | None:
        """The same vehicle, emitted before."""
        for gone in self._gone:
            since = track.path.first - gone.last
            if gone.reading.plate == reading.plate and since <= self._repeat:
                return gone
            if not alike(gone.reading, reading):
                continue
            apart = distance(gone.box, track.path.start)
            if 0 <= since <= LOST and apart < FAR_REACH / 2:
                return gone
            if gone.still and since > 0 and apart < 1 and track.path.movement.still():
                return gone
        return None

    def _way(self, track: _Track) -> Way:
        if self._direction == "by-movement":
            return track.path.movement.direction(self._entry)
        return "entry" if self._direction == "entry" else "exit" if self._direction else ""
