"""Hotlists and alerts over a socket: each hit once, live, resumable, with what became of it."""

import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import grpc
import pytest

from proto.ring.v1 import (
    alert_pb2,
    alert_pb2_grpc,
    hotlist_pb2,
    hotlist_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.common_pb2 import DIRECTION_ENTRY, LogPosition
from ring.values import alert_id
from tests.conftest import NewStore, Server, ServerFactory
from tests.vendor import NOW, Client, read

Folders = pytest.TempPathFactory


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore, tmp_path_factory: Folders) -> Server:
    return start(start_server, new_store, tmp_path_factory)


def start(start_server: ServerFactory, new_store: NewStore, folders: Folders) -> Server:
    socket = folders.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1", "r2")
    return server


def register(server: Server, *readers: str) -> None:
    with server.channel() as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        registry.ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(
                checkpoints=[registry_pb2.Checkpoint(code=c) for c in ("GP-01", "GP-02")]
            )
        )
        registry.ImportReaders(
            registry_pb2.ImportReadersRequest(
                readers=[
                    registry_pb2.Reader(
                        reader_id=r, checkpoint=f"GP-0{n % 2 + 1}", direction=DIRECTION_ENTRY
                    )
                    for n, r in enumerate(readers)
                ]
            )
        )


def import_entries(
    server: Server, name: str, *entries: HotlistEntry, add: bool = False, create: bool = True
) -> hotlist_pb2.ImportEntriesResponse:
    header = hotlist_pb2.ImportHeader(
        hotlist=name,
        create=create,
        mode=hotlist_pb2.IMPORT_MODE_ADD if add else hotlist_pb2.IMPORT_MODE_REPLACE,
    )
    requests = [hotlist_pb2.ImportEntriesRequest(header=header)]
    requests += [hotlist_pb2.ImportEntriesRequest(entries=[entry]) for entry in entries]
    requests.append(hotlist_pb2.ImportEntriesRequest(last=True))
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        return stub.ImportEntries(iter(requests), timeout=60)


class Subscriber:
    """Collects what a subscription brings, in a thread."""

    def __init__(self, server: Server, **request: object) -> None:
        self.messages: list[alert_pb2.SubscribeResponse] = []
        self.channel = server.channel()
        stub = alert_pb2_grpc.AlertServiceStub(self.channel)
        self.call = stub.Subscribe(alert_pb2.SubscribeRequest(**request), timeout=60)
        self.thread = threading.Thread(target=self._collect)
        self.started = threading.Event()
        self.thread.start()
        if not request.get("from_beginning") and not request.get("after"):
            assert self.started.wait(10)

    def _collect(self) -> None:
        try:
            for message in self.call:
                self.messages.append(message)
                self.started.set()
        except grpc.RpcError:
            pass

    @property
    def alerts(self) -> list[alert_pb2.Alert]:
        return [m.alert for m in self.messages if m.HasField("alert")]

    @property
    def progress(self) -> list[LogPosition]:
        return [m.progress for m in self.messages if m.HasField("progress")]

    def wait(self, count: int) -> list[alert_pb2.Alert]:
        deadline = time.monotonic() + 60
        while len(self.alerts) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.alerts

    def wait_for_progress(self, position: int) -> list[alert_pb2.Alert]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.progress and self.progress[-1].position >= position:
                break
            time.sleep(0.02)
        return self.alerts

    def stop(self) -> None:
        self.call.cancel()
        self.thread.join()
        self.channel.close()


def send(server: Server, *reads: object, reader: str = "r1") -> int:
    """Streams them in a new epoch; the position after them."""
    client = Client(server, reader, str(uuid4()))
    client.batch(*reads)
    last = client.until(len(reads))[-1]
    client.close()
    return last.position.position


@pytest.fixture
def plates() -> Iterator[str]:
    """Plates that no other test uses."""
    return iter(f"T{uuid4().hex[:8].upper()}" for _ in range(100))


def test_a_hit_is_told_live_with_the_reason_and_only_once(server: Server, plates) -> None:
    plate = next(plates)
    made = import_entries(server, f"live {plate}", HotlistEntry(plate=plate, reason="stolen"))
    assert (made.added, made.hotlist.entries, made.hotlist.version) == (1, 1, 1)
    subscriber = Subscriber(server)
    epoch = str(uuid4())
    client = Client(server, "r1", epoch)
    hit = read(1, plate)
    hit.captured_at.GetCurrentTime()
    client.batch(hit, read(2, "OTHER"))
    client.until(2)
    (alert,) = subscriber.wait(1)
    client.batch(hit)
    client.next()
    client.close()
    assert alert.hotlist == f"live {plate}"
    assert alert.entry.reason == "stolen"
    assert alert.sighting.plate == plate
    assert alert.sighting.checkpoint == "GP-01"
    assert alert.state == alert_pb2.ALERT_STATE_RAISED
    assert alert.match_probability == pytest.approx(0.9)
    assert not alert.delayed
    assert alert.alert_id == str(alert_id(alert.sighting.read_id, alert.entry.entry_id))
    assert len(subscriber.wait_for_progress(alert.position.position)) == 1
    subscriber.stop()


def test_a_subscriber_resumes_without_a_gap_or_a_repeat(server: Server, plates) -> None:
    plate = next(plates)
    name = f"resume {plate}"
    import_entries(server, name, HotlistEntry(plate=plate))
    send(server, *(read(n, plate) for n in range(1, 21)))
    everything = Subscriber(server, from_beginning=True, hotlists=[name])
    alerts = everything.wait(20)
    everything.stop()
    positions = [a.position.position for a in alerts]
    assert len(set(positions)) == 20
    assert positions == sorted(positions)
    for cut in (0, 7, 19):
        resumed = Subscriber(server, after=[alerts[cut].position], hotlists=[name])
        send(server, read(1, plate), reader="r2")
        got = resumed.wait(20 - cut)
        resumed.stop()
        assert [a.alert_id for a in got][: 19 - cut] == [a.alert_id for a in alerts[cut + 1 :]]
        assert got[-1].sighting.checkpoint == "GP-02"
        again = Subscriber(server, from_beginning=True, hotlists=[name], checkpoints=["GP-01"])
        assert len(again.wait(20)) == 20
        again.stop()


def test_positions_of_other_logs_and_of_the_future_are_refused(server: Server) -> None:
    with server.channel() as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        log_id = next(stub.Subscribe(alert_pb2.SubscribeRequest())).progress.log_id
        for after, code in (
            (LogPosition(log_id=str(uuid4()), position=1), grpc.StatusCode.FAILED_PRECONDITION),
            (LogPosition(log_id=log_id, position=10**9), grpc.StatusCode.OUT_OF_RANGE),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Subscribe(alert_pb2.SubscribeRequest(after=[after])))
            assert caught.value.code() is code


def test_which_entries_a_read_matches(server: Server, plates) -> None:
    plate = next(plates)
    name = f"rules {plate}"
    entries = []
    for reason, valid_from, expires_at in (
        ("always", None, None),
        ("in time", NOW - 100, NOW + 100),
        ("not yet", NOW + 1, None),
        ("from now", NOW, None),
        ("no more", None, NOW),
        ("just", None, NOW + 1),
    ):
        entry = HotlistEntry(plate=plate.lower(), reason=reason, region="BR")
        if valid_from:
            entry.valid_from.FromSeconds(valid_from)
        if expires_at:
            entry.expires_at.FromSeconds(expires_at)
        entries.append(entry)
    import_entries(server, name, *entries)
    send(server, read(1, plate, region="AR"), read(2, plate, confidence=0.4999))
    end = send(server, read(1, plate, confidence=0.5), reader="r2")
    subscriber = Subscriber(server, from_beginning=True, hotlists=[name])
    alerts = subscriber.wait_for_progress(end)
    alerts = subscriber.wait(8)
    subscriber.stop()
    reasons = sorted((a.sighting.checkpoint, a.entry.reason) for a in alerts)
    expected = ["always", "from now", "in time", "just"]
    assert reasons == sorted((c, r) for c in ("GP-01", "GP-02") for r in expected)


def test_a_read_is_matched_with_the_list_as_it_was_at_its_position(server: Server, plates) -> None:
    plate = next(plates)
    name = f"versions {plate}"
    send(server, read(1, plate))
    first = import_entries(server, name, HotlistEntry(plate=plate, reason="one"))
    send(server, read(1, plate))
    second = import_entries(server, name, HotlistEntry(plate=plate, reason="two"))
    assert (second.added, second.removed, second.hotlist.version) == (1, 1, 2)
    send(server, read(1, plate))
    same = import_entries(server, name, HotlistEntry(plate=plate, reason="two"))
    assert (same.added, same.removed, same.unchanged, same.hotlist.version) == (0, 0, 1, 2)
    more = import_entries(server, name, HotlistEntry(plate=next(plates)), add=True)
    assert (more.added, more.removed, more.hotlist.entries) == (1, 0, 2)
    send(server, read(1, plate))
    with server.channel() as channel:
        removed = hotlist_pb2_grpc.HotlistServiceStub(channel).RemoveEntries(
            hotlist_pb2.RemoveEntriesRequest(hotlist=name, plates=[plate])
        )
    assert removed.removed == 1
    send(server, read(1, plate))
    subscriber = Subscriber(server, from_beginning=True, hotlists=[name])
    alerts = subscriber.wait(3)
    subscriber.wait_for_progress(removed.position.position)
    assert [a.entry.reason for a in subscriber.alerts] == ["one", "two", "two"]
    assert alerts[1].entry.entry_id == alerts[2].entry.entry_id
    assert first.position.position < alerts[0].position.position
    subscriber.stop()


def test_an_import_that_breaks_off_changes_nothing(server: Server, plates) -> None:
    plate = next(plates)
    name = f"broken {plate}"
    import_entries(server, name, HotlistEntry(plate=plate))

    def requests() -> Iterator[hotlist_pb2.ImportEntriesRequest]:
        header = hotlist_pb2.ImportHeader(hotlist=name)
        yield hotlist_pb2.ImportEntriesRequest(header=header)
        yield hotlist_pb2.ImportEntriesRequest(
            entries=[HotlistEntry(plate=f"N{n:06d}") for n in range(5000)]
        )
        time.sleep(0.3)
        raise RuntimeError("the client breaks off")

    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.ImportEntries(requests(), timeout=60)
        lists = stub.ListHotlists(hotlist_pb2.ListHotlistsRequest()).hotlists
    (found,) = [h for h in lists if h.name == name]
    assert (found.entries, found.version) == (1, 1)


def test_bad_entries_are_named_and_the_good_ones_live(server: Server, plates) -> None:
    good = next(plates)
    twisted = HotlistEntry(plate=good)
    twisted.valid_from.FromSeconds(10)
    twisted.expires_at.FromSeconds(10)
    answer = import_entries(
        server, f"bad {good}", HotlistEntry(plate="?"), HotlistEntry(plate=good), twisted
    )
    assert [r.row for r in answer.rejected] == [1, 3]
    assert (answer.added, answer.rejected_total) == (1, 2)
    with pytest.raises(grpc.RpcError) as caught:
        import_entries(server, "no such list", create=False)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_acknowledging_and_resolving(server: Server, plates) -> None:
    plate = next(plates)
    name = f"states {plate}"
    import_entries(server, name, HotlistEntry(plate=plate))
    subscriber = Subscriber(server, hotlists=[name], include_updates=True)
    plain = Subscriber(server, hotlists=[name])
    late = read(1, plate)
    late.captured_at.FromSeconds(NOW - 3600)
    send(server, late)
    (raised,) = subscriber.wait(1)
    assert raised.delayed
    with server.channel() as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        # A note is told with the alert, which has to fit into a message.
        long = "x" * (16 * 1024 + 1)
        for call, request in (
            (stub.Acknowledge, alert_pb2.AcknowledgeRequest(note=long)),
            (stub.Resolve, alert_pb2.ResolveRequest(note=long, disposition="confirmed")),
        ):
            request.alert_id = raised.alert_id
            with pytest.raises(grpc.RpcError) as caught:
                call(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "the note is longer than 16 KiB" in caught.value.details()
        known = alert_pb2.AcknowledgeRequest(alert_id=raised.alert_id, note="seen")
        assert stub.Acknowledge(known).state == alert_pb2.ALERT_STATE_ACKNOWLEDGED
        assert stub.Acknowledge(known).state == alert_pb2.ALERT_STATE_ACKNOWLEDGED
        with pytest.raises(grpc.RpcError) as caught:
            stub.Resolve(alert_pb2.ResolveRequest(alert_id=raised.alert_id, disposition="dunno"))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        ended = alert_pb2.ResolveRequest(alert_id=raised.alert_id, disposition="confirmed")
        resolved = stub.Resolve(ended)
        assert stub.Resolve(ended).disposition == "confirmed"
        for code, request in (
            (grpc.StatusCode.FAILED_PRECONDITION, raised.alert_id),
            (grpc.StatusCode.NOT_FOUND, str(uuid4())),
            (grpc.StatusCode.INVALID_ARGUMENT, "x"),
            # Of what it quotes the answer has no more than there is room for.
            (grpc.StatusCode.INVALID_ARGUMENT, "ñ" * 100_000),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                stub.Resolve(alert_pb2.ResolveRequest(alert_id=request, disposition="misread"))
            assert caught.value.code() is code
    states = [(a.state, a.disposition) for a in subscriber.wait(3)]
    assert states == [
        (alert_pb2.ALERT_STATE_RAISED, ""),
        (alert_pb2.ALERT_STATE_ACKNOWLEDGED, ""),
        (alert_pb2.ALERT_STATE_RESOLVED, "confirmed"),
    ]
    assert subscriber.alerts[-1].position == resolved.position
    plain.wait_for_progress(resolved.position.position)
    assert len(plain.alerts) == 1
    subscriber.stop()
    plain.stop()


def test_matching_goes_on_after_kill_9_where_it_stopped(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: Folders
) -> None:
    server = start(start_server, new_store, tmp_path_factory)
    import_entries(server, "wanted", *(HotlistEntry(plate=f"HIT{n:03d}") for n in range(50)))
    expected = 0
    for _ in range(3):
        client = Client(server, "r1", str(uuid4()))
        client.batch(*(read(n, f"HIT{n % 100:03d}") for n in range(1, 1001)))
        client.until(1000)
        expected += 500
        server.kill()
        client.failure()
        server.start()
    subscriber = Subscriber(server, from_beginning=True)
    alerts = subscriber.wait(expected)
    end = send(server, read(1, "NOBODY"))
    subscriber.wait_for_progress(end)
    assert len(subscriber.alerts) == expected
    assert len({a.alert_id for a in alerts}) == expected
    subscriber.stop()
