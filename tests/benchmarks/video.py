"""Video to reads: a drawn checkpoint counted vehicle by vehicle, frames a second, memory.

Everything is the reader's own path: a compressed file, its decoder, the detector, the default OCR
and the consensus. The plates are drawn, so the counts say little of real ones; how the vehicles
move, hide each other, are blurred and come by night is what is tried.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from lpr.camera import Frame, Video
from lpr.reading import CapturedRead
from lpr.session import Session, make_eye
from lpr.settings import Settings
from tests.lpr.lpr_video_scene import Checkpoint
from tests.lpr.lpr_video_watch import Told, calibration_error, count

START = datetime(2024, 4, 30, 12, tzinfo=UTC)


def checkpoint(
    vehicles: int = 200, seed: int = 11, said: bool = False, model: str = "auto"
) -> dict[str, Any]:
    """Reads of a scene with so many vehicles; at best 98 % are read once and 1 % twice."""
    scene = Checkpoint(vehicles, seed=seed)
    with tempfile.TemporaryDirectory(prefix="lpr-video-") as folder:
        path = scene.write(Path(folder) / "scene.mp4")
        began = time.perf_counter()
        session = _session(Video(path, rate=1000, start=START), ocr_model=model)
        reads = list(session.reads())
        seconds = time.perf_counter() - began
    found, sure, wrong = count(scene.vehicles, map(_told, reads))
    for line in wrong if said else ():
        print(line, file=sys.stderr)
    return {
        "model": Path(model).name,
        **found.fields,
        "once_share": round(found.once / vehicles, 4),
        "twice_share": round(found.twice / vehicles, 4),
        "calibration_error": round(calibration_error(sure), 3),
        "mean_confidence": round(sum(confidence for confidence, _ in sure) / len(sure), 3),
        "frames_per_s": round(session.frames / seconds, 1),
    }


def speed(seconds: float = 30.0, model: str = "auto") -> dict[str, Any]:
    """Frames a second at 1280 × 720, one plate in view at a time."""
    scene = Checkpoint(1, seed=3, night=0.0)
    one = scene.vehicles[0]
    one.towards, one.beside, one.speed, one.enters, one.parked = True, 1.75, 12.0, 0.0, 0.0
    scene.seconds = one.leaves
    with tempfile.TemporaryDirectory(prefix="lpr-video-") as folder:
        path = scene.write(Path(folder) / "one.mp4")
        session = _session(_Loop(path, scene.seconds), ocr_model=model)
        began, cpu = time.perf_counter(), time.process_time()
        for _ in session.reads():
            if time.perf_counter() - began > seconds:
                break
        took = time.perf_counter() - began
    return {
        "model": Path(model).name,
        "per_s": round(session.frames / took, 1),
        "cpu_ms_a_frame": round((time.process_time() - cpu) * 1000 / session.frames, 1),
        "frames": session.frames,
    }


def memory(frames: int = 20_000, warm: int = 2000, model: str = "auto") -> dict[str, Any]:
    """What the reader grows by over so many frames, once it is warm.

    The detector looks at small pictures here, so that it ends today; all else is as ever.
    """
    scene = Checkpoint(6, seed=5, every=0.3)
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="lpr-video-") as folder:
        path = scene.write(Path(folder) / "scene.mp4")
        sizes: list[float] = []

        def size(done: int, _: int) -> None:
            if done > warm and done % 20 == 0:
                sizes.append(process.memory_info().rss / 2**20)

        loop = _Loop(path, scene.seconds, frames)
        session = _session(loop, progress=size, video_sides=(320,), ocr_model=model)
        reads = sum(1 for _ in session.reads())
    third = max(1, len(sizes) // 3)
    first, last = max(sizes[:third]), max(sizes[-third:])
    return {
        "model": Path(model).name,
        "frames": session.frames,
        "reads": reads,
        "first_third_mib": round(first),
        "last_third_mib": round(last),
        "grown_mib": round(last - first, 1),
    }


class _Loop:
    """A video file over and over, its clock going on; `frames` of it, or for ever."""

    dropped = reopened = 0

    def __init__(self, path: Path, seconds: float, frames: int = 0) -> None:
        self._path, self._seconds = path, seconds + 20.0
        self.name, self.frames, self.seen = str(path), frames, 0

    def __iter__(self) -> Iterator[Frame]:
        turn = 0
        while True:
            for frame in Video(self._path, rate=1000, start=START):
                late = turn * self._seconds
                self.seen += 1
                at = START + timedelta(seconds=late + frame.seconds)
                yield Frame(frame.picture, at, late + frame.seconds)
                if self.seen == self.frames:
                    return
            turn += 1


def _session(
    source: Any, progress: Callable[[int, int], None] = lambda done, total: None, **options: Any
) -> Session:
    settings = Settings(direction="by-movement", **options)
    return Session(
        source,
        make_eye(settings, video=True),
        settings,
        complain=lambda path: None,
        progress=progress,
    )


def _told(read: CapturedRead) -> Told:
    seconds = (read.captured_at - START).total_seconds()
    reading = read.reading
    return Told(seconds, reading.plate, reading.confidence, read.direction, read.box)


if __name__ == "__main__":
    print(checkpoint(int(sys.argv[1]) if len(sys.argv) > 1 else 200, said=True))
