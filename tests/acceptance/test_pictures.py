"""From pictures of real cars to timelines and alerts, through the real programs."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Server, ServerFactory

pytestmark = pytest.mark.timeout(180)

_CROPS = 16


def run(*command: str, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A program of ours; the JSON objects it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "--json"],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def server(start_server: ServerFactory, tmp_path: Path) -> Server:
    server = start_server()
    files = {
        "checkpoints.csv": "code,name,latitude,longitude\nGP-01,Puente,-34.54,-58.47\n",
        "readers.csv": "reader_id,checkpoint,lane,direction\ncamera,GP-01,1,entry\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        run("ring.cli", name[:-4], "import", str(tmp_path / name), "--server", server.address)
    return server


def test_real_pictures_become_timelines_and_a_hit(
    server: Server, shared_data: Path, tmp_path: Path
) -> None:
    with (shared_data / "plates" / "manifest.csv").open() as manifest:
        crops = [r for r in csv.DictReader(manifest) if r["file"].startswith("ar/")][:_CROPS]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for row in crops:
        path = shared_data / "plates" / row["file"]
        (folder / path.name).symlink_to(path)
    wanted = crops[0]["plate"]
    (tmp_path / "wanted.csv").write_text(f"plate,reason\n{wanted},stolen\n")
    at = ("--server", server.address)
    run("ring.cli", "hotlist", "import", "wanted", str(tmp_path / "wanted.csv"), *at)
    env = {
        "LPR_OCR_MODEL": str(shared_data / "models" / "cct-xs-v1-global-model"),
        "LPR_SPOOL": str(tmp_path / "spool"),
    }
    read = run("lpr", "read", str(folder), "--reader", "camera", *at, env=env)
    plates = {row["plate"] for row in read if "plate" in row}
    truth = {row["plate"] for row in crops}
    # The model reads about nine of ten; one in four may be wrong in so few.
    assert len(plates & truth) >= 0.75 * len(truth)
    (status,) = run("ring.cli", "status", *at)
    head = f"{status['head']['log_id']}:{status['head']['position']}"
    purpose = ("--case", "1", "--reason", "test", "--at-least", head)
    for plate in sorted(plates & truth):
        answer = run("ring.cli", "timeline", plate, *purpose, *at)
        passages = [row["passage"] for row in answer if "passage" in row] or [
            passage for row in answer for passage in row.get("passages", [])
        ]
        assert [(p["checkpoint"], p["direction"]) for p in passages] == [
            ("GP-01", "DIRECTION_ENTRY")
        ]
    assert wanted in plates
    (alert,) = run("ring.cli", "alerts", "--from-beginning", "--count", "1", *at)
    assert alert["alert"]["sighting"]["plate"] == wanted
    assert alert["alert"]["sighting"]["crop_sha256"]
