"""A spool whose disk is full: pictures go first, reads wait in memory, and nothing is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lpr.spool_file import inspect
from tests.conftest import ROOT, NewStore, Server, ServerFactory
from tests.faults.accounts import reconcile
from tests.faults.conftest import FeedingReader, ReaderFactory, plates, register, stored, until
from tests.faults.feeding_reader import plate

pytestmark = pytest.mark.timeout(120)
READERS = ["limited", "camera", "tmpfs", "filesize"]
COUNT = 1200
BULK = 4000
"""Bytes of a read: COUNT of them go into no disk that a test has here."""
STARVED = ("--count", COUNT, "--bulk", BULK, "--pictures", 60)


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    """A ring that is not there yet: started by each test, once the disk is full."""
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, *READERS)
    server.stop()
    return server


@pytest.fixture
def up(server: Server) -> Any:
    yield server.start
    server.stop()


def warnings(reader: FeedingReader) -> list[str]:
    lines = [json.loads(line) for line in reader.complained.splitlines()]
    return [line["event"] for line in lines if line["level"] == "warning"]


def check_all_arrived(server: Server, reader: FeedingReader, name: str) -> None:
    """Every read is stored once and in order; pictures went, and that was told once."""
    assert reader.ended_well()
    _, epoch, _, dropped = reader.said.split()
    assert plates(stored(server, name, epoch)) == [plate("A", n) for n in range(1, COUNT + 1)]
    reconcile(server, {(name, epoch): range(1, COUNT + 1)})
    told = warnings(reader)
    assert len([line for line in told if "oldest waiting pictures dropped" in line]) == 1
    full = [line for line in told if "1 read waiting in memory" in line]
    assert full
    assert "make room on its disk, or raise LPR_SPOOL_MAX_MIB" in full[0]
    assert any("has room again" in line for line in told)
    assert int(dropped) == 60  # there were far too many reads for any to stay


def test_at_its_limit_pictures_go_first_then_reads_wait_until_there_is_room(
    server: Server, up: Any, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    reader = start_reader(spool, server.address, "limited", *STARVED, "--max-mib", 1)
    until(lambda: "waiting in memory" in reader.complained)
    state = inspect(spool)
    assert state.pictures == 0
    assert 150 < state.depth < COUNT
    assert (spool / "spool.sqlite").stat().st_size <= 1024 * 1024
    up()
    check_all_arrived(server, reader, "limited")


def test_where_no_file_may_grow_it_goes_on_in_the_same_way(
    server: Server, up: Any, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """A limit on the size of files (EFBIG), as a quota would: the disk itself says no."""
    spool = tmp_path / "spool"
    limit = 3_000_000
    reader = start_reader(spool, server.address, "filesize", *STARVED, "--file-limit", limit)
    until(lambda: "waiting in memory" in reader.complained)
    up()
    check_all_arrived(server, reader, "filesize")


def test_on_a_disk_without_any_space_left_it_goes_on_in_the_same_way(
    server: Server, up: Any, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """A real ENOSPC: the spool has a file system of its own, in a namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=5m none "$0" && exec "$@"'
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(disk))
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system for himself")
    reader = start_reader(disk / "spool", server.address, "tmpfs", *STARVED, before=alone)
    until(lambda: "waiting in memory" in reader.complained)
    up()
    check_all_arrived(server, reader, "tmpfs")
    assert "LPR_SPOOL_MAX_MIB" in reader.complained


def crop(path: Path, text: str) -> str:
    """A picture of a plate."""
    picture = np.full((60, 200, 3), 235, np.uint8)
    cv2.rectangle(picture, (2, 2), (197, 57), (20, 20, 20), 2)
    cv2.putText(picture, text, (14, 44), cv2.FONT_HERSHEY_DUPLEX, 1.2, (15, 15, 15), 2, cv2.LINE_AA)
    cv2.imwrite(str(path), picture)
    return text


def test_lpr_read_holds_its_reads_until_the_spool_has_room(
    server: Server, up: Any, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    filler = start_reader(
        *(tmp_path / "spool" / "camera", server.address, "camera"),
        *("--count", COUNT, "--bulk", BULK, "--max-mib", 1, "--no-uplink"),
    )
    until(lambda: "waiting in memory" in filler.complained)
    filler.kill()
    waiting = inspect(tmp_path / "spool" / "camera").depth

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    seen = [crop(pictures / f"{n}.png", text) for n, text in enumerate(("AB123CD", "HJT726"))]
    at = ("--reader", "camera", "--server", server.address)
    with subprocess.Popen(
        [sys.executable, "-m", "lpr", "read", str(pictures), *at, "--json"],
        cwd=ROOT,
        env={
            **os.environ,
            "LPR_SPOOL": str(tmp_path / "spool"),
            "LPR_SPOOL_MAX_MIB": "1",
            "LPR_OCR_MODEL": "rapidocr",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        while "1 read waiting in memory" not in json.loads(running.stderr.readline())["event"]:
            pass
        up()
        said, complained = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "2 reads from memory went in" in complained
    shown = [json.loads(line) for line in said.splitlines()]
    assert [(one["plate"], one["sequence"]) for one in shown] == [
        (text, waiting + number) for number, text in enumerate(seen, 1)
    ]
    epoch = shown[0]["epoch"]
    arrived = plates(stored(server, "camera", epoch))
    assert arrived == [plate("A", n) for n in range(1, waiting + 1)] + seen
    reconcile(server, {("camera", epoch): range(1, waiting + len(seen) + 1)})
