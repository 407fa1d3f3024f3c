"""An event store without room: nothing is acknowledged, nothing lost, and it goes on by itself."""

import shutil
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest

from tests.conftest import Postgres, Server, ServerFactory
from tests.faults.accounts import reconcile, status
from tests.faults.conftest import ReaderFactory, plates, register, stored, until
from tests.faults.feeding_reader import plate
from tests.vendor import Client, read

pytestmark = pytest.mark.timeout(120)
COUNT = 1500
BULK = 4000
"""Bytes of a read: COUNT of them go into no store that a test has here."""


def trouble(server: Server) -> str:
    return next(part.message for part in status(server).parts if part.part == "event log")


def refusal(server: Server) -> str:
    """What a reader is told whose read can't be stored."""
    client = Client(server, "vendor", str(uuid4()))
    client.batch(*(read(n, f"P{n:05}", lane="x" * BULK) for n in range(1, 501)))
    code, details = client.failure()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert client.rest == []
    return details


def test_at_its_limit_nothing_is_acknowledged_until_the_limit_is_raised(
    start_server: ServerFactory, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    server = start_server(env={"RING_EVENT_STORE_MAX_MIB": "2"})
    register(server, "full", "vendor")
    words = ("--count", COUNT, "--bulk", BULK)
    reader = start_reader(tmp_path / "spool", server.address, "full", *words)
    until(lambda: "no room" in trouble(server))
    (epoch,) = {line.split()[1] for line in reader.said.splitlines() if "epoch" in line}
    details = refusal(server)
    assert "no room" in details
    assert "RING_EVENT_STORE_MAX_MIB" in details
    assert "nothing of this is acknowledged" in details
    # Told once in the log, however often readers come back.
    assert sum("the event log can't be written" in line for line in server.log) == 1
    before = len(stored(server, "full", epoch))
    assert 0 < before < COUNT
    assert reader.process.poll() is None

    server.stop()
    server.env["RING_EVENT_STORE_MAX_MIB"] = "0"
    server.start()
    assert reader.ended_well()
    kept = plates(stored(server, "full", epoch))
    assert kept == [plate("A", n) for n in range(1, COUNT + 1)]
    reconcile(server, {("full", epoch): range(1, COUNT + 1)})
    assert trouble(server) == ""


def test_on_a_disk_without_any_space_it_goes_on_as_soon_as_there_is_room(
    start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """A real ENOSPC: the log has a file system of its own, in a namespace of its own, where
    something else takes the room until it is removed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=16m none "$0" && head -c 12M /dev/zero > "$0/else" && exec "$@"'
    )
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(disk))
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system for himself")
    store = {"RING_EVENT_STORE": f"sqlite:///{disk / 'events.sqlite'}"}
    server = Server(tmp_path / "ring", env=store, before=alone)
    try:
        register(server, "full", "vendor")
        words = ("--count", COUNT, "--bulk", BULK)
        reader = start_reader(tmp_path / "spool", server.address, "full", *words)
        until(lambda: "no room" in trouble(server))
        details = refusal(server)
        assert "make room" in details
        assert "no room" in trouble(server)
        time.sleep(0.5)
        assert reader.process.poll() is None
        inside = Path(f"/proc/{server.process.pid}/root{disk}")
        (inside / "else").unlink()
        assert reader.ended_well()
        (epoch,) = {line.split()[1] for line in reader.said.splitlines() if "epoch" in line}
        # It can be opened in there alone: what it holds is looked at in a copy.
        for part in inside.glob("events.sqlite*"):
            shutil.copy(part, tmp_path)
        server.event_store = f"sqlite:///{tmp_path / 'events.sqlite'}"
        reconcile(server, {("full", epoch): range(1, COUNT + 1)})
        assert trouble(server) == ""
    finally:
        server.stop()
    assert not list(disk.iterdir())


def test_on_a_database_without_any_space_it_goes_on_as_soon_as_there_is_room(
    postgres: Postgres, start_server: ServerFactory, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """PostgreSQL's own error, raised by a rule of this database's."""
    server = start_server(env={"RING_EVENT_STORE": postgres.new_database()})
    register(server, "full", "vendor")
    reader = start_reader(
        tmp_path / "spool", server.address, "full", "--count", COUNT, "--pause", 0.01
    )
    until(lambda: status(server).head.position > 200)
    with psycopg.connect(server.event_store, autocommit=True) as database:
        database.execute(
            """
            CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE 'could not extend file "base/1/2": No space left on device'
                USING ERRCODE = 'disk_full';
            END $$;
            CREATE TRIGGER full_disk BEFORE INSERT ON ring_events
            FOR EACH STATEMENT EXECUTE FUNCTION full_disk()
            """
        )
    until(lambda: "no room" in trouble(server))
    details = refusal(server)
    assert "make room on the database's disk" in details
    assert "nothing of this is acknowledged" in details
    assert reader.process.poll() is None
    with psycopg.connect(server.event_store, autocommit=True) as database:
        database.execute("DROP TRIGGER full_disk ON ring_events")
    assert reader.ended_well()
    (epoch,) = {line.split()[1] for line in reader.said.splitlines() if "epoch" in line}
    kept = plates(stored(server, "full", epoch))
    assert kept == [plate("A", n) for n in range(1, COUNT + 1)]
    reconcile(server, {("full", epoch): range(1, COUNT + 1)})
    assert trouble(server) == ""
