"""Backup, restore, reconcile and readmission, on a server with its read side."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from eventsourcing.persistence import StoredEvent

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, operations_pb2, operations_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import LogPosition, Purpose
from proto.ring.v1.ingest_pb2 import PictureUpload, PlateRead, ReaderHello, ReaderStatus
from proto.ring.v1.investigation_pb2 import GetPictureRequest
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from ring.application import Ring
from ring.backup import backup
from ring.errors import Unavailable
from ring.pictures import Pictures
from ring.store import open_log
from tests.conftest import ROOT, NewStore, Server, ServerFactory
from tests.integration.test_alerts import Subscriber, import_entries, register, send
from tests.vendor import Client, read


def run(server: Server, *command: str) -> subprocess.CompletedProcess[str]:
    """The `ring` command."""
    return subprocess.run(
        [sys.executable, "-m", "ring.cli", *command, "--server", server.address, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ring(server: Server, *command: str, code: int = 0) -> list[dict[str, Any]]:
    """The `ring` command; what it printed as JSON."""
    done = run(server, *command)
    assert done.returncode == code, done.stderr
    if code:
        return [{"error": done.stderr}]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1", "r2")
    import_entries(server, "wanted", HotlistEntry(plate="HIT1"))
    return server


def test_reconcile_accounts_for_every_read(server: Server) -> None:
    epoch = str(uuid4())
    client = Client(server, "r1", epoch)
    client.batch(read(1), read(2, "?"), read(3), read(4))
    client.until(4)
    client.batch(read(3, "OTHER"))
    client.failure()
    (account,) = ring(server, "reconcile")[-1]["accounts"]
    assert account["epoch"] == epoch
    assert {k: int(account.get(k, 0)) for k in ("stored", "rejected", "conflicts", "missing")} == {
        "stored": 3,
        "rejected": 1,
        "conflicts": 1,
        "missing": 0,
    }
    assert int(account["projected"]) == 3
    client = Client(server, "r1", epoch)
    client.batch(read(8), read(9))
    client.until(9)
    client.close()
    (said,) = ring(server, "reconcile", code=1)
    assert "3 sequences never came" in said["error"]


def test_reconcile_tells_what_was_acknowledged_by_a_log_that_is_no_more(server: Server) -> None:
    def missing() -> dict[str, list[tuple[int, int]]]:
        *_, said = map(json.loads, run(server, "reconcile").stdout.splitlines())
        return {
            a["epoch"]: [(int(g["first"]), int(g["last"])) for g in a.get("gaps", ())]
            for a in said["accounts"]
            if a["epoch"] in (known, unknown)
        }

    known, unknown = str(uuid4()), str(uuid4())
    client = Client(server, "r1", known)
    client.batch(read(1), read(2))
    client.until(2)
    client.close()
    assert Client(server, "r1", known, acknowledged=2).close() == grpc.StatusCode.OK
    assert missing() == {known: []}
    # As after a restore.
    for epoch in (known, unknown):
        Client(server, "r1", epoch, acknowledged=7).close()
    assert missing() == {known: [(3, 7)], unknown: [(1, 7)]}
    client = Client(server, "r1", known, acknowledged=7)
    client.batch(read(8))
    client.until(8)
    client.close()
    assert missing() == {known: [(3, 7)], unknown: [(1, 7)]}
    # A reader that has found its reads after all.
    assert Client(server, "r1", unknown).close() == grpc.StatusCode.OK
    assert missing() == {known: [(3, 7)]}


def test_reconcile_tells_of_reads_that_wait_with_their_reader(server: Server) -> None:
    client = Client(server, "r2", str(uuid4()))
    client.send(status=ReaderStatus(spool_depth=1207))
    client.batch(read(1))
    client.until(1)
    told = "1,207 reads in the spools of r2 have not come yet, they said"
    assert told in run(server, "reconcile").stderr
    client.send(status=ReaderStatus(spool_depth=0))
    client.batch(read(2))
    client.until(2)
    client.close()
    assert "spools" not in run(server, "reconcile").stderr


def test_a_rejected_read_is_judged_again(server: Server) -> None:
    client = Client(server, "r2", str(uuid4()))
    client.batch(read(5), read(2, "LATE2"), read(6, "?"))
    client.until(6)
    client.close()
    rejects = {r["read"]["plate"]: r for r in ring(server, "rejects", "--reader", "r2")}
    late = rejects["LATE2"]["position"]["position"]
    (first,) = ring(server, "rejects", "readmit", late)
    (again,) = ring(server, "rejects", "readmit", late)
    assert again["already"]
    assert not first.get("already")
    (said,) = ring(server, "rejects", "readmit", rejects["?"]["position"]["position"], code=1)
    assert "no better today" in said["error"]
    (said,) = ring(server, "rejects", "readmit", "1", code=1)
    assert "nothing was rejected" in said["error"]
    at = f"{first['position']['log_id']}:{first['position']['position']}"
    purpose = ("--case", "1", "--reason", "test", "--at-least", at)
    assert [p["plate"] for p in ring(server, "search", "LATE2", *purpose)] == ["LATE2"]


def test_a_ring_is_restored_from_a_backup_that_was_taken_while_it_ran(
    server: Server, start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    sent = send(server, *(read(n, f"HIT{n}") for n in range(1, 50)))
    subscriber = Subscriber(server, from_beginning=True)
    old = subscriber.wait(1)[-1].position
    subscriber.stop()
    folder = tmp_path / "backup"
    done = ring(server, "backup", str(folder))[-1]
    assert int(done["position"]["position"]) >= sent
    (said,) = ring(server, "backup", str(folder), code=1)
    assert "not empty" in said["error"]
    send(server, read(1, "AFTER"), reader="r2")

    other = start_server(env={"RING_EVENT_STORE": new_store()})
    assert ring(other, "restore", str(folder))[-1]["done"]
    (said,) = ring(other, "restore", str(folder), code=1)
    assert "not empty" in said["error"]
    status = ring(other, "status")[-1]
    assert status["head"]["log_id"] != old.log_id
    # What was going on, a look-back for instance, may have gone on.
    assert int(status["head"]["position"]) >= int(done["position"]["position"])

    # Positions of the log that was lost are refused, and the way on is named.
    with other.channel() as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.Subscribe(alert_pb2.SubscribeRequest(after=[old])))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "from_beginning" in str(caught.value.details())

    gone = f"{old.log_id}:{old.position}"
    for command, way_on in (
        (("alerts", "--after", gone), "say --from-beginning"),
        (("search", "HIT*", "--case", "1", "--reason", "t", "--at-least", gone), "ask without"),
        (("rejects", "--after", gone), "lists the positions of today"),
        (("rejects", "show", gone), "lists the positions of today"),
        (("rejects", "readmit", gone), "lists the positions of today"),
    ):
        (said,) = ring(other, *command, code=1)
        assert "another" in said["error"]
        assert way_on in said["error"]
    bookmark = tmp_path / "state"
    bookmark.write_text(json.dumps({"after": [{"log_id": old.log_id, "position": old.position}]}))
    (said,) = ring(other, "alerts", "--from-beginning", "--state-file", str(bookmark), code=1)
    assert f"delete {bookmark}, and say --from-beginning" in said["error"]
    bookmark.unlink()
    again = ("alerts", "--from-beginning", "--state-file", str(bookmark), "--count", "1")
    assert len(ring(other, *again)) == 1
    assert json.loads(bookmark.read_text())["after"][0]["log_id"] == status["head"]["log_id"]

    # Nothing is raised a second time, and the lists still work.
    subscriber = Subscriber(other, from_beginning=True)
    assert len(subscriber.wait(1)) == 1
    end = send(other, read(1, "HIT1"))
    assert len(subscriber.wait(2)) == 2
    subscriber.wait_for_progress(end)
    assert len(subscriber.alerts) == 2
    subscriber.stop()
    head = LogPosition(log_id=status["head"]["log_id"], position=end)
    purpose = ("--case", "1", "--reason", "t", "--at-least", f"{head.log_id}:{head.position}")
    found = {p["plate"]: int(p["reads"]) for p in ring(other, "search", "*", *purpose)}
    assert found["HIT1"] == 2
    assert "AFTER" not in found
    assert ring(other, "rebuild", "--verify")[-1]["outcome"] == "equal"


class Returning(threading.Thread):
    """A reader that tries again and again, as one whose server is away does."""

    def __init__(self, server: Server, epoch: str, read_: PlateRead) -> None:
        super().__init__(daemon=True)
        self._server, self._epoch, self._read = server, epoch, read_
        self.refused: list[tuple[grpc.StatusCode, str]] = []
        self.resume: int | None = None
        self.start()

    def run(self) -> None:
        while self.resume is None:
            client = Client(self._server, "r1", self._epoch, hello=False)
            client.send(hello=ReaderHello(reader_id="r1", epoch=self._epoch))
            try:
                resume = client.next().committed_sequence
                client.batch(self._read)
                client.until(self._read.sequence)
            except grpc.RpcError as error:
                self.refused.append((error.code(), error.details()))  # type: ignore[attr-defined]
                client.channel.close()
                continue
            client.close()
            self.resume = resume


def test_readers_that_come_back_while_a_ring_is_restored_lose_nothing(
    start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1")
    epoch, jpeg = str(uuid4()), b"\xff\xd8 a picture \xff\xd9"
    digest = hashlib.sha256(jpeg).digest()
    client = Client(server, "r1", epoch)
    client.send(picture=PictureUpload(sha256=digest, jpeg=jpeg))
    for start in range(1, 20_001, 1000):
        client.batch(*(read(n, f"P{n:06}") for n in range(start, start + 1000)))
    client.until(20_000)
    client.close()
    ring(server, "backup", str(tmp_path / "backup"))
    server.stop()

    other = start_server(env={"RING_EVENT_STORE": new_store()})
    reader = Returning(other, epoch, read(20_001, "P020001", crop_sha256=digest))
    assert ring(other, "restore", str(tmp_path / "backup"))[-1]["done"]
    reader.join(30)
    assert reader.resume == 20_000, reader.refused[-3:]
    codes = {code for code, _ in reader.refused}
    assert codes <= {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE}
    assert any("being restored" in text for _, text in reader.refused)
    (account,) = ring(other, "reconcile")[-1]["accounts"]
    assert int(account["stored"]) == 20_001
    with other.channel() as channel:
        found = InvestigationServiceStub(channel).GetPicture(
            GetPictureRequest(purpose=Purpose(case_number="1", reason="t"), sha256=digest)
        )
    assert found.jpeg == jpeg


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def picture(text: bytes) -> tuple[bytes, bytes]:
    """A picture's hash, and itself."""
    jpeg = b"\xff\xd8" + text + b"\xff\xd9"
    return hashlib.sha256(jpeg).digest(), jpeg


def test_a_damaged_backup_is_refused_and_changes_nothing(
    server: Server, start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    send(server, read(1, "KEPT1"))
    good = tmp_path / "good"
    end = ring(server, "backup", str(good))[-1]["position"]["position"]
    manifest = json.loads((good / "backup.json").read_text())

    def damaged(name: str, file: str, content: bytes | None) -> Path:
        folder = Path(shutil.copytree(good, tmp_path / name))
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_bytes(content)
        return folder

    (tmp_path / "empty").mkdir()
    with contextlib.closing(open_log(f"sqlite:///{tmp_path}/empty/events.sqlite")):
        pass
    other_log = (tmp_path / "empty" / "events.sqlite").read_bytes()
    events = (good / "events.sqlite").read_bytes()
    newer = json.dumps(manifest | {"format": 2}).encode()
    empty = start_server(env={"RING_EVENT_STORE": new_store()})
    for folder, told in (
        (tmp_path / "nowhere", "backup.json is missing or damaged"),
        (damaged("cut", "backup.json", None), "backup.json is missing or damaged"),
        (damaged("list", "backup.json", b"[]"), "backup.json is missing or damaged"),
        (damaged("half", "backup.json", b'{"format": 1}'), "backup.json is missing or damaged"),
        (damaged("newer", "backup.json", newer), "newer version (format 2)"),
        (damaged("eventless", "events.sqlite", None), "events.sqlite is missing or damaged"),
        (damaged("short", "events.sqlite", events[:8192]), "events.sqlite is missing or damaged"),
        (damaged("other", "events.sqlite", other_log), f"ends at 0, not at {end}"),
    ):
        (said,) = ring(empty, "restore", str(folder), code=1)
        assert told in said["error"]
        assert not (folder / "events.sqlite-wal").exists()
    before = contents(good)
    assert ring(empty, "restore", str(good))[-1]["done"]
    assert contents(good) == before, "a backup may lie where nothing can be written"


def test_pictures_that_a_backup_lacks_are_told_and_the_rest_is_restored(
    server: Server, start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    client = Client(server, "r1", str(uuid4()))
    pictures = [picture(text) for text in (b"one", b"two", b"three")]
    for number, (digest, jpeg) in enumerate(pictures, 1):
        client.send(picture=PictureUpload(sha256=digest, jpeg=jpeg))
        client.batch(read(number, "PICTURE", crop_sha256=digest))
    client.until(3)
    client.close()
    folder = tmp_path / "backup"
    ring(server, "backup", str(folder))
    files = [folder / "pictures" / d.hex()[:2] / f"{d.hex()}.jpg" for d, _ in pictures]
    files[0].write_bytes(b"\xff\xd8 rotten \xff\xd9")
    files[1].unlink()
    other = start_server(env={"RING_EVENT_STORE": new_store()})
    (said,) = ring(other, "restore", str(folder), code=1)
    assert "the log is restored, but 2 pictures" in said["error"]
    assert any(pictures[0][0].hex() in line for line in other.log)
    with other.channel() as channel:
        stub = InvestigationServiceStub(channel)
        purpose = Purpose(case_number="1", reason="t")
        found = stub.GetPicture(GetPictureRequest(purpose=purpose, sha256=pictures[2][0]))
        assert found.jpeg == pictures[2][1]
    head = [ring(each, "status")[-1]["head"]["position"] for each in (server, other)]
    assert head[0] == head[1]


def test_a_restore_that_was_killed_is_refused_at_the_next_start(
    start_server: ServerFactory, new_store: NewStore, tmp_path: Path
) -> None:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, "r1")
    client = Client(server, "r1", str(uuid4()))
    for start in range(1, 20_001, 1000):
        client.batch(*(read(n, f"P{n:06}") for n in range(start, start + 1000)))
    client.until(20_000)
    client.close()
    ring(server, "backup", str(tmp_path / "backup"))
    other = start_server(env={"RING_EVENT_STORE": new_store()})
    with other.channel() as channel:
        stub = operations_pb2_grpc.OperationsServiceStub(channel)
        call = stub.Restore(operations_pb2.RestoreRequest(folder=str(tmp_path / "backup")))
        assert next(call).events < 20_000
        other.kill()
    other.log.clear()
    with pytest.raises(AssertionError, match="a restore into this ring was cut short"):
        other.start()


def test_a_backup_that_can_not_be_written_on_says_so(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "pictures")
    pictures.store(*picture(b"one"))
    ring_ = Ring(f"sqlite:///{tmp_path}/events.sqlite")
    folder = tmp_path / "backup"
    try:
        with contextlib.closing(open_log(f"sqlite:///{tmp_path}/events.sqlite")) as log:
            log.insert_events([StoredEvent(uuid4(), 1, "ring.read", b"")])
        steps = backup(ring_, pictures, folder)
        next(steps)
        (folder / "pictures").touch()
        with pytest.raises(Unavailable, match=r"can't be written .*remove the folder"):
            next(steps)
        assert not (folder / "backup.json").exists()
    finally:
        ring_.close()
