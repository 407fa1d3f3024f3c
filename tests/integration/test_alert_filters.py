"""What a subscriber asks for is what it is told: by list, agency, priority, checkpoint, zone, live
only; from wherever it resumes, and after the server was killed."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, registry_pb2, registry_pb2_grpc
from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.cli.memory_ring import lines_of, run
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_alerts import Subscriber, import_entries, register, send
from tests.vendor import NOW, read

PLATES = [f"FIL{number:02d}" for number in range(6)]
# Plate by plate, over and over: some with a priority, on two lists.
PRIORITIES = ["high", "", "low"]


def place(server: Server, code: str, zone: str | None = None) -> registry_pb2.ImportResponse:
    row = registry_pb2.Checkpoint(code=code, zone=zone)
    with server.channel() as channel:
        return registry_pb2_grpc.RegistryServiceStub(channel).ImportCheckpoints(
            registry_pb2.ImportCheckpointsRequest(checkpoints=[row]), timeout=60
        )


@pytest.fixture(scope="module")
def server(
    start_server: ServerFactory, new_store: NewStore, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """With 24 alerts of 6 plates on 2 lists at 2 checkpoints, half of them delayed."""
    socket = tmp_path_factory.mktemp("socket") / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1", "r2")
    place(server, "GP-01", "Centro")
    place(server, "GP-02", "Núñez sur")
    for name, plates in (("stolen", PLATES[::2]), ("wanted", PLATES[1::2])):
        entries = [
            HotlistEntry(plate=plate, priority=PRIORITIES[PLATES.index(plate) % 3])
            for plate in plates
        ]
        import_entries(server, name, *entries)
    for late, reader in itertools.product((False, True), ("r1", "r2")):
        reads = [read(number, plate) for number, plate in enumerate(PLATES, 1)]
        for one in reads:
            one.captured_at.GetCurrentTime()
            if late:
                one.captured_at.FromSeconds(NOW - 3600)
        send(server, *reads, reader=reader)
    assert len(everything(server)) == 24
    return server


def everything(server: Server) -> list[alert_pb2.Alert]:
    subscriber = Subscriber(server, from_beginning=True)
    alerts = list(subscriber.wait(24))[:24]
    subscriber.stop()
    return alerts


QUESTIONS = [
    {"hotlists": ["stolen"]},
    {"hotlists": ["stolen", "wanted"], "agencies": ["default"]},
    {"agencies": ["nobody"]},
    {"priorities": ["high"]},
    {"priorities": ["", "low"]},
    {"checkpoints": ["GP-02"]},
    {"zones": ["Centro"]},
    {"zones": ["Núñez sur", "no such"], "priorities": ["high"], "live_only": True},
    {"live_only": True},
]


def wanted(alert: alert_pb2.Alert, asked: dict[str, object]) -> bool:
    """The obvious reference: what the options say, one by one."""
    has = {
        "hotlists": alert.hotlist,
        "agencies": alert.agency,
        "priorities": alert.entry.priority,
        "checkpoints": alert.sighting.checkpoint,
        "zones": {"GP-01": "Centro", "GP-02": "Núñez sur"}[alert.sighting.checkpoint],
    }
    if asked.get("live_only") and alert.delayed:
        return False
    return all(has[name] in asked[name] for name in has if name in asked)  # type: ignore[operator]


@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_a_filter_tells_its_alerts_and_no_others_wherever_it_resumes(server, asked) -> None:
    alerts = everything(server)
    head = alerts[-1].position.position
    for cut in (None, 0, 11, 22):
        where = {"after": [alerts[cut].position]} if cut is not None else {"from_beginning": True}
        rest = alerts[cut + 1 :] if cut is not None else alerts
        subscriber = Subscriber(server, **where, **asked)
        subscriber.wait_for_progress(head)
        told = [a.alert_id for a in subscriber.alerts if a.position.position <= head]
        subscriber.stop()
        assert told == [alert.alert_id for alert in rest if wanted(alert, asked)]


def test_the_zone_is_that_of_the_time_of_the_alert(server: Server) -> None:
    alerts = everything(server)
    assert {a.sighting.checkpoint: a.zone for a in alerts} == {
        "GP-01": "Centro",
        "GP-02": "Núñez sur",
    }
    assert place(server, "GP-01").unchanged == 1, "without a zone it stays"
    assert place(server, "GP-01", "Oeste").changed == 1
    assert place(server, "GP-01", " x").rejected[0].reason.startswith("' x' is not a zone")
    assert [a.zone for a in everything(server)] == [a.zone for a in alerts]
    plate = f"T{uuid4().hex[:8].upper()}"
    import_entries(server, f"moved {plate}", HotlistEntry(plate=plate))
    subscriber = Subscriber(server, zones=["Oeste"], include_updates=True)
    send(server, read(1, plate))
    (alert,) = subscriber.wait(1)
    assert place(server, "GP-01", "Centro").changed == 1
    with server.channel() as channel:
        stub = alert_pb2_grpc.AlertServiceStub(channel)
        seen = stub.Acknowledge(alert_pb2.AcknowledgeRequest(alert_id=alert.alert_id))
        ended = stub.Resolve(
            alert_pb2.ResolveRequest(alert_id=alert.alert_id, disposition="misread", note="a B")
        )
    assert (seen.zone, ended.zone) == ("Oeste", "Oeste")
    assert [(c.state, c.by, c.disposition, c.note) for c in ended.changes] == [
        (alert_pb2.ALERT_STATE_ACKNOWLEDGED, "insecure", "", ""),
        (alert_pb2.ALERT_STATE_RESOLVED, "insecure", "misread", "a B"),
    ]
    assert list(subscriber.wait(3)[1:]) == [seen, ended]
    subscriber.stop()


@pytest.fixture
def plate() -> Iterator[str]:
    return f"T{uuid4().hex[:8].upper()}"


def test_who_was_away_gets_what_it_missed_and_nothing_twice(server: Server, plate: str) -> None:
    """Away, killed server, filter: each alert once, at the position where it was."""
    import_entries(server, f"away {plate}", HotlistEntry(plate=plate, priority="high"))
    other = f"{plate}X"
    import_entries(server, f"other {plate}", HotlistEntry(plate=other, priority="low"))
    asked = {"hotlists": [f"away {plate}", f"other {plate}"], "priorities": ["high"]}
    subscriber = Subscriber(server, **asked)
    after = subscriber.progress[0]
    told: list[str] = []
    expected = 0
    for round_ in range(3):
        send(server, *(read(n, plate if n % 2 else other) for n in range(1, 21)))
        expected += 10
        if round_ != 1:
            got = subscriber.wait(expected - len(told))
            told += [alert.alert_id for alert in got]
            after = got[-1].position
        subscriber.stop()
        # In the second round nobody listens.
        server.kill()
        server.start()
        subscriber = Subscriber(server, after=[after], **asked)
    subscriber.stop()
    assert len(told) == len(set(told)) == 30


class Resuming:
    """A subscriber that comes back after its last position, whenever a stream ends."""

    def __init__(self, server: Server, **asked: object) -> None:
        self._server = server
        self._asked = asked
        self._stopping = threading.Event()
        self.told: list[alert_pb2.Alert] = []
        first = Subscriber(server)
        self._last = first.progress[0]
        first.stop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            request = alert_pb2.SubscribeRequest(after=[self._last], **self._asked)
            # A connection of its own: what others share would be put off after each refusal.
            own = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(self._server.address, options=own) as channel:
                self._call = alert_pb2_grpc.AlertServiceStub(channel).Subscribe(request, timeout=60)
                with suppress(grpc.RpcError):
                    for message in self._call:
                        if message.HasField("alert"):
                            self.told.append(message.alert)
                            self._last = message.alert.position
                        else:
                            self._last = message.progress
            self._stopping.wait(0.02)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.told) < count:
            assert time.monotonic() < deadline, f"{len(self.told)} of {count}"
            time.sleep(0.01)

    def stop(self) -> None:
        self._stopping.set()
        self._call.cancel()
        self._thread.join()


def test_kills_anywhere_tell_each_alert_once(server: Server, plate: str) -> None:
    others = [f"{plate}{letter}" for letter in "AB"]
    high = [HotlistEntry(plate=one, priority="high") for one in (plate, others[0])]
    import_entries(server, f"kills {plate}", *high, HotlistEntry(plate=others[1]))
    subscriber = Resuming(
        server, hotlists=[f"kills {plate}"], priorities=["high"], zones=["Centro"]
    )
    rng = random.Random(3)
    expected = 0
    for _ in range(4):
        reads = [read(n, (plate, *others)[n % 3]) for n in range(1, 31)]
        send(server, *reads)
        send(server, *reads, reader="r2")  # elsewhere
        # Killed with some of them told, or none, or all; the matcher too may be in the middle.
        subscriber.wait(expected + rng.randrange(21))
        expected += 20
        server.kill()
        server.start()
    subscriber.wait(expected)
    end = send(server, read(1, "NOBODY"))
    head = Subscriber(server, after=[subscriber.told[-1].position])
    head.wait_for_progress(end)
    head.stop()
    subscriber.stop()
    positions = [alert.position.position for alert in subscriber.told]
    assert positions == sorted(set(positions))
    assert len({alert.alert_id for alert in subscriber.told}) == len(positions) == expected


def test_zones_come_from_a_column_that_may_be_left_out(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.csv"

    def imported(text: str) -> str:
        file.write_text(text, encoding="utf-8")
        result = run("checkpoints", "import", str(file), server=server.address)
        assert result.returncode == 0, result.stderr
        return result.stdout

    head, place_ = "code,name,latitude,longitude", "ZZ-01,Puente,-34.5,-58.5"
    assert imported(f"{head},zone\n{place_},Barrio Norte\n").startswith("1 added")
    assert imported(f"{head}\n{place_}\n").startswith("0 added, 0 changed, 1 unchanged")
    assert "Barrio Norte" in run("checkpoints", "list", server=server.address).stdout
    assert imported(f"{head},zone\n{place_},\n").startswith("0 added, 1 changed")
    assert "Barrio Norte" not in run("checkpoints", "list", server=server.address).stdout


def test_the_command_passes_its_filters_on(server: Server) -> None:
    alerts = everything(server)
    options = ("--priority", "high", "--zone", "Centro", "--agency", "default", "--live-only")
    asked = {"priorities": ["high"], "zones": ["Centro"], "live_only": True}
    expected = [a.alert_id for a in alerts if a.hotlist == "stolen" and wanted(a, asked)]
    assert expected
    told = lines_of(
        run(
            *("alerts", "--from-beginning", "--list", "stolen", *options, "--json"),
            *("--count", str(len(expected))),
            server=server.address,
        )
    )
    assert [line["alert"]["alert_id"] for line in told] == expected
