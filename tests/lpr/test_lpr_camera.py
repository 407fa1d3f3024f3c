"""Cameras that drop, hang and come back; what is looked at, and what is let go."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lpr_memory_server import MemoryIngest, serving
from lpr_scenes import film, scene
from lpr_video_rtsp import rtsp_camera

from lpr import camera as cameras
from lpr.camera import Frame, Live, Video
from lpr.detector import PlateDetector
from lpr.errors import LprError
from lpr.interest import Interesting
from lpr.pipeline import Eye
from lpr.reading import Picture
from lpr.session import Session, make_eye
from lpr.settings import Settings, load
from lpr.spool_file import inspect
from lpr.status import Camera

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def car() -> list[Picture]:
    """A car that comes nearer."""
    return [scene([("AB123CD", 400 + 10 * n, 300 + 10 * n)], seed=n) for n in range(8)]


@pytest.fixture(scope="module")
def eye() -> Eye:
    return make_eye(Settings(ocr_model="rapidocr"), video=True)


def seen(live: Live, seconds: float) -> Iterator[Frame]:
    """What comes from a camera for at most so long."""
    until = time.monotonic() + seconds
    for frame in live:
        if time.monotonic() > until:
            live.close()
        yield frame


def test_a_stream_that_hangs_up_is_opened_again(car: list[Picture]) -> None:
    with rtsp_camera(car, pictures=30) as there:
        live = Live(there.address, rate=1000)
        assert live.name.startswith("rtsp://127.0.0.1")
        frames = []
        for frame in seen(live, 30):
            frames.append(frame)
            if live.reopened:
                live.close()
        assert there.visits == 2
        pictures = [frame.picture for frame in frames if frame.picture is not None]
        # One more may have come while it was being closed.
        assert live.seen - len(pictures) - live.dropped in (0, 1)
        assert live.seen > 30


def test_a_stream_that_falls_silent_is_told_and_opened_again(
    car: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "SILENCE", 1.5)
    with rtsp_camera(car) as there:
        live = Live(there.address, rate=1000)
        idle = 0
        for frame in seen(live, 30):
            idle += frame.picture is None
            there.mute_first = True
            if live.reopened:
                live.close()
        assert idle >= 2
        assert there.visits >= 2


def test_a_slow_reader_drops_frames_and_says_how_many(car: list[Picture]) -> None:
    with rtsp_camera(car, rate=50) as there:
        live = Live(there.address, rate=1000)
        late = []
        for frame in seen(live, 2):
            if frame.picture is not None:
                late.append((datetime.now(UTC) - frame.captured_at).total_seconds())
                time.sleep(0.2)
        assert live.dropped > 20
        assert len(late) + live.dropped >= live.seen - 1
        # In a queue, the last would have waited for most of the two seconds.
        assert max(late) < 1, "a frame waited in a queue"


def test_a_vehicle_is_told_though_the_camera_falls_silent(car: list[Picture], eye: Eye) -> None:
    class Silent:
        name, seen, frames, dropped, reopened = "cam", 0, 0, 0, 0

        def __iter__(self) -> Iterator[Frame]:
            for number, picture in enumerate(car):
                yield Frame(picture, datetime.now(UTC), number / 10)
            yield Frame(None, datetime.now(UTC), 2.5)
            silent.append(len(told))

    told: list[str] = []
    silent: list[int] = []
    session = Session(
        Silent(),  # type: ignore[arg-type]
        eye,
        Settings(),
        complain=lambda path: None,
        progress=lambda done, total: None,
    )
    for one in session.reads():
        told.append(one.reading.plate)  # noqa: PERF401 - what is told when is what matters
    assert (told, silent) == (["AB123CD"], [1])


def test_a_video_is_decoded_a_little_ahead_and_can_be_left(tmp_path: Path) -> None:
    path = film(tmp_path / "long.avi", [scene([])] * 30)
    video = Video(path, rate=1000)
    frames = iter(video)
    next(frames)
    time.sleep(0.3)
    assert video.seen <= cameras.AHEAD + 3
    frames.close()  # type: ignore[attr-defined]


# ---- regions of interest ---------------------------------------------------


def test_only_plates_in_a_region_count(eye: Eye) -> None:
    picture = scene([("AB123CD", 250, 420), ("KLM482", 700, 380)])
    whole = PlateDetector()
    assert len(whole.find(picture)) == 2
    for text, left, right in [
        ("0,0 0.5,1", 100, 480),
        ("0.5,0.4 1,1", 480, 960),
        ("0,0.5 0.5,0.5 0.5,1 0,1; 0.9,0 1,0.2", 0, 480),
    ]:
        settings = Settings(regions_of_interest=text)  # type: ignore[arg-type]
        (place,) = Interesting(whole, settings.regions_of_interest).find(picture)
        x, _ = place[0].box.centre
        assert left < x < right
        plate = min(whole.find(picture), key=lambda found: abs(found[0].box.centre[0] - x))
        assert place[0].box.overlap(plate[0].box) > 0.7


def test_a_plate_at_the_edge_of_a_region_is_found_whole() -> None:
    picture = scene([("AB123CD", 480, 420)])
    settings = Settings(regions_of_interest="0,0 0.51,1")  # type: ignore[arg-type]
    (place,) = Interesting(PlateDetector(), settings.regions_of_interest).find(picture)
    assert place[0].box.x + place[0].box.width > 530


def test_a_region_spares_the_detector_work() -> None:
    """What is outside is not looked at, and what is inside is not enlarged."""
    sizes: list[tuple[int, float]] = []

    class Spy:
        def find(self, picture: Picture, share: float = 1.0) -> list:
            sizes.append((picture.shape[1] * picture.shape[0], share))
            return []

    settings = Settings(regions_of_interest="0.3,0.5 0.7,0.9")  # type: ignore[arg-type]
    picture = np.zeros((720, 1280, 3), np.uint8)
    Interesting(Spy(), settings.regions_of_interest).find(picture)
    ((pixels, share),) = sizes
    assert pixels < 0.3 * 720 * 1280
    assert share == pytest.approx(0.52, abs=0.02)


@pytest.mark.parametrize("text", ["0.1", "0,0", "0,0 2,1", "a,b c,d", "0,0 1;1"])
def test_a_wrong_region_is_explained(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LPR_REGIONS_OF_INTEREST", text)
    with pytest.raises(LprError, match="LPR_REGIONS_OF_INTEREST"):
        load()


# ---- the whole reader ------------------------------------------------------


def test_status_tells_of_a_camera_while_it_runs(car: list[Picture]) -> None:
    async def story() -> None:
        async with serving(MemoryIngest()) as server:
            with rtsp_camera(car, pictures=60) as there:
                words = ("read", there.address, "--reader", "R1", "--server", server)
                running = await command(*words, LPR_THREADS="1")
                folder = Path(os.environ["LPR_SPOOL"]) / "R1"
                for _ in range(200):
                    await asyncio.sleep(0.1)
                    with suppress(LprError):
                        camera = Camera.kept(inspect(folder))
                        if camera and camera.frames:
                            break
                state = await status()
                assert state["camera"]["running"]
                assert "secret" not in json.dumps(state)
                assert state["camera"]["source"] == there.address.replace("user:secret@", "")
                running.terminate()
                await asyncio.wait_for(running.communicate(), 60)
                camera = Camera.kept(inspect(folder))
                assert camera is not None
                assert not camera.running
                assert camera.frames >= state["camera"]["frames"] > 0
                assert camera.dropped_frames >= state["camera"]["dropped_frames"]

    asyncio.run(story())


async def status() -> dict[str, Any]:
    asking = await command("status", "--reader", "R1", "--json")
    said, _ = await asking.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


async def command(*words: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lpr", *words),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
