"""What a running reader shows of itself, and what it never does: plates, or word to others."""

import asyncio
import json
import os
import re
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
from lpr_memory_server import MemoryIngest, serving
from lpr_scenes import film, scene

ROOT = Path(__file__).resolve().parents[2]
PLATE = "AB123CD"


def values(text: str) -> dict[str, float]:
    """Metrics by name; each carries the reader's id and nothing else."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r'(\w+)\{reader="R1"\} (\S+)', line)
            assert match, line
            found[match[1]] = float(match[2])
    return found


async def fetch(address: str) -> str:
    def get() -> str:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(address, timeout=60) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


def test_metrics_and_json_logs_tell_all_but_plates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LPR_LONGEST_SECONDS", "1")
    monkeypatch.setenv("LPR_METRICS", "127.0.0.1:0")
    monkeypatch.setenv("LPR_LOG", "json")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # no way to a ring on loopback
    monkeypatch.setenv("no_proxy", "")
    video = film(tmp_path / "c.avi", [scene([(PLATE, 400, 400)], seed=n) for n in range(12)])

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
            assert running.stderr is not None
            first, address = b"", None
            while address is None:
                line = await asyncio.wait_for(running.stderr.readline(), 60)
                first += line
                address = re.search(r"http://\S+/metrics", line.decode())
            assert await asyncio.wait_for(running.stdout.readline(), 60), first
            for _ in range(100):
                text = await fetch(address[0])
                found = values(text)
                if "lpr_seconds_since_acknowledgement" in found and not found["lpr_spool_reads"]:
                    break
                await asyncio.sleep(0.05)
            running.terminate()
            _, complained = await asyncio.wait_for(running.communicate(), 60)
            assert running.returncode == 0
        assert found["lpr_reads_spooled_total"] == found["lpr_reads_acknowledged_total"] >= 1
        assert found["lpr_connected"] == 1
        assert found["lpr_frames_total"] > 0
        assert found["lpr_frames_per_second"] > 0
        assert abs(found["lpr_clock_offset_seconds"]) < 5
        assert 0 <= found["lpr_seconds_since_acknowledgement"] < 20
        for name in (
            *("lpr_reads_rejected_total", "lpr_reads_lost_total", "lpr_reads_held"),
            *("lpr_spool_reads", "lpr_spool_epochs", "lpr_pictures_dropped_total"),
        ):
            assert found[name] == 0
        assert {"lpr_spool_pictures", "lpr_pictures_stored_total"} < set(found)
        assert "lpr_frames_dropped_total" in found
        lines = [json.loads(line) for line in (first + complained).decode().splitlines()]
        assert all({"event", "level", "logger", "timestamp"} <= set(line) for line in lines)
        assert any(line["event"].startswith("connected as R1") for line in lines)
        assert PLATE not in text
        assert PLATE not in (first + complained).decode()
        documented = (ROOT / "docs" / "what-to-watch.md").read_text(encoding="utf-8")
        assert [name for name in found if name not in documented] == []
        assert service.plates() == [PLATE] * len(service.plates()) != []

    asyncio.run(story())


@pytest.mark.parametrize("address", ["9464", "127.0.0.1:http", "127.0.0.1:99999"])
def test_a_wrong_address_for_metrics_is_named(address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lpr", "status"],
        cwd=ROOT,
        env={**os.environ, "LPR_METRICS": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the setting LPR_METRICS is wrong" in done.stderr
    assert "127.0.0.1:9464" in done.stderr


def test_logs_are_text_where_asked_and_json_where_no_person_looks() -> None:
    program = textwrap.dedent(
        """
        import logging, sys
        from lpr import logs
        logs.configure(sys.argv[1], tool=sys.argv[2] == "tool")
        logging.getLogger("lpr.x").warning("a %s", "warning")
        logs.say("a word", error=True)
        """
    )

    def stderr(mode: str, use: str) -> str:
        command = [sys.executable, "-c", program, mode, use]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr

    plain = "lpr: a warning\nlpr: a word\n"
    assert stderr("text", "service") == stderr("auto", "tool") == plain
    lines = [json.loads(line) for line in stderr("auto", "service").splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("a warning", "warning"),
        ("a word", "error"),
    ]


def test_onnxruntime_is_told_to_keep_quiet_before_it_is_loaded(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, sys

        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name == "onnxruntime":
                    print(os.environ.get("ORT_DISABLE_TELEMETRY"))

        sys.meta_path.insert(0, Watch())
        from lpr.session import make_eye
        from lpr.settings import Settings
        make_eye(Settings(), video=False)
        """
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1"]
    assert list(tmp_path.iterdir()) == []
