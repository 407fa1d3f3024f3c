"""`make demo` from end to end, as somebody sees it who has just cloned the repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEMO = [sys.executable, "deploy/demo/demo.py"]


def environment(folder: Path, **extra: str) -> dict[str, str]:
    # No model is fetched: the test needs no network, and reads with what the wheels hold.
    return os.environ | {"TMPDIR": str(folder), "LPR_OCR_FETCH": "false"} | extra


@pytest.fixture
def folder() -> Path:
    """A short path: the server's socket lies under it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


@pytest.mark.timeout(150)
def test_the_demo_tells_its_story_checks_itself_and_leaves_nothing(folder: Path) -> None:
    result = subprocess.run(
        DEMO,
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for line in (
        "73 added",
        "HIT  AB384WM  at RI-12 entry",
        "$ ring search 'AE4*'",
        "missed-exit",
        "$ ring flows",
        "simulated reads sent and acknowledged: 5367",
        "hits of simulated readers: 33",
        "hit of AB384WM from a picture: 1",
        "pictures read as drawn: 8 of 8",
        "Nothing is left behind",
    ):
        assert line in result.stdout
    assert "✗" not in result.stdout
    assert list(folder.iterdir()) == []


def test_a_source_that_does_not_exist_is_one_clear_line(folder: Path) -> None:
    result = subprocess.run(
        DEMO,
        cwd=ROOT,
        env=environment(folder, RING_DEMO_SOURCE="/no/such/picture.jpg"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "/no/such/picture.jpg does not exist" in result.stderr


def commands_below(folder: Path) -> str:
    """The command lines that name this folder, one a line; empty where nothing runs in it."""
    every = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True)
    return "\n".join(line for line in every.stdout.splitlines() if str(folder) in line)


@pytest.mark.timeout(120)
def test_ctrl_c_ends_every_process_and_the_folder(folder: Path) -> None:
    process = subprocess.Popen(
        DEMO, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "A day in the city" in line:
            break
    # The very moment that a child starts is when it is easiest to forget.
    while "--reader" not in commands_below(folder):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(folder.iterdir()) == []
    assert commands_below(folder) == ""


@pytest.mark.timeout(150)
def test_ones_own_pictures_are_read_and_the_ring_is_kept_up_until_ctrl_c(
    folder: Path, tmp_path: Path
) -> None:
    drawn = [sys.executable, "deploy/demo/scenes.py", str(tmp_path), "AF248NP"]
    subprocess.run(drawn, cwd=ROOT, check=True, timeout=60)
    process = subprocess.Popen(
        [*DEMO, "--keep"],
        cwd=ROOT,
        env=environment(folder, RING_DEMO_SOURCE=str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    told = []
    try:
        for line in process.stdout:
            told.append(line)
            if "Ctrl-C ends it all" in line:
                break
        address = told[-1].split()[4].rstrip(".")
        alerts = [sys.executable, "-m", "ring.cli", "alerts", "--from-beginning", "--count", "1"]
        subprocess.run([*alerts, "--server", address], cwd=ROOT, check=True, timeout=60)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert any("picture reader: AF248NP" in line for line in told), told
    assert process.returncode == 0
    assert list(folder.iterdir()) == []
    assert commands_below(folder) == ""
