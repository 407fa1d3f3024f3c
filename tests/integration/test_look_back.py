"""Looking back over a socket: what was read before an entry went live, each once, whatever dies."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1 import hotlist_pb2, hotlist_pb2_grpc, look_back_pb2, look_back_pb2_grpc
from proto.ring.v1.alert_pb2 import Alert, HotlistEntry
from proto.ring.v1.common_pb2 import Purpose, TimeRange
from proto.ring.v1.events_pb2 import LookBackAdvanced, LookBackStarted
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from proto.ring.v1.look_back_pb2 import LookBack
from ring.alert import Alert as StoredAlert
from ring.look_back import LookBack as StoredLookBack
from ring.store import open_log, unseal
from tests.conftest import ROOT, NewStore, Server, ServerFactory
from tests.faults.crowd import SMALL
from tests.integration.test_alerts import Subscriber, register
from tests.vendor import NOW, Client, read

PURPOSE = Purpose(case_number="C-7", reason="stolen this morning")


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore) -> Server:
    env = {"RING_EVENT_STORE": new_store(), "RING_SUBSCRIBER_PATIENCE": "PT2S"}
    server = start_server(env=env)
    register(server, "r1")
    return server


def feed(server: Server, *plates: str) -> None:
    """Reads of these plates, stored when it returns."""
    client = Client(server, "r1", str(uuid4()), timeout=60)
    client.batch(*(read(n, plate) for n, plate in enumerate(plates, 1)))
    client.until(len(plates))
    client.close()


def look_back(seconds: int | None = None, purpose: Purpose | None = None) -> LookBack:
    period = None if seconds is None else Duration(seconds=seconds)
    return LookBack(period=period, purpose=purpose)


def put(
    server: Server, name: str, *plates: str, back: LookBack | None = None
) -> hotlist_pb2.ImportEntriesResponse:
    header = hotlist_pb2.ImportHeader(
        hotlist=name, create=True, mode=hotlist_pb2.IMPORT_MODE_ADD, look_back=back
    )
    requests = [
        hotlist_pb2.ImportEntriesRequest(header=header),
        *(
            hotlist_pb2.ImportEntriesRequest(
                entries=[HotlistEntry(plate=p) for p in plates[n : n + 5000]]
            )
            for n in range(0, len(plates), 5000)
        ),
        hotlist_pb2.ImportEntriesRequest(last=True),
    ]
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        return stub.ImportEntries(iter(requests), timeout=60)


def alerts_of(server: Server, name: str, count: int) -> list[Alert]:
    """Waits for so many alerts of a list; then for whatever else comes up to there."""
    subscriber = Subscriber(server, from_beginning=True, hotlists=[name])
    try:
        subscriber.wait(count)
        return list(subscriber.alerts)
    finally:
        subscriber.stop()


def stored(server: Server, topic: str) -> list[bytes]:
    log = open_log(server.event_store)
    try:
        found = log.select_notifications(0, 100_000, None, [topic])
        return [unseal(event.state) for event in found]
    finally:
        log.close()


def ended(server: Server, id_: str) -> LookBackAdvanced:
    """Waits until a looking back has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for state in stored(server, StoredLookBack.Ended.TOPIC):
            body = LookBackAdvanced.FromString(state)
            if body.look_back_id == id_:
                return body
        time.sleep(0.05)
    raise AssertionError("the looking back has not ended\n" + "".join(server.log))


def test_a_read_before_the_entry_is_alerted_once_and_one_after_it_too(server: Server) -> None:
    feed(server, "LB100AA", "ZZ999ZZ", "LB100AA")
    answer = put(server, "stolen", "LB100AA", back=look_back(purpose=PURPOSE))
    end = ended(server, answer.look_back_id)
    assert (end.reads, end.alerts) == (2, 2)
    feed(server, "LB100AA")
    alerts = alerts_of(server, "stolen", 3)
    assert [a.look_back_id for a in alerts] == [answer.look_back_id] * 2 + [""]
    assert len({a.alert_id for a in alerts}) == 3
    assert {a.entry.plate for a in alerts} == {"LB100AA"}
    (start,) = [
        body
        for body in map(LookBackStarted.FromString, stored(server, StoredLookBack.Started.TOPIC))
        if body.look_back_id == answer.look_back_id
    ]
    assert (start.hotlist, start.purpose, start.entries) == ("stolen", PURPOSE, 1)
    assert start.position == answer.position.position
    assert end.at.ToMicroseconds() >= start.at.ToMicroseconds()


def test_what_an_import_leaves_as_it_was_is_not_looked_back_for_again(server: Server) -> None:
    feed(server, "LB200AA", "LB201AA")
    first = put(server, "kept", "LB200AA")
    ended(server, first.look_back_id)
    again = put(server, "kept", "LB200AA", "LB201AA")
    assert ended(server, again.look_back_id).alerts == 1
    assert put(server, "kept", "LB200AA").look_back_id == ""
    found = {a.entry.plate: a.look_back_id for a in alerts_of(server, "kept", 2)}
    assert found == {"LB200AA": first.look_back_id, "LB201AA": again.look_back_id}


def test_it_goes_as_far_back_as_the_import_says(server: Server) -> None:
    feed(server, "LB300AA")
    none = put(server, "none", "LB300AA", back=look_back(0))
    assert none.look_back_id == ""
    microsecond = LookBack(period=Duration(nanos=1000))
    brief = put(server, "brief", "LB300AA", back=microsecond)
    assert ended(server, brief.look_back_id).reads == 0
    long = put(server, "long", "LB300AA", back=look_back(3600))
    assert ended(server, long.look_back_id).alerts == 1
    feed(server, "LB300AA")
    assert [a.look_back_id for a in alerts_of(server, "none", 1)] == [""]


def test_a_purpose_is_whole_or_left_out(server: Server) -> None:
    for asked in (
        look_back(60, Purpose(case_number="C-1")),
        look_back(60, Purpose(reason="why")),
        look_back(60, Purpose(case_number="C-1", reason="x" * (16 * 1024 + 1))),
        look_back(60, Purpose(case_number="x" * (16 * 1024 + 1), reason="why")),
        LookBack(period=Duration(seconds=-1)),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            put(server, "refused", "LB400AA", back=asked)
        assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def wait_for(server: Server, topic: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(stored(server, topic)) < count and time.monotonic() < deadline:
        time.sleep(0.02)


class Reading:
    """The read process of a ring, apart from its write process."""

    def __init__(self, server: Server, socket: Path) -> None:
        command = ["server.py", "--insecure", "--role", "read", "--socket", str(socket)]
        self._process = subprocess.Popen(
            [sys.executable, *command, "--data", str(server.data)],
            cwd=ROOT,
            env={**os.environ, **server.env},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(30)


def unsure(random: Random, sequence: int, plate: str) -> PlateRead:
    """A read of a plate with up to two characters wrong, at places that it leaves open."""
    seen, posterior = "", []
    wrong = set(random.sample(range(len(plate)), random.choice((0, 1, 1, 2))))
    for place, true in enumerate(plate):
        if place in wrong:
            other, share = random.choice("JKLMNP"), random.choice((0.2, 0.45, 0.47))
            posterior.append(CharacterCandidates(characters=other + true))
            posterior[-1].probabilities.extend((1 - share, share))
            seen += other
        else:
            posterior.append(CharacterCandidates(characters=true, probabilities=[1.0]))
            seen += true
    result = read(sequence, seen)
    result.posterior.extend(posterior)
    result.confidence = math.prod(place.probabilities[0] for place in posterior)
    return result


def replayed(
    server: Server, name: str, **more: object
) -> list[look_back_pb2.ReplayHotlistResponse]:
    request = look_back_pb2.ReplayHotlistRequest(purpose=PURPOSE, hotlist=name, **more)
    with server.channel() as channel:
        stub = look_back_pb2_grpc.LookBackServiceStub(channel)
        return list(stub.ReplayHotlist(request, timeout=60))


def checked(server: Server, *plates: str, **more: object) -> list[Alert]:
    entries = [HotlistEntry(plate=p, entry_id=f"of {p}") for p in plates]
    request = hotlist_pb2.CheckHistoryRequest(**{"purpose": PURPOSE, **more}, entries=entries)
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        return list(stub.CheckHistory(request, timeout=60))


def test_the_dry_run_and_looking_back_find_what_replaying_every_read_finds(server: Server) -> None:
    random = Random(11)
    plates = ["".join(random.choices("ABCDEFGH1234", k=6)) for _ in range(6)]
    plates.append(f"{plates[0][:2]}?{plates[0][3]}*")
    reads = [unsure(random, n, random.choice(plates[:6])) for n in range(1, 151)]
    client = Client(server, "r1", str(uuid4()), timeout=60)
    client.batch(*reads)
    client.until(len(reads))
    client.close()
    before = len(stored(server, StoredAlert.Raised.TOPIC))
    dry = {(a.sighting.read_id, a.entry.plate) for a in checked(server, *plates)}
    put(server, "unsure", *plates, back=look_back(0))
    responses = replayed(server, "unsure")
    differences = [r.difference for r in responses if r.HasField("difference")]
    assert {d.reason for d in differences} == {
        "the read came before the entry was live, and was not looked back for"
    }
    all_of_them = {(d.alert.sighting.read_id, d.alert.entry.plate) for d in differences}
    assert dry == all_of_them
    assert len(dry) > 20
    # Some of them are near matches, in one and in several characters.
    paths = {len(d.alert.match_path) for d in differences}
    assert paths >= {1, 2}
    assert len(stored(server, StoredAlert.Raised.TOPIC)) == before
    back = put(server, "looked back for", *plates)
    assert ended(server, back.look_back_id).alerts == len(dry)
    outcome = replayed(server, "looked back for")[-1].outcome
    assert (outcome.equal, outcome.only_raised, outcome.only_replayed) == (len(dry), 0, 0)
    stricter = replayed(server, "looked back for", threshold=1.0)
    assert {r.difference.raised for r in stricter if r.HasField("difference")} == {True}
    assert stricter[-1].outcome.equal == sum(not d.alert.match_path for d in differences)


def test_a_replay_as_of_before_the_list_is_one_of_an_empty_list(server: Server) -> None:
    plate = "LB610AA"
    feed(server, plate)
    ended(server, put(server, "replayed", plate).look_back_id)
    before = Timestamp(seconds=NOW - 3600)
    for more in ({}, {"threshold": 0.3}, {"confidence_floor": 0.1}):
        difference, outcome = replayed(server, "replayed", as_of=before, **more)[-2:]
        assert difference.difference.reason == "the entry was not on the list yet"
        assert (outcome.outcome.equal, outcome.outcome.only_replayed) == (0, 0)
        assert (outcome.outcome.only_raised, outcome.outcome.hotlist_version) == (1, 0)


def test_a_replay_as_of_a_time_takes_changes_of_any_lists_policy(server: Server) -> None:
    plate = "LB630AA"
    feed(server, plate)
    ended(server, put(server, "policies", plate).look_back_id)
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        policy = hotlist_pb2.HotlistPolicy(
            threshold=0.05, priority_thresholds={"high": 0.3}, listed_share=0.01
        )
        stub.CreateHotlist(
            hotlist_pb2.CreateHotlistRequest(name="another", policy=policy), timeout=60
        )
        stub.ChangePolicy(
            hotlist_pb2.ChangePolicyRequest(hotlist="policies", policy=policy), timeout=60
        )
    (outcome,) = (
        response.outcome
        for response in replayed(server, "policies", as_of=Timestamp(seconds=int(time.time()) + 60))
        if response.HasField("outcome")
    )
    assert (outcome.equal, outcome.only_raised, outcome.only_replayed) == (1, 0, 0)
    assert outcome.hotlist_version == 2


def test_a_dry_run_shows_entries_as_sent_and_reads_of_its_range(server: Server) -> None:
    feed(server, "LB600AA")
    (alert,) = checked(server, "lb 600-aa")
    assert (alert.entry.plate, alert.entry.entry_id) == ("LB600AA", "of lb 600-aa")
    assert (alert.alert_id, alert.state, alert.HasField("position")) == ("", 0, False)
    assert (alert.hotlist, alert.sighting.plate) == ("", "LB600AA")
    later = TimeRange(start_time=Timestamp(seconds=NOW + 3600))
    assert checked(server, "LB600AA", range=later) == []
    for wrong in ({"purpose": Purpose(case_number="C-1")}, {"hotlist": "no such list"}):
        with pytest.raises(grpc.RpcError) as failure:
            checked(server, "LB600AA", **wrong)
        assert failure.value.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
        )


def test_who_asks_and_does_not_read_the_answer_holds_up_nobody(server: Server) -> None:
    plate = "LB620AA"
    feed(server, *[plate] * 200)
    long = HotlistEntry(plate=plate, reason="x" * 16_000)
    put(server, "unread", plate, back=look_back(0))
    asked = hotlist_pb2.CheckHistoryRequest(purpose=PURPOSE, entries=[long])
    # 3 MB, far more than this connection has room for.
    options = [*SMALL, ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options) as channel:
        unread = hotlist_pb2_grpc.HotlistServiceStub(channel).CheckHistory(asked, timeout=60)
        next(unread)
        assert len(checked(server, plate)) == 200
        assert replayed(server, "unread")[-1].outcome.only_replayed == 200
        with pytest.raises(grpc.RpcError):
            list(unread)
    assert unread.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_looking_back_is_listed_for_those_who_may_see_the_list(server: Server) -> None:
    feed(server, "QW711ER")
    answer = put(server, "listed", "QW711ER", "TY822UI", back=look_back(3600, PURPOSE))
    ended(server, answer.look_back_id)
    request = look_back_pb2.ListLookBacksRequest(look_back_id=answer.look_back_id)
    with server.channel() as channel:
        stub = look_back_pb2_grpc.LookBackServiceStub(channel)
        (found,) = stub.ListLookBacks(request, timeout=60).look_backs
        newest = stub.ListLookBacks(look_back_pb2.ListLookBacksRequest(limit=1), timeout=60)
        other = stub.ListLookBacks(request, timeout=60, metadata=[("ring-agency", "another")])
    assert (found.state, found.entries, found.reads, found.alerts) == (
        look_back_pb2.LOOK_BACK_STATE_ENDED, 2, 1, 1,
    )  # fmt: skip
    assert (found.hotlist, found.look_back.purpose) == ("listed", PURPOSE)
    assert found.look_back.period.seconds == 3600
    assert newest.look_backs == [found]
    assert list(other.look_backs) == []


@pytest.fixture
def apart(start_server: ServerFactory, new_store: NewStore, tmp_path: Path) -> tuple[Server, Path]:
    """A write process without a read side, and the socket at which it looks for one."""
    socket = tmp_path / "read.sock"
    env = {"RING_EVENT_STORE": new_store()}
    server = start_server("--role", "write", "--socket", str(socket), env=env)
    register(server, "r1")
    return server, socket


def test_an_urgent_plate_does_not_wait_behind_a_long_list(apart: tuple[Server, Path]) -> None:
    """It comes when some chunks of the long one are done; and everything dies then."""
    server, socket = apart
    feed(server, "LX00001", "LX19999", "UR911GE", "UR911GE")
    long = put(server, "long", *(f"LX{n:05d}" for n in range(20_000)))
    reading = Reading(server, socket)
    try:
        wait_for(server, StoredLookBack.Advanced.TOPIC, 1)
        reading.kill()
        done = len(stored(server, StoredLookBack.Advanced.TOPIC))
        assert done < 3
        urgent = put(server, "urgent", "UR911GE")
        server.kill()
        server.start()
        reading = Reading(server, socket)
        assert ended(server, long.look_back_id).alerts == 2
    finally:
        reading.kill()
    first, second = map(LookBackAdvanced.FromString, stored(server, StoredLookBack.Ended.TOPIC))
    assert [first.look_back_id, second.look_back_id] == [urgent.look_back_id, long.look_back_id]
    assert (first.alerts, first.reads) == (2, 2)
    # None of it was begun or done twice.
    steps = map(LookBackAdvanced.FromString, stored(server, StoredLookBack.Advanced.TOPIC))
    assert [step.chunks for step in steps] == [1, 2, 3]
    assert len(stored(server, StoredLookBack.Started.TOPIC)) == 2
    assert len(stored(server, StoredAlert.Raised.TOPIC)) == 4


def test_it_waits_for_the_read_side_and_goes_on_after_each_kill(
    apart: tuple[Server, Path],
) -> None:
    server, socket = apart
    plates = [f"LB{n}AA" for n in range(500, 530)]
    feed(server, *plates, "ZZ999ZZ")
    answer = put(server, "away", *plates)
    server.kill()
    server.start()
    reading = Reading(server, socket)
    try:
        # Killed where its start is in the log, and at every few alerts.
        for alerts in (0, 3, 10):
            wait_for(server, StoredLookBack.Started.TOPIC, 1)
            wait_for(server, StoredAlert.Raised.TOPIC, alerts)
            server.kill()
            server.start()
        reading.kill()
        reading = Reading(server, socket)
        assert ended(server, answer.look_back_id).alerts == len(plates)
    finally:
        reading.kill()
    alerts = alerts_of(server, "away", len(plates))
    assert sorted(a.entry.plate for a in alerts) == plates
    assert {a.look_back_id for a in alerts} == {answer.look_back_id}
    assert len(stored(server, StoredLookBack.Started.TOPIC)) == 1
    assert len(stored(server, StoredAlert.Raised.TOPIC)) == len(plates)
