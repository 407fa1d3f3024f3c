"""A subscriber in a terminal: it resumes, reconnects, and prints each hit once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from proto.ring.v1 import alert_pb2
from tests.cli.memory_ring import LOG, MemoryRing, at, error_of, position, run
from tests.conftest import ROOT


@pytest.fixture
def ring() -> Iterator[MemoryRing]:
    ring = MemoryRing()
    yield ring
    ring.stop()


def hit(number: int, plate: str = "AB123CD") -> alert_pb2.SubscribeResponse:
    return alert_pb2.SubscribeResponse(
        alert=alert_pb2.Alert(
            alert_id=f"alert-{number}",
            position=position(number),
            hotlist="stolen",
            agency="default",
            entry=alert_pb2.HotlistEntry(plate=plate, reason="theft \x1b[31m[red]"),
            sighting={"plate": plate, "checkpoint": "GP-01", "direction": 1, "confidence": 0.9}
            | {"captured_at": at("2026-04-01T11:00:00Z")},
            state=alert_pb2.ALERT_STATE_RAISED,
        )
    )


def progress(number: int) -> alert_pb2.SubscribeResponse:
    return alert_pb2.SubscribeResponse(progress=position(number))


def follow(ring: MemoryRing, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ring.cli", "alerts", *arguments, "--server", ring.address]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_hit_is_one_line_with_its_zone_and_nothing_that_steers_the_terminal(
    ring: MemoryRing,
) -> None:
    ring.streams = [[hit(5)]]
    zone = {"RING_TIME_ZONE": "America/Argentina/Buenos_Aires"}
    result = run("alerts", "--count", "1", server=ring.address, env=zone)
    assert result.returncode == 0
    assert result.stdout.count("\n") == 1
    for part in (
        "2026-04-01 08:00:00 -03",
        "HIT  AB123CD  at GP-01 entry  stolen",
        "[red]",
        "alert-5",
    ):
        assert part in result.stdout
    assert "\x1b" not in result.stdout


def test_a_near_match_explains_itself(ring: MemoryRing) -> None:
    message = hit(5, "AB120CD")
    message.alert.sighting.plate = "AB12OCD"
    message.alert.match_probability = 0.314
    message.alert.match_path.append("O→0 at 5")
    ring.streams = [[message]]
    told = run("alerts", "--count", "1", server=ring.address).stdout
    assert "HIT  AB12OCD for AB120CD  at GP-01" in told
    assert "probability 0.31 (O→0 at 5)" in told


def test_json_tells_alerts_and_with_progress_how_far_it_is(ring: MemoryRing) -> None:
    ring.streams = [[progress(3), hit(5)]]
    arguments = ("alerts", "--json", "--progress", "--count", "1", "--hotlist", "stolen")
    result = run(*arguments, "--checkpoint", "GP-01", "--updates", server=ring.address)
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {"progress": {"log_id": LOG, "position": "3"}}
    assert second["alert"]["sighting"]["plate"] == "AB123CD"
    asked = ring.subscribed.get(timeout=60)
    assert (asked.hotlists, asked.checkpoints) == (["stolen"], ["GP-01"])
    assert asked.include_updates
    assert not asked.after


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_broken_stream_is_taken_up_after_the_last_position(
    ring: MemoryRing, code: grpc.StatusCode
) -> None:
    ring.streams = [[hit(5), progress(8), code], [hit(9), code], [hit(12)]]
    result = run("alerts", "--from-beginning", "--json", "--count", "3", server=ring.address)
    assert result.returncode == 0
    ids = [json.loads(line)["alert"]["alert_id"] for line in result.stdout.splitlines()]
    assert ids == ["alert-5", "alert-9", "alert-12"]
    asked = [ring.subscribed.get(timeout=60) for _ in range(3)]
    assert [a.from_beginning for a in asked] == [True, False, False]
    assert [[p.position for p in a.after] for a in asked] == [[], [8], [9]]
    assert "coming back" in result.stderr


def test_a_server_that_restarts_is_waited_for(ring: MemoryRing) -> None:
    ring.streams = [[progress(1)], [hit(2)]]
    process = follow(ring, "--count", "1", "--progress")
    ring.subscribed.get(timeout=60)
    assert "up to position 1" in process.stdout.readline()
    ring.stop()
    time.sleep(0.5)
    ring.restart()
    assert ring.subscribed.get(timeout=60).after[0].position == 1
    code, out, _ = ended(process)
    assert code == 0
    assert "alert-2" in out


def test_without_reconnect_the_end_of_the_stream_is_an_error(ring: MemoryRing) -> None:
    ring.streams = [[hit(5), grpc.StatusCode.UNAVAILABLE]]
    result = run("alerts", "--no-reconnect", server=ring.address)
    assert "try again" in error_of(result)


def test_the_state_file_outlives_the_subscriber(ring: MemoryRing, tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    ring.streams = [[hit(5), hit(6)], [hit(6), progress(30)], [hit(31)]]
    run("alerts", "--from-beginning", "--count", "1", "--state-file", state, server=ring.address)
    process = follow(ring, "--from-beginning", "--json", "--progress", "--state-file", state)
    while "progress" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0
    run("alerts", "--count", "1", "--state-file", state, server=ring.address)
    asked = [ring.subscribed.get(timeout=60) for _ in range(3)]
    assert [[p.position for p in a.after] for a in asked] == [[], [5], [30]]
    assert not asked[1].from_beginning
    kept = json.loads((tmp_path / "state.json").read_text())
    assert kept == {"after": [{"log_id": LOG, "position": 31}]}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_state_file_of_another_log_says_what_to_do(ring: MemoryRing, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"after": [{"log_id": "gone", "position": 3}]}))
    ring.streams = [[grpc.StatusCode.FAILED_PRECONDITION]]
    result = run("alerts", "--state-file", str(state), server=ring.address)
    assert f"delete {state}" in error_of(result)
    state.write_text("not json")
    assert "no state file" in error_of(run("alerts", "--state-file", str(state)))


def test_ctrl_c_is_the_way_to_end(ring: MemoryRing) -> None:
    ring.streams = [[hit(1)]]
    process = follow(ring)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "", "")


def test_no_server_at_all_is_an_error_at_once() -> None:
    assert "no ring server answers at 127.0.0.1:9" in error_of(
        run("alerts", "--server", "127.0.0.1:9")
    )
