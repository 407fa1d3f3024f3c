"""One run of `lpr read`: looks at a source, and gives the reads one by one.

Always true here: a read is given once and in order of capture; what could not be opened is said
at once, counted, and skipped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from lpr import catalogue
from lpr.camera import Frame, Live, Stills, Video
from lpr.consensus import Consensus
from lpr.delivery import Health
from lpr.detector import OURS, Detector, PlateDetector
from lpr.interest import Interesting
from lpr.pipeline import AROUND, Eye, Rules, sharpness
from lpr.reading import Candidate, CapturedRead, Picture
from lpr.settings import Settings

LATELY, MOST_LATELY = 10.0, 1000
"""Seconds, and frames, that the rate of frames is taken from."""


def make_eye(settings: Settings, *, video: bool) -> Eye:
    """Loads the models. Raises ModelError where one is missing."""
    cv2.setNumThreads(settings.threads)
    _, recogniser = catalogue.opened(
        settings.ocr_model,
        may_fetch=settings.ocr_fetch,
        threads=settings.threads,
        thorough=not video,
    )
    detector: Detector = PlateDetector(
        settings.detector_model or OURS,
        sides=settings.video_sides if video else settings.picture_sides,
        threshold=settings.detector_threshold,
        threads=settings.threads,
    )
    if settings.regions_of_interest:
        detector = Interesting(detector, settings.regions_of_interest)
    return Eye(
        detector,
        recogniser,
        Rules(settings.min_confidence, settings.min_length, settings.letters_only),
        places=settings.places,
        countries=settings.countries,
    )


class Look:
    """One frame as the consensus asks for it. What is not asked for is not done."""

    def __init__(self, eye: Eye, picture: Picture) -> None:
        self._eye, self._picture = eye, picture
        self.places = eye.places(picture)

    def read(self, numbers: list[int]) -> list[Candidate | None]:
        """The best reading at each of these places."""
        return self._eye.read_at(self._picture, [self.places[number] for number in numbers])

    def shot(self, number: int) -> tuple[Picture, float]:
        """The plate there with what is around it, and how sharp it is."""
        box = self.places[number][0].box
        around = box.grown(AROUND, self._picture).cut(self._picture).copy()
        return around, sharpness(box.cut(self._picture))


class Session:
    """Looks at a source.

    complain: told each picture that can't be opened. progress: told (done, of how many; 0:
    unknown) as it goes on.
    """

    def __init__(
        self,
        source: Stills | Video | Live,
        eye: Eye,
        settings: Settings,
        *,
        complain: Callable[[Path], None],
        progress: Callable[[int, int], None],
    ) -> None:
        self._source = source
        self._eye = eye
        self._settings = settings
        self._complain = complain
        self._progress = progress
        self._started = time.monotonic()
        self._lately: deque[float] = deque(maxlen=MOST_LATELY)
        self.unreadable = 0
        """Pictures that could not be opened."""
        self.frames = 0
        """Pictures or frames looked at."""

    @property
    def pictures(self) -> int:
        """How many single pictures the source has; 0 for a video or camera."""
        return len(self._source.paths) if isinstance(self._source, Stills) else 0

    @property
    def live(self) -> bool:
        """Whether the source ends only when it is stopped."""
        return isinstance(self._source, Live)

    def stop(self) -> None:
        """Ends a live source; a finite one goes on. Thread-safe."""
        if isinstance(self._source, Live):
            self._source.close()

    def health(self) -> Health:
        """For the reader's status: the rate is that of the last LATELY seconds."""
        now = time.monotonic()
        span = min(LATELY, max(1e-3, now - self._started))
        late = sum(now - one <= span for one in list(self._lately))
        dropped = 0 if isinstance(self._source, Stills) else self._source.dropped
        return Health(late / span, dropped)

    @property
    def reopened(self) -> int:
        """How often the camera was opened again."""
        return 0 if isinstance(self._source, Stills) else self._source.reopened

    @property
    def name(self) -> str:
        """The source's, without user and password; empty for single pictures."""
        return "" if isinstance(self._source, Stills) else self._source.name

    def _count(self) -> None:
        self.frames += 1
        self._lately.append(time.monotonic())

    def reads(self) -> Iterator[CapturedRead]:
        """The reads, as they come. A live source ends only when it is closed."""
        if isinstance(self._source, Stills):
            return self._stills(self._source)
        return self._frames(self._source)

    def _stills(self, source: Stills) -> Iterator[CapturedRead]:
        for done, (path, picture) in enumerate(source, start=1):
            if picture is None:
                self.unreadable += 1
                self._complain(path)
            else:
                captured_at = source.captured_at()
                self._count()
                try:
                    reads = self._eye.read(picture)
                except cv2.error:  # One odd picture must not end a folder.
                    self.unreadable += 1
                    self._complain(path)
                    reads = []
                for one in reads:
                    yield CapturedRead(str(path), captured_at, one.reading, one.box, one.crop)
            self._progress(done, len(source.paths))

    def _frames(self, source: Video | Live) -> Iterator[CapturedRead]:
        settings = self._settings
        consensus = Consensus(
            source.name,
            self._eye.rules,
            gap=settings.gap_seconds,
            longest=settings.longest_seconds,
            repeat=settings.repeat_seconds,
            direction=settings.direction,
            entry=settings.entry_moves,
        )
        frame: Frame
        for frame in source:
            if frame.picture is None:
                yield from consensus.wait(frame.seconds)
                continue
            self._count()
            look = Look(self._eye, frame.picture)
            yield from consensus.see(look, frame.captured_at, frame.seconds)
            self._progress(source.seen, source.frames)
        yield from consensus.finish()
