"""The uplink against a real gRPC server that keeps its logs in memory, by the protocol's rules."""

import asyncio
import logging
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lpr_memory_server import MemoryIngest, serving

from lpr.errors import RefusedError, SupersededError, UndeliveredError
from lpr.spool import Spool
from lpr.uplink import Pace, Uplink
from proto.ring.v1.ingest_pb2 import PlateRead

QUICK = Pace(delay=0.01, patience=5.0)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(story(), 60)

    asyncio.run(limited())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def reads(*plates: str) -> list[PlateRead]:
    return [PlateRead(plate=plate, confidence=0.9) for plate in plates]


async def deliver(spool: Spool, server: str, wait: float | None = 10.0) -> Uplink:
    uplink = Uplink(spool, server, pace=QUICK)
    uplink.finish()
    await uplink.run(wait=wait)
    return uplink


def test_reads_are_delivered_acknowledged_and_forgotten(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        service.clock_ahead = 120.0
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                spool.append(reads("AA111AA", "", "BB222BB"))
                uplink = await deliver(spool, server)
                assert spool.depth() == 0
                assert service.plates() == ["AA111AA", "BB222BB"]
                delivery = uplink.delivery
                assert (delivery.sent, delivery.acknowledged, delivery.rejected) == (3, 3, 1)
                assert delivery.clock_offset == pytest.approx(120.0, abs=1.0)
                assert delivery.position is not None
                assert delivery.position.position == 2
                assert service.statuses[0].HasField("clock")
                assert spool.epochs()[0].acknowledged == 3

    run(story)


def test_what_is_appended_while_it_runs_goes_out_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                uplink = Uplink(spool, server, pace=QUICK)
                running = asyncio.create_task(uplink.run())
                for number in range(20):
                    await asyncio.to_thread(spool.append, reads(f"P{number}"))
                    await until(lambda: spool.depth() == 0)
                uplink.finish()
                await running
                assert len(service.plates()) == 20
                assert uplink.delivery.streams == 1

    run(story)


def test_a_server_that_drops_connections_at_random_has_each_read_once(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        chance = random.Random(7)
        service.drop = lambda: chance.random() < 0.12
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                uplink = Uplink(spool, server, pace=QUICK)
                running = asyncio.create_task(uplink.run())
                for start in range(0, 3000, 60):
                    plates = [f"P{start + number}" for number in range(60)]
                    await asyncio.to_thread(spool.append, reads(*plates))
                    await asyncio.sleep(0.01)
                uplink.finish()
                await running
                assert service.plates() == sorted(f"P{number}" for number in range(3000))
                assert len(service.logs) == 1
                assert uplink.delivery.streams > 2
                assert all(not log.rejected for log in service.logs.values())

    run(story)


def test_the_resume_point_alone_makes_it_forget_nothing(tmp_path: Path) -> None:
    """A copy of a spool, whose reads the server has other ones for: all of its own arrive."""

    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path / "one", "R1") as spool:
                epoch = spool.epoch
                spool.append(reads("S1", "S2", "S3"))
                shutil.copytree(tmp_path / "one", tmp_path / "two")
                spool.append(reads("MINE4", "MINE5", "MINE6"))
                await deliver(spool, server)
            # What a copy made while running looks like: the same epoch goes on elsewhere.
            with Spool(tmp_path / "two", "R1") as copy:
                copy._epochs._adopt(1, epoch, 3)
                copy.append(reads("YOURS4", "YOURS5"))
                await deliver(copy, server)
                assert copy.depth() == 0
        assert service.plates() == sorted(
            ["S1", "S2", "S3", "MINE4", "MINE5", "MINE6", "YOURS4", "YOURS5"]
        )

    run(story)


def test_a_resume_point_beyond_the_counter_begins_a_new_epoch(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                first = spool.epoch
                service.logs["R1", first].committed = 500
                uplink = Uplink(spool, server, pace=QUICK)
                running = asyncio.create_task(uplink.run())
                await until(lambda: spool.epoch != first)
                await asyncio.to_thread(spool.append, reads("AA111AA"))
                uplink.finish()
                await running
                assert service.logs["R1", spool.epoch].committed == 1
        assert service.plates() == ["AA111AA"]

    run(story)


def test_older_epochs_are_drained_first(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                epochs = []
                for number in range(3):
                    epochs.append(spool.epoch)
                    spool.append(reads(f"E{number}A", f"E{number}B"))
                    spool.start_epoch("test") if number < 2 else None
                await deliver(spool, server)
                assert list(dict.fromkeys(service.hellos)) == epochs
        assert service.plates() == ["E0A", "E0B", "E1A", "E1B", "E2A", "E2B"]

    run(story)


def test_a_backlog_goes_in_large_batches_and_pictures_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                spool.append(
                    reads(*[f"P{number}" for number in range(5000)]),
                    [b"one", b"two", b"bad", *[bytes([n]) * 9000 for n in range(20)]],
                )
                uplink = await deliver(spool, server)
                assert spool.picture_count() == 0
                assert max(service.batches) == 1000
                assert len(service.pictures) == 22
                assert uplink.delivery.pictures_rejected == 1
                last_batch = len(service.order) - service.order[::-1].index("batch")
                assert service.order.index("picture") >= last_batch

    run(story)


def test_an_unknown_reader_is_told_and_keeps_its_reads(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        service.readers.clear()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                spool.append(reads("AA111AA"))
                with pytest.raises(RefusedError, match="ring readers import"):
                    await deliver(spool, server)
                assert spool.depth() == 1
                service.readers.add("R1")
                service.revoked.add("R1")
                with pytest.raises(RefusedError, match="revoked"):
                    await deliver(spool, server)
                service.revoked.clear()
                await deliver(spool, server)
        assert service.plates() == ["AA111AA"]

    run(story)


def test_a_newer_stream_of_the_same_reader_ends_it(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                uplink = Uplink(spool, server, pace=QUICK)
                running = asyncio.create_task(uplink.run())
                await until(lambda: uplink.delivery.connected)
                service.logs["R1", spool.epoch].newest += 1
                await asyncio.to_thread(spool.append, reads("AA111AA"))
                with pytest.raises(SupersededError, match="another process"):
                    await running
                assert spool.depth() == 1

    run(story)


def test_a_server_that_is_away_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            port = int(server.rpartition(":")[2])
        with Spool(tmp_path, "R1") as spool:
            spool.append(reads("AA111AA"))
            with pytest.raises(UndeliveredError, match=r"no answer from .* in 0\.5 s"):
                await deliver(spool, server, wait=0.5)
            uplink = Uplink(spool, server, pace=QUICK)
            running = asyncio.create_task(uplink.run())
            await asyncio.sleep(0.5)
            async with serving(service, port):
                await until(lambda: spool.depth() == 0)
                uplink.finish()
                await running
        assert service.plates() == ["AA111AA"]

    with caplog.at_level(logging.WARNING, "lpr.uplink"):
        run(story)
    assert len([line for line in caplog.messages if "trying again" in line]) <= 4


def test_a_server_that_never_acknowledges_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        service.mute = True
        async with serving(service) as server:
            with Spool(tmp_path, "R1") as spool:
                spool.append(reads("AA111AA"))
                uplink = Uplink(spool, server, pace=Pace(delay=0.01, patience=0.3))
                running = asyncio.create_task(uplink.run())
                await until(lambda: len(service.hellos) >= 2)
                assert spool.depth() == 1
                service.mute = False
                uplink.finish()
                await running
        assert service.plates() == ["AA111AA"]

    run(story)


def test_a_hello_says_what_was_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        service = MemoryIngest()
        async with serving(service) as server:
            for more in (["AA111AA"] * 3, ["BB222BB"]):
                with Spool(tmp_path, "R1") as spool:
                    spool.append(reads(*more))
                    await deliver(spool, server)
        assert service.acknowledged == [0, 3]

    run(story)


def test_twenty_readers_in_one_loop_keep_up(tmp_path: Path) -> None:
    """Not a benchmark: a floor that only a broken pipeline falls under."""

    async def story() -> None:
        service = MemoryIngest()
        service.readers |= {f"S{number}" for number in range(20)}

        async def one(number: int, server: str) -> None:
            with Spool(tmp_path / str(number), f"S{number}") as spool:
                uplink = Uplink(spool, server, pace=QUICK)
                running = asyncio.create_task(uplink.run())
                for _ in range(10):
                    await asyncio.to_thread(spool.append, reads(*["AA111AA"] * 100))
                uplink.finish()
                await running

        async with serving(service) as server:
            started = time.monotonic()
            await asyncio.gather(*(one(number, server) for number in range(20)))
            rate = 20_000 / (time.monotonic() - started)
        assert sum(len(log.stored) for log in service.logs.values()) == 20_000
        assert rate > 500

    run(story)
