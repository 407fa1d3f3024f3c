"""Frames of one vehicle become one read; pictures that stand alone stay alone."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lpr_scenes import film, scene

from lpr.camera import Live, Stills, Video, open_source, shown
from lpr.consensus import Consensus
from lpr.errors import SourceError
from lpr.pipeline import Rules
from lpr.reading import ALPHABET, Box, Candidate, CapturedRead, Detection, Picture, Reading
from lpr.session import Session, make_eye
from lpr.settings import Settings

START = datetime(2024, 4, 30, 12, tzinfo=UTC)
CROP: Picture = np.zeros((10, 30, 3), np.uint8)


def reading(plate: str, sure: float = 0.97, second: str | None = None) -> Reading:
    """A posterior with `sure` on each character and the rest on `second`'s, or spread."""
    rows = np.full((len(plate), 37), 0.0, np.float32)
    for place, character in enumerate(plate):
        rows[place] = (1 - sure) / 36 if second is None else 1e-5
        if second is not None:
            rows[place, ALPHABET.index(second[place])] += 1 - sure
        rows[place, ALPHABET.index(character)] += sure
    return Reading.of(rows / rows.sum(axis=1, keepdims=True))


def at(x: float, what: Reading, y: float = 100, sharp: float = 1.0) -> Candidate:
    return Candidate(what, Box(x, y, 100, 30), 0.9, CROP, sharp)


class Shown:
    """A frame in which these are to be seen."""

    def __init__(self, candidates: list[Candidate]) -> None:
        self._candidates = candidates
        self.places = [[Detection(one.box, one.score)] for one in candidates]
        self.asked = 0

    def read(self, numbers: list[int]) -> list[Candidate | None]:
        self.asked += len(numbers)
        return [self._candidates[number] for number in numbers]

    def shot(self, number: int) -> tuple[Picture, float]:
        return self._candidates[number].crop, self._candidates[number].sharpness


class Watching:
    """A consensus that is shown frames; counts what it has the OCR read."""

    def __init__(self, **options: Any) -> None:
        self.consensus = Consensus("cam", Rules(), **options)
        self.asked = 0

    def see(self, candidates: list[Candidate], seconds: float) -> list[CapturedRead]:
        shown = Shown(candidates)
        reads = self.consensus.see(shown, START + timedelta(seconds=seconds), seconds)
        self.asked += shown.asked
        return reads

    def all(self, frames: Iterable[list[Candidate]], step: float = 0.1) -> list[CapturedRead]:
        reads = []
        for number, candidates in enumerate(frames):
            reads += self.see(candidates, number * step)
        return reads + self.consensus.finish()


def watch(frames: list[list[Candidate]], **options: Any) -> list[CapturedRead]:
    return Watching(**options).all(frames)


def plates(reads: list[CapturedRead]) -> list[str]:
    return [read.reading.plate for read in reads]


def test_posteriors_are_fused_where_a_vote_would_go_wrong() -> None:
    """Two unsure frames say 8, one sure frame says B: the fused posterior says B."""
    frames = [
        [at(0, reading("A8123CD", 0.55, "AB123CD"))],
        [at(10, reading("A8123CD", 0.55, "AB123CD"))],
        [at(20, reading("AB123CD", 0.99, "A8123CD"))],
    ]
    assert plates(Watching().all(frames, step=0.2)) == ["AB123CD"]


def test_the_sharpest_crop_gives_time_and_place() -> None:
    frames = [[at(10 * n, reading("AB123CD"), sharp=5.0 if n == 3 else 1.0)] for n in range(6)]
    (read,) = watch(frames)
    assert read.captured_at == START + timedelta(seconds=0.3)
    assert read.box.x == 30


def test_a_parked_car_is_one_read_and_then_silent() -> None:
    frames = [[at(0, reading("AB123CD"))] for _ in range(300)]
    watching = Watching()
    when = [n for n, candidates in enumerate(frames) if watching.see(candidates, n * 0.1)]
    assert when == [80]
    assert watching.consensus.finish() == []


def test_a_car_parked_for_hours_is_one_read_though_hidden_now_and_then() -> None:
    """Seen twice a second for two hours, behind a lorry for a minute in every ten."""
    watching = Watching()
    reads = []
    for number in range(2 * 3600 * 2):
        hidden = number % 1200 >= 1080
        reads += watching.see([] if hidden else [at(0, reading("AB123CD"))], number * 0.5)
    assert plates(reads) == ["AB123CD"]
    assert watching.asked < 5000


def test_the_ocr_is_spared_once_a_vehicle_is_read() -> None:
    watching = Watching()
    (read,) = watching.all([[at(10 * n, reading("AB123CD", 0.999))] for n in range(40)])
    assert watching.asked < 15
    assert read.reading.confidence > 0.99


def test_a_car_hidden_for_a_moment_is_still_one_read() -> None:
    seen = [[at(10 * n, reading("AB123CD"))] for n in range(10)]
    assert plates(watch([*seen, *[[]] * 20, *seen])) == ["AB123CD"]
    assert plates(watch([*seen, *[[]] * 150, *seen])) == ["AB123CD", "AB123CD"]


def test_two_cars_nose_to_tail_are_two_reads() -> None:
    """The second plate comes up where the first one left, without a gap."""
    frames = [[at(5 * n, reading("AB123CD"))] for n in range(8)]
    frames += [[at(5 * n, reading("KL904XZ"))] for n in range(8)]
    assert sorted(plates(watch(frames))) == ["AB123CD", "KL904XZ"]


def test_two_cars_side_by_side_are_two_reads() -> None:
    frames = [
        [at(20 * n, reading("AB123CD")), at(20 * n, reading("KLM482"), y=300)] for n in range(8)
    ]
    assert sorted(plates(watch(frames))) == ["AB123CD", "KLM482"]


def test_what_one_frame_alone_shows_must_be_sure() -> None:
    assert plates(watch([[at(0, reading("AB123CD", 0.92))]])) == []
    assert plates(watch([[at(0, reading("AB123CD", 0.999))]])) == ["AB123CD"]


def test_a_sign_is_no_vehicle() -> None:
    assert watch([[at(0, reading("PARKING", 0.999))] for _ in range(20)]) == []


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cars pass one after the other, then nothing."""
    frames = [scene([("AB123CD", 150 + 60 * n, 400)], seed=n) for n in range(9)]
    frames += [scene([], seed=n) for n in range(12)]
    frames += [scene([("KLM482", 800 - 60 * n, 380)], seed=n) for n in range(9)]
    return film(tmp_path_factory.mktemp("video") / "drive.avi", frames)


def session(source: Stills | Video | Live, settings: Settings) -> Session:
    return Session(
        source,
        make_eye(settings, video=not isinstance(source, Stills)),
        settings,
        complain=lambda path: None,
        progress=lambda done, total: None,
    )


def test_a_video_of_two_cars_gives_two_reads(drive: Path) -> None:
    settings = Settings()
    source = open_source(str(drive), rate=settings.frames_per_second, start=START)
    reads = list(session(source, settings).reads())
    assert plates(reads) == ["AB123CD", "KLM482"]
    assert START <= reads[0].captured_at < reads[1].captured_at < START + timedelta(seconds=3)
    assert all(read.reading.confidence > 0.9 for read in reads)


def test_a_videos_time_ends_now_unless_its_start_is_known(drive: Path) -> None:
    frames = list(Video(drive, rate=5))
    assert len(frames) in range(11, 14)
    assert timedelta() < datetime.now(UTC) - frames[-1].captured_at < timedelta(seconds=3)


def test_a_stream_that_drops_is_opened_again_and_never_queues(drive: Path) -> None:
    """A file stands in for the camera: at its end, the stream has dropped."""
    camera = Live(str(drive), rate=1000)
    frames = []
    for frame in camera:
        if frame.picture is not None:
            frames.append(frame)
        if camera.reopened:
            camera.close()
    assert camera.dropped + len(frames) >= 30
    assert camera.reopened >= 1


def test_sources_that_are_nothing_say_what_to_give(tmp_path: Path) -> None:
    for text in ("no-such-file.jpg", str(tmp_path)):
        with pytest.raises(SourceError, match="pictur"):
            open_source(text, rate=10)
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(SourceError, match="neither a picture nor a video"):
        open_source(str(tmp_path / "film.mp4"), rate=10)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("rtsp://user:secret@10.0.0.7:554/one") == "rtsp://10.0.0.7:554/one"
