"""What the reader does with little room: the spool drops pictures, and reads wait before it."""

import logging
import time
from pathlib import Path

import pytest

from lpr.errors import SpoolFullError
from lpr.holding import Holding
from lpr.spool import Appended, Spool
from proto.ring.v1.ingest_pb2 import PlateRead

MIB = 1024 * 1024


def big(plate: str) -> PlateRead:
    return PlateRead(plate=plate, confidence=0.9, lane="x" * 30_000)


def fill(spool: Spool, size: int = 30_000) -> int:
    """Appends until there is no room; how many went in."""
    for count in range(999):
        try:
            spool.append([PlateRead(plate=f"P{count}", lane="x" * size)])
        except SpoolFullError:
            return count
    raise AssertionError("there is always room")


def waiting(spool: Spool) -> list[str]:
    return [read.plate for read in spool.pending(spool.epoch)]


def test_pictures_make_room_for_reads_oldest_first_and_that_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool:
        for number in range(40):
            spool.append([PlateRead(plate=f"A{number}")], [bytes([number]) * 10_000])
        for number in range(25):
            spool.append([big(f"B{number}")])
        left = [jpeg[0] for _, _, jpeg in spool.pictures(most=99)]
        assert left == list(range(40 - len(left), 40))
        assert 0 < spool.pictures_dropped() == 40 - len(left)
        count = fill(spool)
        assert (spool.picture_count(), spool.pictures_dropped()) == (0, 40)
        assert spool.depth() == 65 + count
        assert (tmp_path / "spool.sqlite").stat().st_size <= MIB
    assert len([line for line in caplog.messages if "waiting pictures dropped" in line]) == 1


def test_a_full_spool_can_be_reopened_delivered_and_moved_to_a_new_epoch(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool:
        count = fill(spool, 3000)
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool:
        with pytest.raises(SpoolFullError, match="make room on its disk, or raise LPR_SPOOL_MAX"):
            spool.append([big("LATE1")])
        new = spool.move_to_new_epoch(spool.epoch, "conflict")
        assert waiting(spool) == [f"P{number}" for number in range(count)]
        assert (tmp_path / "spool.sqlite").stat().st_size <= 1.5 * MIB
        assert spool.forget(new, count // 2) == count // 2
        spool.append([big("LATE2")], [b"jpeg"])
        assert waiting(spool)[-1] == "LATE2"
        assert spool.picture_count() == 1


def test_reads_wait_in_memory_and_go_in_in_order_once_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored: list[Appended] = []
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool:
        count = fill(spool)
        holding = Holding(spool, patient=False, retry=0.02)
        for number in range(5):
            holding.put(big(f"H{number}"), b"jpeg", stored.append)
        assert (len(holding), stored, spool.depth()) == (5, [], count)
        spool.forget(spool.epoch, count)
        holding.close(10)
        assert waiting(spool) == [f"H{number}" for number in range(5)]
        assert [where.first for where in stored] == list(range(count + 1, count + 6))
    assert "1 read waiting in memory" in caplog.text
    assert "has room again: 5 reads from memory went in" in caplog.text


def test_a_camera_loses_what_memory_has_no_room_for_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool, caplog.at_level(logging.WARNING):
        fill(spool)
        holding = Holding(spool, patient=False, most=3, retry=0.02)
        for number in range(5):
            holding.put(big(f"H{number}"), b"", lambda _: None)
        assert (len(holding), holding.lost) == (3, 2)
        assert "3 reads waiting in memory, 1 read lost" in caplog.text
        started = time.monotonic()
        with pytest.raises(SpoolFullError, match="5 reads lost"):
            holding.close(0.2)
        assert time.monotonic() - started < 30


def test_a_file_waits_for_room_instead_of_losing_reads(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1", max_bytes=MIB) as spool:
        count = fill(spool)
        holding = Holding(spool, patient=True, most=2, retry=0.02)
        for number in range(2):
            holding.put(big(f"H{number}"), b"", lambda _: None)
        spool.forget(spool.epoch, count // 2)
        for number in range(2, 6):
            holding.put(big(f"H{number}"), b"", lambda _: None)
        holding.close(10)
        assert waiting(spool)[-6:] == [f"H{number}" for number in range(6)]
        assert holding.lost == 0
