"""Two readers, and a server that is killed again and again: reads sent = reads stored.

One reader is `lpr read` on a camera that loops a drawn checkpoint; the other feeds its spool as
fast as a busy motorway does. Nobody is told when the server dies (kill -9), nor when it is back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from tests.conftest import ROOT, Server
from tests.faults.conftest import plates, register, stored
from tests.lpr.lpr_scenes import plate
from tests.lpr.lpr_video_rtsp import rtsp_camera
from tests.lpr.lpr_video_scene import Checkpoint

FED_A_SECOND = 200


def soak(seconds: float = 600.0, every: float = 20.0) -> dict[str, Any]:
    """Reads sent and stored after so long, the server killed every so many seconds.

    Raises AssertionError where a read is missing, there twice, or out of order.
    """
    scene = Checkpoint(16, seed=2, every=0.3, night=0.0, rate=8)
    frames = [picture for _, picture in scene.frames()]
    with (
        tempfile.TemporaryDirectory(prefix="lpr-soak-") as name,
        rtsp_camera(frames, rate=8) as camera,
    ):
        folder = Path(name)
        server = Server(folder / "ring")
        register(server, "CAM", "FED")
        looking = _Looking(folder, camera.address, server.address)
        count = int(seconds * FED_A_SECOND)
        words = ["-m", "tests.faults.feeding_reader", str(folder / "fed"), server.address, "FED"]
        words += ["--count", str(count), "--chunk", "20", "--pause", str(20 / FED_A_SECOND)]
        feeding = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        kills = 0
        end = time.monotonic() + seconds
        try:
            while time.monotonic() + every < end:
                time.sleep(every)
                server.kill()
                kills += 1
                time.sleep(1.0)
                server.start()
            time.sleep(max(0.0, end - time.monotonic()))
            assert looking.runs(), "the reader at the camera has ended"
            looking.stop()
            looking.deliver(server.address)
            said, _ = feeding.communicate(timeout=600)
        finally:
            looking.kill()
            feeding.kill()
            feeding.wait()
            server.stop()
        epoch = said.split()[1]
        fed = plates(stored(server, "FED", epoch))
        assert fed == [f"A{number:06d}" for number in range(1, count + 1)], "fed ≠ stored"
        seen = stored(server, "CAM", *looking.epochs())
        assert len(seen) > 1, "the reader at the camera saw nothing"
        told = [(one.read.sequence, one.read.plate) for one in seen]
        assert told == looking.sent(), "seen ≠ stored"
    return {"seconds": seconds, "kills": kills, "fed": len(fed), "seen": len(told), "lost": 0}


class _Looking:
    """`lpr read` on a camera, and what it printed: a read is printed once it is in the spool."""

    def __init__(self, folder: Path, address: str, server: str) -> None:
        self._folder = folder
        self._log = folder / "seen.jsonl"
        self._environment = {
            **os.environ,
            "LPR_SPOOL": str(folder / "spools"),
            "LPR_REPEAT_SECONDS": "2",
            "LPR_VIDEO_SIDES": "480",
        }
        self._process = self._start(address, server)

    def _start(self, source: str, server: str) -> subprocess.Popen[str]:
        words = ["-m", "lpr", "read", source, "--reader", "CAM", "--json", "--server", server]
        with self._log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def runs(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(60) in (0, 1)

    def deliver(self, server: str) -> None:
        """One read more, so that all that waits is delivered."""
        crop = self._folder / "last.png"
        cv2.imwrite(str(crop), plate("HJT726"))
        self._process = self._start(str(crop), server)
        assert self._process.wait(120) == 0

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def epochs(self) -> list[str]:
        return list(dict.fromkeys(line["epoch"] for line in self._lines()))

    def sent(self) -> list[tuple[int, str]]:
        return [(line["sequence"], line["plate"]) for line in self._lines()]


if __name__ == "__main__":
    print(soak(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0))
