"""The spool keeps its promises: no sequence twice, no read lost, one process at a time."""

import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpr.errors import SpoolError
from lpr.spool import PICTURE_LIMIT, Spool
from lpr.spool_file import inspect
from proto.ring.v1.ingest_pb2 import PlateRead


def reads(*plates: str) -> list[PlateRead]:
    return [PlateRead(plate=plate, confidence=0.9) for plate in plates]


def told(spool: Spool, epoch: str | None = None) -> list[tuple[int, str]]:
    return [(read.sequence, read.plate) for read in spool.pending(epoch or spool.epoch)]


def test_reads_come_back_in_order_with_their_sequences(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        where = spool.append(reads("AA111AA", "BB222BB"))
        spool.append(reads("CC333CC"))
        assert (where.first, where.last) == (1, 2)
        assert told(spool) == [(1, "AA111AA"), (2, "BB222BB"), (3, "CC333CC")]
        assert [read.plate for read in spool.pending(spool.epoch, after=1, upto=2)] == ["BB222BB"]


def test_reopening_keeps_epoch_counter_and_reads(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        epoch = spool.epoch
        spool.append(reads("AA111AA", "BB222BB"))
        assert spool.forget(epoch, 2) == 2
    with Spool(tmp_path, "R1") as spool:
        assert spool.epoch == epoch
        assert spool.depth() == 0
        assert spool.append(reads("CC333CC")).first == 3


def test_a_batch_stays_under_the_protocols_limits(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        spool.append([PlateRead(plate="AA111AA", lane="x" * 60_000) for _ in range(80)])
        batch = spool.pending(spool.epoch)
        assert 40 < len(batch) < 80
        assert sum(read.ByteSize() for read in batch) < 3 * 1024 * 1024
        spool.append(reads(*["AA111AA"] * 1200))
        assert len(spool.pending(spool.epoch, after=80)) == 1000


def test_a_copied_spool_begins_a_new_epoch_and_keeps_the_old_reads(tmp_path: Path) -> None:
    with Spool(tmp_path / "one", "R1") as spool:
        first = spool.epoch
        spool.append(reads("AA111AA"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with Spool(tmp_path / "two", "R1") as copy:
        assert copy.epoch != first
        assert copy.append(reads("BB222BB")).first == 1
        assert copy.oldest_epoch_with_reads() == first
        assert told(copy, first) == [(1, "AA111AA")]
        assert [epoch.reason for epoch in copy.epochs()] == [
            "new spool",
            "restored or copied spool",
        ]


def test_a_database_restored_in_place_begins_a_new_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with Spool(folder, "R1") as spool:
        first = spool.epoch
        spool.append(reads("AA111AA"))
    backup = (folder / "spool.sqlite").read_bytes()
    with Spool(folder, "R1") as spool:
        assert spool.epoch == first
        spool.append(reads("BB222BB"))
    (folder / "spool.sqlite").write_bytes(backup)
    with Spool(folder, "R1") as spool:
        assert spool.epoch != first


def test_moving_to_a_new_epoch_renumbers_what_waits(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        old = spool.epoch
        spool.append(reads("AA111AA", "BB222BB", "CC333CC"))
        spool.forget(old, 1)
        new = spool.move_to_new_epoch(old, "conflict")
        assert new == spool.epoch != old
        assert told(spool, old) == []
        assert told(spool) == [(1, "BB222BB"), (2, "CC333CC")]
        assert spool.append(reads("DD444DD")).first == 3
        assert spool.depth() == 3


def test_an_older_epoch_moves_behind_what_the_current_one_holds(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        old = spool.epoch
        spool.append(reads("AA111AA"))
        spool.start_epoch("resume point beyond the counter")
        spool.append(reads("BB222BB"))
        assert spool.move_to_new_epoch(old, "conflict") == spool.epoch
        assert told(spool) == [(1, "BB222BB"), (2, "AA111AA")]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1"), pytest.raises(SpoolError, match="in use by process"):
        Spool(tmp_path, "R1")
    Spool(tmp_path, "R1").close()


def test_a_spool_belongs_to_one_reader(tmp_path: Path) -> None:
    Spool(tmp_path, "R1").close()
    with pytest.raises(SpoolError, match="belongs to reader R1"):
        Spool(tmp_path, "R2")


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "ñ"])
def test_reader_ids_are_those_of_the_registry(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpoolError, match="no reader id"):
        Spool(tmp_path, name)


def test_a_damaged_spool_says_what_to_do(tmp_path: Path) -> None:
    Spool(tmp_path, "R1").close()
    (tmp_path / "spool.sqlite").write_bytes(b"this is no database, but long enough to be read" * 99)
    with pytest.raises(SpoolError, match="move the folder aside"):
        Spool(tmp_path, "R1")


def test_pictures_wait_until_named_and_the_oldest_go_first(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1", picture_bytes=2500) as spool:
        spool.append(reads("AA111AA"), [bytes([number]) * 1000 for number in range(4)])
        waiting = spool.pictures(most=9)
        assert [jpeg[0] for _, _, jpeg in waiting] == [2, 3]
        spool.forget_pictures([waiting[0][1]])
        assert spool.picture_count() == 1
        with pytest.raises(ValueError, match="256 KiB"):
            spool.append(reads("BB222BB"), [b"x" * (PICTURE_LIMIT + 1)])
        assert spool.depth() == 1


def test_a_failed_append_stores_nothing_and_uses_no_sequence(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        with pytest.raises(ValueError, match="64 KiB"):
            spool.append([*reads("AA111AA"), PlateRead(lane="x" * 70_000)])
        assert spool.append(reads("BB222BB")).first == 1


def test_it_can_be_looked_into_while_it_is_open(tmp_path: Path) -> None:
    with Spool(tmp_path, "R1") as spool:
        spool.append(reads("AA111AA"))
        spool.note("clock_offset", "0.25")
        state = inspect(tmp_path)
        assert (state.depth, state.notes["clock_offset"]) == (1, "0.25")
    assert inspect(tmp_path).epochs[0].waiting == 1
    with pytest.raises(SpoolError, match="no spool"):
        inspect(tmp_path / "elsewhere")


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 4)),
    st.tuples(st.just("forget"), st.integers(0, 12)),
    st.tuples(st.just("reopen"), st.just(0)),
    st.tuples(st.just("copy"), st.just(0)),
    st.tuples(st.just("move"), st.just(0)),
)


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(STEP, max_size=14))
def test_any_history_gives_no_sequence_twice_and_loses_no_read(
    steps: list[tuple[str, int]],
) -> None:
    given_out: set[tuple[str, int]] = set()
    kept: dict[tuple[str, int], str] = {}
    made = 0
    with TemporaryDirectory() as folder:
        place = Path(folder) / "0"
        spool = Spool(place, "R1")
        for number, (step, amount) in enumerate(steps):
            if step == "append":
                plates = [f"P{made + extra}" for extra in range(amount)]
                made += amount
                where = spool.append(reads(*plates))
                for sequence, plate in enumerate(plates, start=where.first):
                    assert (where.epoch, sequence) not in given_out
                    given_out.add((where.epoch, sequence))
                    kept[where.epoch, sequence] = plate
            elif step == "forget":
                epoch = spool.oldest_epoch_with_reads() or spool.epoch
                upto = min(amount, spool.last_sequence_of(epoch))
                spool.forget(epoch, upto)
                kept = {key: kept[key] for key in kept if key[0] != epoch or key[1] > upto}
            elif step == "move":
                epoch = spool.oldest_epoch_with_reads() or spool.epoch
                moving = [plate for key, plate in sorted(kept.items()) if key[0] == epoch]
                into = spool.move_to_new_epoch(epoch, "conflict")
                kept = {key: kept[key] for key in kept if key[0] != epoch}
                for sequence in range(
                    spool.last_sequence - len(moving) + 1, spool.last_sequence + 1
                ):
                    assert (into, sequence) not in given_out
                    given_out.add((into, sequence))
                    kept[into, sequence] = moving.pop(0)
            else:
                spool.close()
                if step == "copy":
                    shutil.copytree(place, Path(folder) / str(number + 1))
                    place = Path(folder) / str(number + 1)
                spool = Spool(place, "R1")
            found = {
                (epoch.uuid, sequence): plate
                for epoch in spool.epochs()
                for sequence, plate in told(spool, epoch.uuid)
            }
            assert found == kept
            assert spool.depth() == len(kept)
        spool.close()


def test_killed_half_way_nothing_that_was_stored_is_lost(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        from lpr.spool import Spool
        from proto.ring.v1.ingest_pb2 import PlateRead
        spool = Spool({str(tmp_path)!r}, "R1")
        number = 0
        while True:
            where = spool.append([PlateRead(plate=f"P{{number + extra}}") for extra in range(3)])
            number += 3
            print(where.epoch, where.last, flush=True)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().split() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        said += [line.split() for line in writer.stdout if len(line.split()) == 2]
    epoch, last = said[-1]
    with Spool(tmp_path, "R1") as spool:
        assert spool.epoch == epoch
        found = told(spool)
        assert found == [(number + 1, f"P{number}") for number in range(len(found))]
        assert len(found) >= int(last)
        assert len(found) % 3 == 0
        assert spool.append(reads("NEXT1")).first == len(found) + 1
