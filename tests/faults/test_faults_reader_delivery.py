"""Readers that are killed or copied, a server that is away or not what it was: each read once."""

import random
import shutil
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lpr.spool_file import inspect
from proto.ring.v1 import alert_pb2, alert_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.conftest import NewStore, Server, ServerFactory
from tests.faults.accounts import accounts, reconcile
from tests.faults.conftest import FeedingReader, ReaderFactory, plates, register, stored, until
from tests.faults.feeding_reader import plate
from tests.integration.test_alerts import import_entries
from tests.vendor import Client

pytestmark = pytest.mark.timeout(120)
READERS = ["killed", "cloned", "day", "restored", "emptied"]


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    server = start_server(env={"RING_EVENT_STORE": new_store()})
    register(server, *READERS)
    return server


def all_plates(prefix: str, count: int) -> list[str]:
    return [plate(prefix, number) for number in range(1, count + 1)]


def use(server: Server, event_store: str) -> None:
    """From its next start on."""
    server.event_store = server.env["RING_EVENT_STORE"] = event_store


def copied(server: Server, folder: Path) -> tuple[Path, str]:
    """Copies of a stopped ring's data and log; the log's is a store of its own."""
    shutil.copytree(server.data, folder / "data", symlinks=True)  # as cp -a
    path = server.event_store.removeprefix("sqlite:///")
    if path != server.event_store:
        for part in Path(path).parent.glob("events.sqlite*"):
            shutil.copy(part, folder)
        return folder / "data", f"sqlite:///{folder / 'events.sqlite'}"
    name = conninfo_to_dict(server.event_store)["dbname"]
    with psycopg.connect(server.event_store, dbname="postgres", autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    return folder / "data", server.event_store.replace(f"/{name}?", f"/{name}_copy?")


def put_back(server: Server, copy: tuple[Path, str]) -> None:
    shutil.rmtree(server.data)
    shutil.copytree(copy[0], server.data, symlinks=True)
    use(server, copy[1])


def epochs(folder: Path) -> list[str]:
    return [epoch.uuid for epoch in inspect(folder).epochs]


def test_a_reader_killed_at_any_moment_delivers_each_read_once(
    server: Server, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    moments = random.Random(20)
    count = 1200
    words = (tmp_path / "spool", server.address, "killed", "--count", count, "--pause", 0.03)
    for _ in range(5):
        reader = start_reader(*words)
        time.sleep(moments.uniform(0.5, 1.4))  # some die before they have sent anything
        reader.kill()
    assert start_reader(*words).ended_well()
    (epoch,) = epochs(tmp_path / "spool")
    assert plates(stored(server, "killed", epoch)) == all_plates("A", count)
    assert inspect(tmp_path / "spool").depth == 0
    reconcile(server, {("killed", epoch): range(1, count + 1)})


def test_two_copies_of_a_spool_deliver_all_that_differs_and_what_they_share_once(
    server: Server, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """They disturb each other while both have reads of the shared epoch: the older of the two
    streams ends and says so, and that reader, started again as a supervisor would, goes on."""
    one, two = tmp_path / "one", tmp_path / "two"
    first = start_reader(
        one, "127.0.0.1:1", "cloned", "--count", 300, "--plates", "S", "--no-uplink"
    )
    until(lambda: "spooled" in first.said)
    first.kill()
    shutil.copytree(one, two)
    (shared,) = epochs(one)
    words = {
        one: (one, server.address, "cloned", "--plates", "O", "--count", 700, "--pause", 0.05),
        two: (two, server.address, "cloned", "--plates", "T", "--count", 400, "--pause", 0.05),
    }
    running = {folder: start_reader(*words[folder]) for folder in words}
    deadline = time.monotonic() + 60
    while running:
        assert time.monotonic() < deadline
        for folder, reader in list(running.items()):
            code = reader.process.poll()
            if code == 0:
                del running[folder]
            elif code is not None:
                assert "another process now streams as reader cloned" in reader.complained
                running[folder] = start_reader(*words[folder])
        time.sleep(0.05)

    (same,) = epochs(one)
    before, new = epochs(two)
    assert same == before == shared != new
    own = [plate("O", number) for number in range(301, 701)]
    assert plates(stored(server, "cloned", shared)) == all_plates("S", 300) + own
    assert plates(stored(server, "cloned", new)) == all_plates("T", 400)
    assert inspect(two).epochs[-1].reason == "restored or copied spool"
    truth = {("cloned", shared): range(1, 701), ("cloned", new): range(1, 401)}
    reconcile(server, truth)


def test_a_day_without_a_server_arrives_whole_in_order_and_its_alerts_say_delayed(
    server: Server, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    count = 50_000
    wanted = [plate("D", number) for number in (1, 25_000, count)]
    import_entries(server, "day", *(HotlistEntry(plate=one, reason="test") for one in wanted))
    server.stop()
    every = 86_400 / count
    words = (tmp_path / "spool", server.address, "day", "--plates", "D", "--count", count)
    reader = start_reader(*words, "--chunk", 1000, "--every", every)
    until(lambda: "spooled" in reader.said, 60)
    assert inspect(tmp_path / "spool").depth == count

    process = psutil.Process(reader.process.pid)
    at_first = largest = process.memory_info().rss
    server.start()
    deadline = time.monotonic() + 60
    while reader.process.poll() is None:
        assert time.monotonic() < deadline
        try:
            largest = max(largest, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    assert reader.ended_well()
    assert largest - at_first < 64 * 1024 * 1024

    (epoch,) = epochs(tmp_path / "spool")
    kept = stored(server, "day", epoch)
    assert plates(kept) == all_plates("D", count)
    captured = [one.read.captured_at.ToMilliseconds() for one in kept]
    assert captured == sorted(captured)
    assert captured[-1] - captured[0] > 86_000_000

    with server.channel() as channel:
        call = alert_pb2_grpc.AlertServiceStub(channel).Subscribe(
            alert_pb2.SubscribeRequest(from_beginning=True, hotlists=["day"]), timeout=20
        )
        alerts = []
        for message in call:
            if message.HasField("alert"):
                alerts.append(message.alert)
            elif len(alerts) >= len(wanted):
                break  # progress after them: nothing else is in between
        call.cancel()
    assert [alert.sighting.plate for alert in alerts] == wanted
    assert all(alert.delayed for alert in alerts)
    reconcile(server, {("day", epoch): range(1, count + 1)})


def test_a_server_put_back_to_an_older_copy_gets_all_that_the_spool_still_has(
    server: Server, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """What was acknowledged after the copy was made is in neither place: the reader has forgotten
    it, as the server told it to. That is what a backup costs that is older than the loss; only a
    copy of the log that is always current (a replica) saves those reads.
    """
    spool = tmp_path / "spool"

    def send_upto(count: int) -> FeedingReader:
        return start_reader(spool, server.address, "restored", "--plates", "R", "--count", count)

    assert send_upto(200).ended_well()
    server.stop()
    copy = copied(server, tmp_path)
    server.start()
    assert send_upto(600).ended_well()
    server.kill()
    put_back(server, copy)
    server.start()
    # With nothing new to send, a reader says at hello what was acknowledged to it.
    (known,) = inspect(spool).epochs
    epoch = known.uuid
    Client(server, "restored", epoch, acknowledged=known.acknowledged).close()
    (account,) = (a for a in accounts(server).accounts if a.epoch == epoch)
    assert account.missing == 400
    assert [(gap.first, gap.last) for gap in account.gaps] == [(201, 600)]
    server.stop()
    last = send_upto(1000)
    until(lambda: "spooled" in last.said)
    server.start()
    assert last.ended_well()

    # What is gone is said to be missing.
    reconcile(server, {("restored", epoch): [*range(1, 201), *range(601, 1001)]})


def test_a_server_that_begins_anew_gets_all_that_the_spool_still_has(
    server: Server, new_store: NewStore, start_reader: ReaderFactory, tmp_path: Path
) -> None:
    """A new log, with the readers registered again: the sequences go on where the reader is. What
    the lost server had acknowledged is lost with it.
    """
    words = (tmp_path / "spool", server.address, "emptied", "--plates", "E", "--count")
    assert start_reader(*words, 200).ended_well()
    server.kill()
    shutil.rmtree(server.data)
    use(server, new_store())
    reader = start_reader(*words, 500)
    until(lambda: "spooled" in reader.said)
    # On another address, until it knows the reader.
    address, server.address = server.address, "127.0.0.1:0"
    server.start()
    register(server, *READERS)
    server.stop()
    server.address = address
    server.start()
    assert reader.ended_well()

    (epoch,) = epochs(tmp_path / "spool")
    reconcile(server, {("emptied", epoch): range(201, 501)})
