"""Near matches, policies, known vehicles and watch orders over a socket; and that it makes no
difference when, or how often, a read is matched."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from uuid import UUID, uuid4, uuid5

import grpc
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1 import alert_pb2, alert_pb2_grpc, hotlist_pb2, hotlist_pb2_grpc
from proto.ring.v1.alert_pb2 import Alert as AlertMessage
from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from proto.ring.v1.events_pb2 import (
    AlertRaised,
    EntriesActivated,
    EntriesStaged,
    HotlistCreated,
    RemovedEntry,
    StoredRead,
)
from proto.ring.v1.hotlist_pb2 import HOTLIST_KIND_ALLOW, HotlistPolicy
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from proto.ring.v1.operations_pb2 import GetStatusRequest
from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
from ring.alert import Alert
from ring.application import Ring
from ring.hotlist import Hotlist, Import
from ring.hotlist_index import HotlistIndex
from ring.likelihood import plausible
from ring.matching import Matcher, alert_raised, fold_lists
from ring.reads import ReadLog
from ring.store import unseal
from ring.values import NAMESPACE, from_micros, read_log_id
from ring.wakeup import Wakeup
from tests.conftest import NewStore, Server, ServerFactory
from tests.integration.test_alerts import Folders, import_entries, send, start
from tests.vendor import read


@pytest.fixture(scope="module")
def server(start_server: ServerFactory, new_store: NewStore, tmp_path_factory: Folders) -> Server:
    return start(start_server, new_store, tmp_path_factory)


@pytest.fixture
def name() -> str:
    """Of a list that no other test uses."""
    return f"list {uuid4()}"


def plate_of(name: str) -> str:
    """A plate that no other test uses: its fifth character is an O."""
    return f"{name[5:9]}O{name[9:11]}".upper()


def seen(plate: str, sequence: int = 1, **others: float) -> PlateRead:
    """A sharp read but for its fifth character, where others have a share."""
    rows = [{c: 1.0} for c in plate]
    rows[4] = {plate[4]: 1 - sum(others.values())} | {c[-1]: p for c, p in others.items()}
    message = read(sequence, plate, confidence=rows[4][plate[4]])
    for row in rows:
        candidates = CharacterCandidates(characters="".join(row), probabilities=list(row.values()))
        message.posterior.append(candidates)
    return message


def alerts_of(server: Server, name: str, end: int) -> list[AlertMessage]:
    """Every alert of a list up to a position."""
    alerts: list[AlertMessage] = []
    with server.channel() as channel:
        operations, deadline = OperationsServiceStub(channel), time.monotonic() + 60
        while operations.GetStatus(GetStatusRequest()).matched.position < end:
            assert time.monotonic() < deadline, "the reads were not matched"
            time.sleep(0.01)
        # Their alerts are in the log by now.
        end = operations.GetStatus(GetStatusRequest()).head.position
        call = alert_pb2_grpc.AlertServiceStub(channel).Subscribe(
            alert_pb2.SubscribeRequest(from_beginning=True, hotlists=[name]), timeout=60
        )
        for message in call:
            if message.HasField("alert"):
                alerts.append(message.alert)
            elif message.progress.position >= end:
                call.cancel()
                return alerts
    raise AssertionError("the subscription ended before the position")


def import_pattern(server: Server, name: str, pattern: str) -> None:
    """A list with one pattern, which nobody can tell how often it hits: so it is confirmed."""
    header = hotlist_pb2.ImportHeader(hotlist=name, create=True, confirm_frequent=True)
    requests = [
        hotlist_pb2.ImportEntriesRequest(header=header, entries=[HotlistEntry(plate=pattern)]),
        hotlist_pb2.ImportEntriesRequest(last=True),
    ]
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        assert stub.ImportEntries(iter(requests), timeout=60).added == 1


def change_policy(server: Server, name: str, **policy: object) -> hotlist_pb2.Hotlist:
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        request = hotlist_pb2.ChangePolicyRequest(hotlist=name, policy=HotlistPolicy(**policy))
        return stub.ChangePolicy(request, timeout=60).hotlist


def test_a_near_match_alerts_with_its_probability_and_how_it_came_about(
    server: Server, name: str
) -> None:
    misread = plate_of(name)
    plate = misread.replace("O", "0")
    import_entries(server, name, HotlistEntry(plate=plate, reason="stolen"))
    end = send(
        server,
        seen(misread, 1, as_0=0.4),
        seen(misread, 2, as_0=0.1),
        seen(plate, 3, as_O=0.45),
        seen(misread, 4, as_Q=0.4),
    )
    near, exact = alerts_of(server, name, end)
    assert near.sighting.plate == misread
    assert near.entry.plate == plate
    assert near.match_probability == pytest.approx(0.4)
    assert list(near.match_path) == ["O→0 at 5"]
    assert exact.match_probability == pytest.approx(0.55)
    assert not exact.match_path
    # A read without a posterior is judged by its confidence and what OCRs confuse; how the rest is
    # shared depends on the other characters too.
    change_policy(server, name, threshold=0.1)
    bare = send(server, read(1, misread, confidence=0.2), read(2, misread, confidence=0.9))
    guessed = alerts_of(server, name, bare)[2:]
    assert [list(alert.match_path) for alert in guessed] == [["O→0 at 5"]]
    assert guessed[0].match_probability < 0.2 + 1e-6


def test_a_policy_is_changed_as_an_event_and_holds_for_later_reads(
    server: Server, name: str
) -> None:
    misread = plate_of(name)
    plate = misread.replace("O", "0")
    made = import_entries(server, name, HotlistEntry(plate=plate, priority="high")).hotlist
    assert made.policy.threshold == pytest.approx(0.2)
    assert made.policy.confidence_floor == 0.5
    near = seen(misread, 1, as_0=0.1)
    send(server, near)
    changed = change_policy(server, name, priority_thresholds={"high": 0.05})
    assert changed.version == made.version + 1
    assert change_policy(server, name, priority_thresholds={"high": 0.05}).version == 2
    send(server, near)
    change_policy(server, name, priority_thresholds={"high": 0.05}, threshold=0.05)
    change_policy(server, name, confidence_floor=0.7, threshold=1)
    send(server, near, seen(plate, 2, as_O=0.35))
    changed = change_policy(server, name, confidence_floor=0.6)
    assert changed.confidence_floor == changed.policy.confidence_floor == pytest.approx(0.6)
    end = send(server, seen(plate, 1, as_O=0.35))
    alerts = alerts_of(server, name, end)
    assert [round(alert.match_probability, 2) for alert in alerts] == [0.1, 0.65]
    for wrong, told in (
        ({"threshold": 0.001}, "threshold 0.001 is outside"),
        ({"confidence_floor": 1.5}, "confidence floor 1.5 is outside"),
        ({"priority_thresholds": {"low": 2.0}}, "priority 'low' 2 is outside"),
        ({"listed_share": 0.0}, "listed share"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            change_policy(server, name, **wrong)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        change_policy(server, "no such list")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_list_is_created_with_its_kind_and_policy(server: Server, name: str) -> None:
    known, plate = f"known {name}"[:64], plate_of(name)
    with server.channel() as channel:
        stub = hotlist_pb2_grpc.HotlistServiceStub(channel)
        made = stub.CreateHotlist(
            hotlist_pb2.CreateHotlistRequest(
                name=known, kind=HOTLIST_KIND_ALLOW, policy=HotlistPolicy(confidence_floor=0.8)
            )
        )
        assert (made.kind, made.policy.confidence_floor) == (HOTLIST_KIND_ALLOW, pytest.approx(0.8))
        for request, told in (
            (hotlist_pb2.CreateHotlistRequest(name=name, kind=7), "7 is not a kind"),
            (
                hotlist_pb2.CreateHotlistRequest(
                    name=name, confidence_floor=0.5, policy=HotlistPolicy(confidence_floor=0.8)
                ),
                "give one of them",
            ),
            (
                hotlist_pb2.CreateHotlistRequest(
                    name=name, policy=HotlistPolicy(priority_thresholds={"x" * 16 * 1024: 0.1})
                ),
                "longer than 16 KiB",
            ),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                stub.CreateHotlist(request)
            assert told in caught.value.details()
    import_entries(server, known, HotlistEntry(plate=plate))
    import_pattern(server, name, plate[:4] + "?" + plate[5:])
    end = send(server, read(1, plate, confidence=0.85), read(2, plate, confidence=0.75))
    (alert,) = alerts_of(server, name, end)
    assert alert.sighting.confidence == pytest.approx(0.75)
    assert not alert.match_path
    assert not alerts_of(server, known, end)


def test_a_watch_order_is_for_some_checkpoints_and_hours(server: Server, name: str) -> None:
    plate = plate_of(name)
    here = HotlistEntry(plate=plate, reason="here", checkpoints=["GP-01"])
    there = HotlistEntry(plate=plate, reason="there", checkpoints=["GP-02"])
    now = time.gmtime()
    minute = now.tm_hour * 60 + now.tm_min
    never = WeeklyHours(from_minute=(minute + 600) % 1440, to_minute=(minute + 660) % 1440)
    late = HotlistEntry(plate=plate, reason="late", hours=[never])
    import_entries(server, name, here, there, late)
    end = send(server, read(1, plate))
    assert [alert.entry.reason for alert in alerts_of(server, name, end)] == ["here"]


# ---- however it is matched ------------------------------------------------------------------

PLATES = st.text(alphabet="O0Q8", min_size=3, max_size=3)
ROWS = st.lists(
    st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any), min_size=3, max_size=3
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), ROWS),
        st.tuples(st.just("add"), st.lists(PLATES, min_size=1, max_size=3)),
        st.tuples(st.just("remove"), st.integers(0, 3)),
        st.tuples(st.just("policy"), st.sampled_from([0.02, 0.1, 0.3])),
        st.tuples(st.just("stop"), st.none()),
    ),
    min_size=5,
    max_size=25,
)
AT = from_micros(1_800_000_000_000_000)


class Script:
    """Plays the same steps into a log of its own; the ids in it are the same every time."""

    def __init__(self, event_store: str) -> None:
        self.ring = Ring(event_store)
        self.hotlist = Hotlist.create("police", "stolen", "test", AT)
        self.ring.store(self.hotlist)
        self.live: list[HotlistEntry] = []
        self.count = 0

    def play(self, what: str, argument: object) -> None:
        self.count += 1
        if what == "read":
            self._read(argument)  # type: ignore[arg-type]
        elif what == "add":
            entries = [
                HotlistEntry(plate=plate, entry_id=str(uuid5(NAMESPACE, f"{self.count}/{n}")))
                for n, plate in enumerate(argument)  # type: ignore[arg-type]
            ]
            self.live += entries
            self._activate(entries, [])
        elif what == "remove":
            gone, self.live = self.live[:argument], self.live[argument:]  # type: ignore[misc]
            self._activate([], [RemovedEntry(entry_id=e.entry_id, plate=e.plate) for e in gone])
        elif what == "policy":
            self.hotlist.change_policy(HotlistPolicy(threshold=argument), "test", AT)  # type: ignore[arg-type]
            self.ring.store(self.hotlist)

    def _read(self, rows: Sequence[Sequence[int]]) -> None:
        shares = [{c: n / sum(row) for c, n in zip("O0Q8", row, strict=True) if n} for row in rows]
        plate = "".join(max(row, key=row.__getitem__) for row in shares)
        message = PlateRead(sequence=self.count, plate=plate, confidence=0.8, captured_at=AT)
        for row in shares:
            message.posterior.add(characters="".join(row), probabilities=list(row.values()))
        stored = StoredRead(read=message, reader_id="r1", epoch="e", received_at=AT)
        event = ReadLog.PlateRead(read_log_id("r1", "e"), self.count, stored)
        self.ring.event_log.insert_events([self.ring.mapper.to_stored_event(event)])

    def _activate(self, added: list[HotlistEntry], removed: list[RemovedEntry]) -> None:
        staged = Import()
        staged.stage(added, removed, AT)
        self.hotlist.activate(staged, "test", AT)
        self.ring.store(staged, self.hotlist)

    def raised(self) -> list[AlertRaised]:
        """The alerts in the log, in order."""
        topics = [Alert.Raised.TOPIC]
        page = self.ring.event_log.select_notifications(0, 100_000, None, topics)
        return [AlertRaised.FromString(unseal(n.state)) for n in page]


def told(alerts: Iterator[AlertRaised] | Sequence[AlertRaised]) -> dict[str, tuple[object, ...]]:
    """What matters of alerts, by id."""
    return {
        a.alert_id: (a.entry.entry_id, a.match_probability, tuple(a.match_path), a.hotlist_version)
        for a in alerts
    }


class Following:
    """A matcher that may be stopped at any time, and goes on where it was."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.wakeup = Wakeup()
        self.matcher: Matcher | None = None

    def start(self) -> None:
        if self.matcher is None:
            self.matcher = Matcher(self.ring, self.wakeup, lambda: None)
            self.matcher.start()

    def stop(self) -> None:
        if self.matcher is not None:
            self.matcher.stop()
            self.matcher = None

    def settle(self) -> None:
        """Waits until everything that is in the log is matched."""
        self.start()
        assert self.matcher
        head, deadline = self.ring.event_log.head(), time.monotonic() + 60
        self.wakeup.notify()
        while self.matcher.position < head:
            assert time.monotonic() < deadline, self.matcher.trouble
            time.sleep(0.001)


def live(event_store: str, steps: Sequence[tuple[str, object]]) -> Script:
    """Matched read by read as they come."""
    script = Script(event_store)
    following = Following(script.ring)
    for what, argument in steps:
        if what != "stop":
            script.play(what, argument)
        following.settle()
    following.stop()
    return script


def in_bits(event_store: str, steps: Sequence[tuple[str, object]]) -> Script:
    """Stopped and started again, with much or little to catch up on."""
    script = Script(event_store)
    following = Following(script.ring)
    for what, argument in steps:
        if what == "stop":
            following.stop()
            following.start()
        else:
            script.play(what, argument)
    following.settle()
    following.stop()
    return script


def once_more(script: Script) -> Iterator[AlertRaised]:
    """Every read of a log matched again, each with the lists as of its position."""
    log: UUID = read_log_id("r1", "e")
    for notification in script.ring.event_log.select_notifications(
        0, 100_000, None, [ReadLog.PlateRead.TOPIC]
    ):
        assert notification.originator_id == log
        index = HotlistIndex(UTC)
        fold_lists(script.ring.event_log, index, 0, notification.id)
        stored = StoredRead.FromString(unseal(notification.state))
        for match in index.match(stored):
            body = alert_raised(notification.id, stored, match, 0.0).body
            assert isinstance(body, AlertRaised)
            yield body


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_live_after_a_stop_and_once_more_the_alerts_are_the_same(
    new_store: NewStore, steps: list[tuple[str, object]]
) -> None:
    first, second = live(new_store(), steps), in_bits(new_store(), steps)
    alerts = first.raised()
    assert len(told(alerts)) == len(alerts)
    assert told(second.raised()) == told(alerts)
    assert told(once_more(first)) == told(alerts)
    assert told(once_more(second)) == told(alerts)
    first.ring.close()
    second.ring.close()


def test_what_was_stored_though_it_failed_is_not_stored_again_and_matching_goes_on(
    new_store: NewStore,
) -> None:
    """As on PostgreSQL, where a connection may break between a commit and its answer."""
    script = Script(new_store())
    script.play("add", ["OOO"])
    # The list's change behind the read ends a step there, each time anew.
    script.play("read", [[1, 0, 0, 0]] * 3)
    script.play("add", ["QQQ"])
    script.play("read", [[0, 0, 1, 0]] * 3)
    log = script.ring.event_log
    insert_events, failures = log.insert_events, 0

    def committed_and_tried_again(events: Sequence[StoredEvent], **kwargs: object) -> object:
        nonlocal failures
        positions = insert_events(events, **kwargs)
        if kwargs.get("tracking") and not failures:
            failures += 1
            insert_events(events, **kwargs)
        return positions

    log.insert_events = committed_and_tried_again  # type: ignore[method-assign, assignment]
    following = Following(script.ring)
    following.settle()
    following.stop()
    assert failures == 1
    assert [alert.entry.plate for alert in script.raised()] == ["OOO", "QQQ"]
    script.ring.close()


def test_a_list_does_not_decide_over_another_lists_near_matches() -> None:
    """At the very edge too, where rounding gives the others more than the confidence leaves."""
    edges = 0
    for number in range(1, 200):
        read_ = PlateRead(plate="OO", confidence=0.75)
        for share in (0.3 + 0.001 * number, 0.0):
            read_.posterior.add(characters="O0", probabilities=[1 - share, share])
        if plausible(read_).get("0O", 0.0) <= 0.25:
            continue
        edges += 1
        for others in ([], [0.02]):
            index = HotlistIndex(UTC)
            for name, threshold in (("ours", 0.25), *(("theirs", other) for other in others)):
                policy = HotlistPolicy(confidence_floor=0.5, threshold=threshold)
                index.create(HotlistCreated(agency=name, name=name, policy=policy))
            change = EntriesActivated(agency="ours", name="ours", version=1, entries=1)
            entry = HotlistEntry(plate="0O", entry_id="1")
            index.activate(change, [EntriesStaged(added=[entry])])
            stored = StoredRead(read=read_, reader_id="r1", epoch="e", received_at=AT)
            assert [match.plate for match in index.match(stored)] == ["0O"], others
    assert edges
