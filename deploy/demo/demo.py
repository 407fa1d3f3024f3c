"""The main job from end to end on this machine: from a picture of a car to a timeline and a hit.

    make demo                        ends by itself in under a minute
    make run                         keeps it all up until Ctrl-C
    RING_DEMO_SOURCE=PATH make demo  the picture reader takes your own pictures or video

Server, simulated readers, picture reader and subscriber are processes of their own that speak
gRPC. Every hit shown comes from the subscriber, every answer from the `ring` command; this
process starts them, tells the story, and checks at the end that nothing was lost: exit code 1
and a line that says what was missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

import city
from conductor import Conductor
from processes import ROOT, DemoError
from rich.console import Console
from rich.text import Text

SEED = 20
DAY_SECONDS = 14.0
PICTURES = ("AB384WM", "AC127DS", "MKT630", "AD905FH", "GHR418", "AE736UL", "AF248NP", "PLD951")
"""Drawn for the picture reader; the first is on the hotlist."""
HIT = re.compile(r"(?P<at>\S+ \S+) \S+  HIT  (?P<plate>\S+)  at (?P<checkpoint>\S+) ")
PUBLIC = "127.0.0.1:50051"


class Demo(Conductor):
    """The story, step by step. keep: the city goes on, until Ctrl-C."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        super().__init__(
            folder,
            {
                "RING_TIME_ZONE": city.ZONE,
                "RING_CASE": "DEMO-1",
                "RING_REASON": "demonstration",
                "LPR_SPOOL": str(folder / "spool"),
                "PYTHONUNBUFFERED": "1",
                # The wheel of ONNX Runtime would report to its maker.
                "ORT_DISABLE_TELEMETRY": "1",
            },
        )
        self.keep = keep
        given = os.environ.get("RING_DEMO_SOURCE", "")
        self.source = str(Path(given).resolve()) if given else ""
        self.day = datetime.now(ZoneInfo(city.ZONE)).date() - timedelta(days=1)
        self.day_is_over = False
        # (time, plate, checkpoint) as the subscriber printed them.
        self.hits: list[tuple[str, str, str]] = []

    def set_up(self) -> None:
        """The server, its checkpoints, readers and hotlist, and somebody who waits for hits."""
        self.say("A digital ring around a city, on this machine. Made-up traffic, real parts.")
        if not self.source:
            pictures = self.folder / "pictures"
            pictures.mkdir()
            self.drawing = self.start(
                "scene painter", "deploy/demo/scenes.py", str(pictures), *PICTURES
            )
        self.say("Starting the server: event log in SQLite, ClickHouse inside the process ...")
        data = str(self.folder / "data")
        listen = PUBLIC if self.keep and _is_free(PUBLIC) else "127.0.0.1:0"
        server = self.start("server", "server.py", "--data", data, "--listen", listen, "--insecure")
        heard = re.compile(r"listening on (\S+)")
        server.wait_for(lambda: any(map(heard.match, server.lines)), "listen", 60)
        self.address = next(found[1] for found in map(heard.match, server.lines) if found)
        self.env["RING_SERVER"] = self.address
        self.say(f"It listens on {self.address}.")
        readers = self.folder / "readers.csv"
        rows = [("reader_id", "checkpoint", "lane", "direction"), *city.reader_rows()]
        readers.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
        self.ring("checkpoints", "import", "deploy/demo/checkpoints.csv")
        self.ring("readers", "import", str(readers))
        self.ring("hotlist", "import", "wanted", "deploy/demo/hotlist.csv")
        self.say("\nA subscriber waits for hits: $ ring alerts", "bold cyan")
        subscriber = self.start(
            "subscriber", "-m", "ring.cli", "alerts", "--progress", hear=self._hear_alert
        )
        subscriber.wait_for(lambda: bool(subscriber.lines), "subscribe", 30)

    def traffic(self) -> None:
        """A day of the city in seconds, and pictures that are really read."""
        self.say(
            f"\nA day in the city ({self.day}) goes by in {DAY_SECONDS:.0f} seconds: 144 simulated "
            "readers stream it,\n21 of them lose their connection at noon and send their morning "
            "again."
        )
        what = self.source or f"{len(PICTURES)} drawn scenes"
        if not self.source:
            self.drawing.wait(60)
        self.say(f"At {city.CAMERA_CHECKPOINT} the picture reader looks at {what}.\n")
        source = self.source or str(self.folder / "pictures")
        self.camera = self.start(
            "picture reader",
            *("-m", "lpr", "read", source),
            *("--reader", city.CAMERA_READER, "--server", self.address),
            hear=self._hear_camera,
        )
        self.simulation = self.start(
            "simulated readers",
            "deploy/demo/simulated_readers.py",
            *("--server", self.address, "--seed", str(SEED), "--day", self.day.isoformat()),
            *("--seconds", str(DAY_SECONDS), *(["--live"] if self.keep else [])),
            hear=self._hear_simulation,
        )

    def wait_for_camera(self) -> None:
        """Until the pictures are read; a video of one's own may take its time."""
        if self.source and self.camera.running:
            self.say(f"  the picture reader still reads {self.source} ...", "blue")
        self.camera.wait(None if self.source else 60)

    def answers(self) -> None:
        """What an investigator would ask."""
        self.say(f"\nQuestions, each with its purpose (case {self.env['RING_CASE']}):")
        day = self.day.isoformat()
        self.ring("search", "AE4*", "--limit", "10")
        self.ring("timeline", "OPQ194")
        if self.source:
            self.ring("search", "*", "--checkpoint", city.CAMERA_CHECKPOINT, "--limit", "20")
        else:
            self.ring("reads", city.PICTURE_PLATE)
        morning = ("--from", f"{day}T07:00", "--to", f"{day}T10:00")
        self.ring("flows", *morning, "--checkpoint", "GP-04", "--checkpoint", "RI-01")
        self.ring("rejects")
        self.ring("status")

    def verify(self) -> None:
        """Nothing lost, nothing twice."""
        self.say("\nWas anything lost, or counted twice?")
        seen = city.City(SEED).day(self.day)
        good = [read for read in seen if city.is_plate(read.plate)]
        tally = json.loads(self.simulation.lines[-1])
        at_least = ("--at-least", tally["position"], "--limit", "1000000")
        self.check("simulated reads sent and acknowledged", len(seen), tally["acknowledged"])
        everywhere = self.ring("search", "*", *at_least, show=False)
        at_camera = self.ring(
            "search", "*", *at_least, "--checkpoint", city.CAMERA_CHECKPOINT, show=False
        )
        stored = _reads(everywhere) - _reads(at_camera)
        self.check(f"of them stored ({tally['resent']:,} were sent twice)", len(good), stored)
        rejected = self.ring("rejects", "list", show=False)
        self.check("rejected, and on record whole", len(seen) - len(good), len(rejected))
        passages = sum(
            int(str(flow["passages"]))
            for flow in self.ring("flows", "--at-least", tally["position"], show=False)
            if flow["checkpoint"] != city.CAMERA_CHECKPOINT
        )
        self.check("passages", city.count_passages(seen), passages)
        expected = Counter(
            (at.strftime("%Y-%m-%d %H:%M:%S"), plate, checkpoint)
            for at, plate, checkpoint in city.expected_hits(seen)
        )
        _wait_until(lambda: expected <= Counter(self.hits), 15)
        found = Counter(hit for hit in self.hits if hit[2] != city.CAMERA_CHECKPOINT)
        self.check("hits of simulated readers", expected.total(), found.total())
        if expected != found:
            self.missing.append("the hits are not the ones that the hotlist must give")
        if self.source:
            self.say(f"  · plates read from {self.source}: {len(at_camera)}")
        else:
            _wait_until(lambda: self._picture_hits() > 0, 10)
            self.check(f"hit of {city.PICTURE_PLATE} from a picture", 1, self._picture_hits())
            read = {str(plate["plate"]) for plate in at_camera}
            self.say(f"  · pictures read as drawn: {len(read & set(PICTURES))} of {len(PICTURES)}")

    def stay(self) -> None:
        """Until Ctrl-C, with the city going on."""
        self.simulation.wait_for(lambda: self.day_is_over, "reach the end of the day", 60)
        self.wait_for_camera()
        self.say("\nThe city goes on now, two reads a second; hits appear here.", "bold")
        self.say("In another terminal, try:")
        server = "" if self.address == PUBLIC else f" --server {self.address}"
        bin_folder = Path(sys.executable).parent
        shown = bin_folder.relative_to(ROOT) if bin_folder.is_relative_to(ROOT) else bin_folder
        for command in (
            "alerts --from-beginning",
            "search 'AE4*' --case 1 --reason trying",
            "timeline AE417KZ --case 1 --reason trying",
            "flows --checkpoint GP-04",
            "readers list",
            "status",
        ):
            self.say(f"  {shown}/ring {command}{server}")
        self.say(f"The server is at {self.address}. Ctrl-C ends it all.\n")
        while self.all_running("server", "subscriber", "simulated readers"):
            threading.Event().wait(0.5)
        raise DemoError("one of the processes ended by itself")

    # ---- listening ------------------------------------------------------------------------

    def _hear_alert(self, line: str) -> None:
        if hit := HIT.match(line):
            self.hits.append((hit["at"], hit["plate"], hit["checkpoint"]))
            self.say(line, "bold red")

    def _hear_camera(self, line: str) -> None:
        self.say(f"  picture reader: {line}", "blue")

    def _hear_simulation(self, line: str) -> None:
        news = json.loads(line)
        self.day_is_over = self.day_is_over or "day" in news
        if "clock" in news and not self.day_is_over:
            self.say(f"  {news['clock']}  {news['acknowledged']:,} reads acknowledged", "dim")

    def _picture_hits(self) -> int:
        place = (city.PICTURE_PLATE, city.CAMERA_CHECKPOINT)
        return sum(hit[1:] == place for hit in self.hits)


def _reads(plates: list[dict[str, object]]) -> int:
    return sum(int(str(plate.get("reads", 0))) for plate in plates)


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    end = monotonic() + seconds
    while not done() and monotonic() < end:
        threading.Event().wait(0.05)


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="The digital ring from end to end.")
    parser.add_argument("--keep", action="store_true", help="keep it all up until Ctrl-C")
    keep = parser.parse_args().keep
    source = os.environ.get("RING_DEMO_SOURCE")
    if source and not Path(source).exists():
        print(f"demo: RING_DEMO_SOURCE: {source} does not exist", file=sys.stderr)
        return 2
    # Whoever ends us ends what we started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    begun = monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ring-demo-") as folder,
            Demo(Path(folder), keep=keep) as demo,
        ):
            demo.set_up()
            demo.traffic()
            if keep:
                demo.stay()
            demo.simulation.wait(60)
            demo.wait_for_camera()
            demo.answers()
            demo.verify()
            if demo.missing:
                raise DemoError("; ".join(demo.missing))
    except DemoError as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if keep else 130
    Console().print(
        Text(f"\nDone in {monotonic() - begun:.0f} seconds. Nothing is left behind.", "bold green")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
