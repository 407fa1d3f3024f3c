"""The `ring` command against the real server: from a spreadsheet to a timeline and an alert."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import Direction
from proto.ring.v1.ingest_pb2 import PictureUpload
from tests.cli.memory_ring import error_of, lines_of, run
from tests.conftest import ROOT, Server, ServerFactory
from tests.vendor import Client, read

ENV = {
    "RING_CASE": "C-1",
    "RING_REASON": "test",
    "RING_TIME_ZONE": "America/Argentina/Buenos_Aires",
}
JPEG = b"\xff\xd8\xff\xe0" + bytes(200)
DIGEST = hashlib.sha256(JPEG).digest()


def at(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


class Ring:
    """A server with two checkpoints, two readers, a hotlist, and a handful of reads."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.file("checkpoints.csv", "code,name,latitude,longitude\nA,Norte,-34.5,-58.4\nB,Sur,1,1")
        self.file("readers.csv", "reader_id,checkpoint,lane,direction\nr1,A,1,entry\nr2,B,2,exit")
        self.file("list.csv", "plate,reason,priority\nAB123CD,theft,high\nZZ999ZZ,,")
        self.imported = [
            run(*command, server=server.address, env=ENV)
            for command in (
                ("checkpoints", "import", self.file("checkpoints.csv")),
                ("readers", "import", self.file("readers.csv")),
                ("hotlist", "import", "stolen", self.file("list.csv")),
            )
        ]
        self.at_least = self._stream()

    def file(self, name: str, text: str = "") -> str:
        path = self.folder / name
        if text:
            path.write_text(text + "\n")
        return str(path)

    def _stream(self) -> str:
        entries = Client(self.server, "r1", str(uuid.uuid4()))
        first = at("2026-04-01T11:00:00.250Z")
        entries.send(picture=PictureUpload(sha256=DIGEST, jpeg=JPEG))
        entries.batch(
            read(1, captured_at=first, crop_sha256=DIGEST, region="AR"),
            read(2, "AB124CD", captured_at=at("2026-04-01T11:05:00Z")),
            read(3, "!!", captured_at=first),
        )
        entries.until(3)
        entries.close()
        exits = Client(self.server, "r2", str(uuid.uuid4()))
        exits.batch(read(1, captured_at=at("2026-04-01T13:00:00Z")))
        position = exits.until(1)[-1].position
        exits.close()
        return f"{position.log_id}:{position.position}"

    def ask(self, *arguments: str) -> list[dict[str, object]]:
        return lines_of(self.show(*arguments, "--json"))

    def show(self, *arguments: str):
        return run(*arguments, server=self.server.address, env=ENV)


@pytest.fixture(scope="module")
def ring(start_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Ring:
    return Ring(start_server(), tmp_path_factory.mktemp("files"))


def test_what_was_imported_is_listed(ring: Ring) -> None:
    assert [result.returncode for result in ring.imported] == [0, 0, 0]
    assert [c["code"] for c in ring.ask("checkpoints", "list")] == ["A", "B"]
    assert [r["reader_id"] for r in ring.ask("readers", "list")] == ["r1", "r2"]
    [hotlist] = ring.ask("hotlist", "list")
    assert (hotlist["name"], hotlist["agency"], hotlist["entries"]) == ("stolen", "default", "2")
    again = ring.show("checkpoints", "import", ring.file("checkpoints.csv"))
    assert "0 added, 0 changed, 2 unchanged" in again.stdout


def test_a_search_waits_for_the_read_side(ring: Ring) -> None:
    found = ring.ask("search", "AB12?CD", "--at-least", ring.at_least)
    assert [(p["plate"], p["reads"]) for p in found] == [("AB123CD", "2"), ("AB124CD", "1")]
    here = ring.ask("search", "ab*", "--checkpoint", "B", "--from", "2026-04-01")
    assert [p["plate"] for p in here] == ["AB123CD"]
    assert ring.ask("search", "AB*", "--to", "2026-03-31") == []


def test_a_timeline_shows_passages_and_visits_in_the_zone(ring: Ring) -> None:
    [timeline] = ring.ask("timeline", "AB123CD", "--at-least", ring.at_least)
    assert [p["checkpoint"] for p in timeline["passages"]] == ["A", "B"]
    [visit] = timeline["visits"]
    assert (visit["entry_checkpoint"], visit["exit_checkpoint"]) == ("A", "B")
    shown = ring.show("timeline", "AB123CD").stdout
    assert "2026-04-01 08:00:00" in shown
    assert "1 h 59 min" in shown or "2 h 00 min" in shown
    assert "times in America/Argentina/Buenos_Aires" in shown


def test_flows_need_no_purpose(ring: Ring) -> None:
    result = run(
        *("flows", "--at-least", ring.at_least, "--checkpoint", "A", "--json"),
        server=ring.server.address,
    )
    assert lines_of(result) == [
        {
            "checkpoint": "A",
            "direction": "DIRECTION_ENTRY",
            "hour": "2026-04-01T11:00:00Z",
            "passages": "2",
            "lane": "",
            "usual": 0.0,
            "unusual_drop": False,
        }
    ]


def test_a_read_leads_to_its_picture(ring: Ring) -> None:
    first = ring.ask("reads", "AB123CD", "--at-least", ring.at_least)[0]
    assert first["direction"] == Direction.Name(Direction.DIRECTION_ENTRY)
    target = ring.folder / "plate.jpg"
    for name in (DIGEST.hex(), str(first["crop_sha256"])):
        assert ring.show("picture", name, "-o", str(target)).returncode == 0
        assert target.read_bytes() == JPEG
        assert target.stat().st_mode & 0o077 == 0
    assert base64.b64decode(str(first["crop_sha256"])) == DIGEST
    nothing = ring.show("picture", "00" * 32, "-o", str(target))
    assert "picture" in error_of(nothing)


def test_alerts_are_followed_acknowledged_and_resolved(ring: Ring) -> None:
    found = ring.ask("alerts", "--from-beginning", "--count", "2")
    alerts = [message["alert"] for message in found]
    assert [a["sighting"]["checkpoint"] for a in alerts] == ["A", "B"]
    assert {a["entry"]["reason"] for a in alerts} == {"theft"}
    first = str(alerts[0]["alert_id"])
    assert "SEEN  AB123CD" in ring.show("alerts", "acknowledge", first, "--note", "on it").stdout
    assert "CLOSED (not of interest)" in (
        ring.show("alerts", "resolve", first, "not-of-interest").stdout
    )
    assert ring.show("alerts", "resolve", first, "confirmed").returncode == 1
    assert ring.show("alerts", "acknowledge", str(uuid.uuid4())).returncode == 1
    place = alerts[0]["position"]
    after = ("--after", f"{place['log_id']}:{place['position']}")
    states = [
        message["alert"].get("state")
        for message in ring.ask("alerts", "--updates", *after, "--count", "3")
    ]
    assert states == ["ALERT_STATE_RAISED", "ALERT_STATE_ACKNOWLEDGED", "ALERT_STATE_RESOLVED"]


def test_a_rejected_read_is_on_record(ring: Ring) -> None:
    [reject] = ring.ask("rejects", "--reader", "r1")
    position = str(reject["position"]["position"])
    assert ring.ask("rejects", "show", position)[0]["read"]["plate"] == "!!"
    assert ring.ask("rejects", "list", "--reader", "r2") == []


def test_status_and_rebuild(ring: Ring) -> None:
    [status] = ring.ask("status")
    assert status["read_side"] == "ok"
    outcome = ring.ask("rebuild", "--verify")[-1]
    assert outcome["outcome"] == "equal", json.dumps(outcome)
    assert "rebuilt" in ring.show("rebuild").stdout
    assert len(ring.ask("search", "AB*")) == 2


def test_questions_over_many_plates(ring: Ring) -> None:
    seen = ("--at-least", ring.at_least)
    first, *_ = ring.ask("search", "AB123CD", "--fuzzy", *seen)
    assert (first["plate"], first["score"]) == ("AB123CD", 1.0)
    [met] = ring.ask("companions", "AB123CD", "--within", "10m", "--min-encounters", "1")
    assert (met["plate"], met["encounters"]) == ("AB124CD", 1)
    there = ring.ask("common", "A@2026-04-01/2026-04-01", "B@2026-04-01T09:00/2026-04-01T11:00")
    assert [(p["plate"], p["scenes"]) for p in there] == [("AB123CD", 2)]
    day = ("--from", "2026-04-01", "--to", "2026-04-01", "--min-confidence", "0.1")
    [clone] = ring.ask("clones", *day)
    assert (clone["plate"], clone["second"]["checkpoint"]) == ("AB123CD", "B")
    assert "AB123CD" in ring.show("clones", *day, "--hints").stdout
    inside = ring.ask("present", "--at", "2026-04-01T12:00:00Z")
    assert [v["plate"] for v in inside] == ["AB123CD", "AB124CD"]
    assert "1 vehicle" in ring.show("present", "--at", "2026-04-01T14:00:00Z").stdout
    lanes = ring.ask("flows", "--by-lane", "--compare", "--direction", "entry")
    assert [(f["checkpoint"], f["lane"], f["passages"]) for f in lanes] == [("A", "1", "2")]
    assert "entry or exit" in error_of(ring.show("flows", "--direction", "up"))


def test_entries_come_off_a_list_and_a_reader_is_revoked(ring: Ring) -> None:
    removed = ring.show("hotlist", "remove", "stolen", "--plate", "ZZ999ZZ")
    assert "1 removed; default/stolen has 1 entry" in removed.stdout
    assert ring.show("hotlist", "create", "vip", "--floor", "0.8").returncode == 0
    assert "vip" in error_of(ring.show("hotlist", "create", "vip"))
    assert ring.show("readers", "revoke", "r2").stdout == "r2 is revoked\n"
    assert ring.show("readers", "revoke", "r9").returncode == 1


def test_a_subscriber_goes_on_after_the_server_was_killed(
    start_server: ServerFactory, tmp_path: Path
) -> None:
    server = start_server()
    Ring(server, tmp_path)
    command = (*("alerts", "--from-beginning", "--json"), "--state-file", str(tmp_path / "state"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ring.cli", *command, "--server", server.address],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = [json.loads(process.stdout.readline()) for _ in range(2)]
    server.kill()
    server.start()
    client = Client(server, "r1", str(uuid.uuid4()))
    client.batch(read(1, captured_at=at("2026-04-01T14:00:00Z")))
    client.until(1)
    client.close()
    found.append(json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGTERM)
    rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    assert "is back" in said
    assert len({message["alert"]["alert_id"] for message in found}) == 3
    kept = json.loads((tmp_path / "state").read_text())["after"]
    assert kept[0]["position"] >= int(found[-1]["alert"]["position"]["position"])
