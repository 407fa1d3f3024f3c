"""Where pictures come from: files, folders, videos, cameras.

Always true here: a picture is uint8 BGR; a frame's time is UTC; pictures are decoded in a thread of
their own, ahead of a file by AHEAD frames at most; a live source never queues more than one frame,
and counts those it had to let go; an address is shown without its password.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import urlsplit

import cv2
import numpy as np

from lpr.errors import SourceError
from lpr.reading import Picture

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
USUAL_RATE = 25.0
"""Frames a second of a video that does not say."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts to open a camera again."""
SILENCE = 10.0
"""Seconds that a stream may take to open, or to send its next frame."""
AHEAD = 4
"""Frames of a video file that are decoded and not looked at yet."""
IDLE = 0.5
"""Seconds after which it is told that no frame has come."""
_log = logging.getLogger("lpr.camera")


@dataclass(frozen=True)
class Frame:
    """One frame. seconds: on the source's own clock, from its start.

    picture: None where nothing has come for a while; the time goes on.
    """

    picture: Picture | None
    captured_at: datetime
    seconds: float


class Stills:
    """Single pictures, each standing alone, captured at `start` or else when they are looked at."""

    def __init__(self, paths: list[Path], *, start: datetime | None = None) -> None:
        self.paths = paths
        self._start = start

    def captured_at(self) -> datetime:
        """When the picture at hand counts as captured: files seldom say it themselves."""
        return self._start or datetime.now(UTC)

    def __iter__(self) -> Iterator[tuple[Path, Picture | None]]:
        """Each path with its picture, or with None where it can't be opened."""
        for path in self.paths:
            yield path, load_picture(path)


class Video:
    """A video file, frame by frame, at most `rate` frames a second of its own time.

    start: when its first frame was captured; without it, the video is taken to have ended now.
    """

    dropped = reopened = 0

    def __init__(self, path: Path, *, rate: float, start: datetime | None = None) -> None:
        self.name = str(path)
        self._rate = rate
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(
                f"{path} can't be opened: it is neither a picture nor a video that OpenCV knows"
            )
        self._own_rate = self._capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        """How many there are; 0 where the file does not say."""
        self.seen = 0
        """How many have been passed, looked at or not."""
        length = timedelta(seconds=self.frames / self._own_rate)
        self._start = start or datetime.now(UTC) - length

    def __iter__(self) -> Iterator[Frame]:
        ahead: Queue[Frame | None] = Queue(AHEAD)
        stop = threading.Event()
        thread = threading.Thread(target=self._decode, args=(ahead, stop), daemon=True)
        thread.start()
        try:
            while (frame := ahead.get()) is not None:
                yield frame
        finally:
            stop.set()
            while thread.is_alive():
                with suppress(Empty):  # It may wait for room.
                    ahead.get(timeout=0.01)
            self._capture.release()

    def _decode(self, ahead: Queue[Frame | None], stop: threading.Event) -> None:
        due = 0.0
        while not stop.is_set() and self._capture.grab():
            seconds = self.seen / self._own_rate
            self.seen += 1
            if seconds + 1e-9 < due:
                continue
            due = max(due + 1 / self._rate, seconds)
            readable, picture = self._capture.retrieve()
            if readable:
                ahead.put(Frame(picture, self._start + timedelta(seconds=seconds), seconds))
        ahead.put(None)


class Live:
    """A camera or stream, opened again with back-off whenever it drops.

    Iterating gives the newest frame each time, one without a picture where none has come for IDLE
    seconds, and never ends by itself; `close` ends it. The first opening is tried once:
    SourceError where it fails, for then the address is probably wrong.
    """

    frames = 0

    def __init__(self, address: str | int, *, rate: float) -> None:
        self._address = address
        self.name = shown(str(address))
        self._rate = rate
        self.seen = 0
        self.dropped = 0
        """Frames that came while the one before was still being looked at."""
        self.reopened = 0
        """How often it was opened again, successfully."""
        self._newest: Frame | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._started = time.monotonic()
        capture = _open(address)
        if not capture.isOpened():
            raise SourceError(f"the camera {self.name} can't be opened; check address and network")
        self._thread = threading.Thread(target=self._grab, args=(capture,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closed, IDLE)
                frame, self._newest = self._newest, None
                if self._closed and frame is None:
                    return
            yield frame or Frame(None, datetime.now(UTC), time.monotonic() - self._started)

    def close(self) -> None:
        """Ends the iteration."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _grab(self, capture: cv2.VideoCapture) -> None:
        pause, due = FIRST_PAUSE, 0.0
        gone: float | None = None
        while not self._closed:
            if not capture.grab():
                capture.release()
                if gone is None:
                    gone = time.monotonic()
                    _log.warning("%s has stopped; it is opened again until it answers", self.name)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                if not self._closed:
                    capture = _open(self._address)
                continue
            if gone is not None:
                self.reopened += 1
                _log.warning("%s is back after %.0f s", self.name, time.monotonic() - gone)
                pause, gone = FIRST_PAUSE, None
            seconds = time.monotonic() - self._started
            self.seen += 1
            if seconds < due:
                continue
            due = max(due + 1 / self._rate, seconds)
            readable, picture = capture.retrieve()
            if readable:
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = Frame(picture, datetime.now(UTC), seconds)
                    self._changed.notify_all()
        capture.release()


def _open(address: str | int) -> cv2.VideoCapture:
    """Opens a camera, or a stream that fails where it is silent for too long."""
    if isinstance(address, int):
        return cv2.VideoCapture(address)
    limit = int(SILENCE * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)


def open_source(text: str, *, rate: float, start: datetime | None = None) -> Stills | Video | Live:
    """What SOURCE means. Raises SourceError where there is nothing to look at."""
    path = Path(text).expanduser()
    if path.is_dir():
        found = sorted(inside for inside in path.rglob("*") if inside.suffix.lower() in PICTURES)
        if not found:
            raise SourceError(f"the folder {text} holds no picture ({', '.join(sorted(PICTURES))})")
        return Stills(found, start=start)
    if path.is_file():
        if path.suffix.lower() in PICTURES:
            return Stills([path], start=start)
        return Video(path, rate=rate, start=start)
    if "://" in text:
        return Live(text, rate=rate)
    if text.isascii() and text.isdigit():
        return Live(int(text), rate=rate)
    raise SourceError(
        f"there is no {text}; give a picture, a folder, a video, an RTSP address or a camera number"
    )


def load_picture(path: Path) -> Picture | None:
    """BGR, or None where it is no picture."""
    try:
        data = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def shown(address: str) -> str:
    """The address without user and password."""
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
