"""`lpr` as programs and people call it: in a process of its own, against a real server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import cv2
import pytest
from lpr_memory_server import MemoryIngest, serving
from lpr_scenes import film, plate, scene

from tests.terminal import beside_terminal

ROOT = Path(__file__).resolve().parents[2]


def lpr(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lpr", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, a crop, a picture of nothing, a damaged one, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    cv2.imwrite(str(folder / "a-scene.png"), scene([("AB123CD", 300, 420), ("KLM482", 700, 380)]))
    cv2.imwrite(str(folder / "b-crop.png"), plate("HJT726"))
    cv2.imwrite(str(folder / "c-nothing.png"), scene([]))
    (folder / "d-damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    (folder / "notes.txt").write_text("not looked at", encoding="utf-8")
    return folder


def test_a_dry_run_prints_one_object_a_read_and_names_what_it_skipped(folder: Path) -> None:
    done = lpr("read", str(folder), "--dry-run", "--json")
    reads = objects(done)
    assert [set(read) for read in reads] == [
        {"source", "plate", "confidence", "region", "box"}
    ] * len(reads)
    found = {(Path(read["source"]).name, read["plate"]) for read in reads}
    assert found == {
        ("a-scene.png", "AB123CD"),
        ("a-scene.png", "KLM482"),
        ("b-crop.png", "HJT726"),
    }
    crop = next(read for read in reads if read["plate"] == "HJT726")
    assert crop["box"] == [0, 0, 200, 60]
    assert 0 < crop["confidence"] <= 1
    assert done.returncode == 1
    assert "d-damaged.jpg can't be opened" in done.stderr
    assert "1 of 4 pictures" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_reads_go_to_their_file_while_progress_goes_to_the_terminal(
    folder: Path, tmp_path: Path
) -> None:
    done = beside_terminal(
        *("lpr", "read", str(folder), "--dry-run", "--json"),
        file=tmp_path / "reads",
        env=os.environ,
    )
    assert done.answer == lpr("read", str(folder), "--dry-run", "--json").stdout
    assert "reading" in done.shown
    assert "HJT726" not in done.shown


def test_a_picture_of_nothing_prints_nothing_and_succeeds(folder: Path) -> None:
    done = lpr("read", str(folder / "c-nothing.png"), "--dry-run", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["read", "no-such-file", "--dry-run"], 1, "there is no no-such-file"),
        (["read", "x.png"], 1, "--reader ID"),
        (["read"], 2, "Missing argument"),
        (["read", "x.png", "--what"], 2, "No such option"),
        (["status", "--reader", "NOBODY", "--server", "127.0.0.1:1", "--json"], 1, "no spool"),
        (["read", "x.png", "--dry-run", "--at", "tomorrow"], 1, "--at tomorrow is no time"),
    ],
)
def test_errors_are_one_line(words: list[str], code: int, says: str) -> None:
    done = lpr(*words)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_wrong_setting_is_named() -> None:
    done = lpr("read", "x.png", "--dry-run", LPR_MIN_CONFIDENCE="high")
    assert done.returncode == 1
    assert done.stderr.startswith("lpr: the setting LPR_MIN_CONFIDENCE is wrong")


def test_every_command_helps_and_takes_the_common_options() -> None:
    for words in (["read", "x"], ["status"], ["models"], ["models", "fetch"]):
        done = lpr(*words, "--server", "127.0.0.1:1", "--json", "--help")
        assert done.returncode == 0
        assert "--server" in done.stdout
        assert "--json" in done.stdout


def test_models_says_which_one_is_used() -> None:
    models = {model["model"]: model for model in objects(lpr("models", "--json"))}
    assert models["rapidocr"]["used"]
    assert models["rapidocr"]["available"]
    assert sum(model["best"] for model in models.values()) == 1
    assert "rapidocr" in lpr("models").stdout


async def in_process(*words: str) -> tuple[int, str, str]:
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lpr",
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(running.communicate(), 60)
    return running.returncode or 0, said.decode(), complained.decode()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_pictures_go_to_the_server_with_their_crops(folder: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            code, said, _ = await in_process(
                "read", str(folder / "a-scene.png"), "--reader", "R1", "--json", "--server", server
            )
            assert code == 0
            reads = [json.loads(line) for line in said.splitlines()]
            assert [read["sequence"] for read in reads] == [1, 2]
            assert service.plates() == ["AB123CD", "KLM482"]
            assert len(service.pictures) == 2
            code, said, _ = await in_process("status", "--reader", "R1", "--json")
            state = json.loads(said)
            assert (state["depth"], state["pictures"]) == (0, 0)
            assert state["epochs"][0]["acknowledged"] == 2
            assert state["acknowledged_at"]
            assert abs(state["clock_offset_seconds"]) < 5

    run(story())


def test_a_video_goes_to_the_server_as_one_read_a_vehicle(tmp_path: Path) -> None:
    frames = [scene([("AB123CD", 150 + 40 * n, 400)], seed=n) for n in range(8)]
    video = film(tmp_path / "one.avi", frames)

    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            code, _, complained = await in_process(
                "read", str(video), "--reader", "R1", "--server", server
            )
            assert (code, complained) == (0, "")
            assert service.plates() == ["AB123CD"]

    run(story())


def test_without_a_server_the_reads_wait_for_the_next_time(folder: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            pass
        crop = str(folder / "b-crop.png")
        words = ["read", crop, "--reader", "R1", "--server", server, "--wait", "0.5"]
        code, said, complained = await in_process(*words)
        assert code == 1
        assert "HJT726" in said
        assert "1 read kept in" in complained.splitlines()[-1]
        service.readers.clear()
        port = int(server.rpartition(":")[2])
        async with serving(service, port):
            code, _, complained = await in_process(*words)
            assert code == 1
            assert "2 reads kept" in complained
            assert "ring readers import" in complained
            service.readers.add("R1")
            code, _, _ = await in_process(*words)
            assert code == 0
        assert service.plates() == ["HJT726"] * 3

    run(story())


def test_a_camera_is_stopped_in_good_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's address stands in for a camera that drops and comes back."""
    monkeypatch.setenv("LPR_LONGEST_SECONDS", "1")
    video = film(tmp_path / "c.avi", [scene([("AB123CD", 400, 400)], seed=n) for n in range(12)])

    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            running = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "lpr", "read", video.as_uri(), "--reader", "R1", "--server", server),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert running.stdout is not None
            line = await asyncio.wait_for(running.stdout.readline(), 60)
            assert line.split()[0] == b"AB123CD"
            running.terminate()
            await asyncio.wait_for(running.communicate(), 60)
            assert running.returncode == 0
            assert service.plates() == ["AB123CD"]

    run(story())
