"""Incidents and precision: the same as an obvious reference makes of the alerts, in any order."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import grpc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from projections.precision import wilson
from proto.ring.v1.alert_pb2 import AlertState, HotlistEntry
from proto.ring.v1.common_pb2 import PlateSighting, TimeRange
from proto.ring.v1.events_pb2 import (
    AlertAcknowledged,
    AlertRaised,
    AlertResolved,
    CheckpointPlaced,
)
from proto.ring.v1.incident_pb2 import (
    GetIncidentRequest,
    GetPrecisionRequest,
    Incident,
    ListIncidentsRequest,
    PrecisionPeriod,
    ReportScope,
    ScopedGetIncidentRequest,
    ScopedGetPrecisionRequest,
    ScopedListIncidentsRequest,
)
from proto.ring.v1.incident_pb2_grpc import AlertReportServiceStub
from proto.ring.v1.operations_pb2 import RebuildRequest
from ring.values import from_micros
from tests.projections.world import HOUR, SECOND, T0, Served, World, serving

GAP = 6 * HOUR
EVERYTHING = ReportScope(everything=True)
# Entry → its list, its plate and the plates that may be read for it.
ENTRIES = {
    "e1": ("stolen", "AB123CD", ["AB123CD", "A8123CD", "AB123CO"]),
    "e2": ("stolen", "AB1??CD", ["AB123CD", "AB199CD"]),
    "e3": ("wanted", "AB123CD", ["AB123CD"]),
}


@dataclass(frozen=True)
class Hit:
    """One alert, as a test speaks of it."""

    number: int
    entry: str
    plate: str
    at: int
    checkpoint: str = "GP-01"
    reader: str = "r1"
    disposition: str = ""
    acknowledged: bool = False
    reason: str = ""

    @property
    def alert_id(self) -> str:
        return f"alert-{self.number:04}"

    @property
    def vehicle(self) -> tuple[str, str]:
        plate = ENTRIES[self.entry][1]
        return self.entry, self.plate if "?" in plate else plate

    @property
    def state(self) -> int:
        if self.disposition:
            return AlertState.ALERT_STATE_RESOLVED
        return 1 + self.acknowledged

    def happen(self, world: World) -> None:
        hotlist, plate, _ = ENTRIES[self.entry]
        id_ = self.alert_id
        body = AlertRaised(
            at=from_micros(self.at + SECOND),
            alert_id=id_,
            agency="police" if hotlist == "stolen" else "customs",
            hotlist=hotlist,
            entry=HotlistEntry(
                plate=plate,
                entry_id=self.entry,
                priority=f"of {self.entry}",
                reason=self.reason,
            ),
            sighting=PlateSighting(
                plate=self.plate,
                checkpoint=self.checkpoint,
                reader_id=self.reader,
                captured_at=from_micros(self.at),
            ),
            match_probability=0.75,
            match_path=["O→0 at 5"],
            look_back_id="back",
        )
        world.happen("ring.alert.raised", body, id_, 1)
        at = from_micros(self.at + 2 * SECOND)
        if self.acknowledged:
            seen = AlertAcknowledged(at=at, alert_id=id_, by="ana")
            world.happen("ring.alert.acknowledged", seen, id_, 2)
        if self.disposition:
            ended = AlertResolved(at=at, alert_id=id_, by="eva", disposition=self.disposition)
            world.happen("ring.alert.resolved", ended, id_, 3)


def hits(seed: int, count: int) -> list[Hit]:
    """Hits in runs and with gaps, one a microsecond beyond."""
    rng = random.Random(seed)
    found, at = [], T0
    for number in range(count):
        entry = rng.choice(list(ENTRIES))
        plate = rng.choice(ENTRIES[entry][2])
        at += rng.choice([0, SECOND, HOUR, GAP, GAP + 1])
        checkpoint, reader = rng.choice([("GP-01", "r1"), ("GP-02", "r2")])
        ended = rng.choice(["", "", "confirmed", "misread", "not of interest", "no action"])
        found.append(Hit(number, entry, plate, at, checkpoint, reader, ended, rng.random() < 0.5))
    return found


def expected(found: list[Hit]) -> list[list[Hit]]:
    """The obvious way: vehicle by vehicle, sighting after sighting; the one seen last first."""
    of_vehicle = defaultdict(list)
    for hit in sorted(found, key=lambda h: (h.at, h.alert_id)):
        of_vehicle[hit.vehicle].append(hit)
    runs: list[list[Hit]] = []
    for track in of_vehicle.values():
        for number, hit in enumerate(track):
            if number and hit.at - track[number - 1].at <= GAP:
                runs[-1].append(hit)
            else:
                runs.append([hit])
    return sorted(runs, key=lambda run: (run[-1].at, run[0].alert_id), reverse=True)


def tracks(incidents: list[Incident]) -> list[list[str]]:
    return [[point.alert_id for point in incident.track] for incident in incidents]


def ids(runs: list[list[Hit]]) -> list[list[str]]:
    return [[hit.alert_id for hit in run] for run in runs]


@dataclass
class Asked:
    """A read process, and how it is asked."""

    served: Served
    scope: ReportScope

    def __post_init__(self) -> None:
        self.stub = AlertReportServiceStub(self.served.channel)

    def incidents(self, **request: object) -> list[Incident]:
        wanted = ListIncidentsRequest(at_least=self.served.at_head(), **request)
        found = []
        while True:
            scoped = ScopedListIncidentsRequest(request=wanted, scope=self.scope)
            answer = self.stub.ListIncidents(scoped, timeout=60)
            found += answer.incidents
            wanted.page_token = answer.next_page_token
            if not wanted.page_token:
                return found

    def incident(self, alert_id: str) -> Incident:
        wanted = GetIncidentRequest(alert_id=alert_id, at_least=self.served.at_head())
        scoped = ScopedGetIncidentRequest(request=wanted, scope=self.scope)
        return self.stub.GetIncident(scoped, timeout=60)

    def precision(self, **request: object) -> list[object]:
        wanted = GetPrecisionRequest(at_least=self.served.at_head(), **request)
        scoped = ScopedGetPrecisionRequest(request=wanted, scope=self.scope)
        return list(self.stub.GetPrecision(scoped, timeout=60).rows)


def code_of(call: object, *args: object, **kwargs: object) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)  # type: ignore[operator]
    return caught.value.code()  # type: ignore[no-any-return]


FOUND = hits(seed=7, count=120)


@pytest.fixture(scope="module")
def asked(make_world: object) -> Iterator[Asked]:
    world = make_world()  # type: ignore[operator]
    for code in ("GP-01", "GP-02"):
        placed = CheckpointPlaced(at=from_micros(T0), code=code, zone=f"zone of {code}")
        world.happen("ring.checkpoint.registered", placed, code, 1)
    late = list(FOUND)
    random.Random(1).shuffle(late)
    for hit in late:
        hit.happen(world)
    moved = CheckpointPlaced(at=from_micros(T0 + 10_000 * HOUR), code="GP-01", zone="elsewhere")
    world.happen("ring.checkpoint.moved", moved, "GP-01", 2)
    with serving(world) as served:
        yield Asked(served, EVERYTHING)


def test_incidents_are_what_the_obvious_way_makes_of_the_alerts(asked: Asked) -> None:
    runs = expected(FOUND)
    assert len(runs) > 20
    found = asked.incidents()
    assert tracks(found) == ids(runs)
    for incident, run in zip(found, runs, strict=True):
        assert incident.incident_id == run[0].alert_id
        assert incident.plate == run[0].vehicle[1]
        assert incident.hotlist == ENTRIES[run[0].entry][0]
        assert (incident.first_seen, incident.last_seen) == (
            from_micros(run[0].at),
            from_micros(run[-1].at),
        )
        assert incident.state == min(hit.state for hit in run)
        assert incident.alerts == len(run)
        states = [hit.state for hit in run]
        assert [incident.raised, incident.acknowledged, incident.resolved] == [
            states.count(state) for state in (1, 2, 3)
        ]
        assert set(incident.dispositions) == {hit.disposition for hit in run} - {""}
        for point, hit in zip(incident.track, run, strict=True):
            assert (point.plate, point.checkpoint, point.reader_id) == (
                hit.plate,
                hit.checkpoint,
                hit.reader,
            )
            assert (point.state, point.disposition) == (hit.state, hit.disposition)
            assert point.zone == f"zone of {hit.checkpoint}"
            assert (list(point.match_path), point.look_back_id) == (["O→0 at 5"], "back")


def test_no_other_plate_and_no_other_entry_is_in_an_incident(asked: Asked) -> None:
    for incident in asked.incidents():
        assert {FOUND[int(p.alert_id[-4:])].entry for p in incident.track} == {
            incident.entry.entry_id
        }
        if "?" in incident.entry.plate:
            assert {p.plate for p in incident.track} == {incident.plate}


def test_filters_leave_incidents_whole(asked: Asked) -> None:
    runs = expected(FOUND)
    start, end = T0 + 20 * HOUR, T0 + 60 * HOUR
    span = TimeRange(start_time=from_micros(start), end_time=from_micros(end))
    for request, wanted in (
        ({"range": span}, lambda run: any(start <= hit.at < end for hit in run)),
        ({"hotlists": ["wanted"]}, lambda run: run[0].entry == "e3"),
        ({"agencies": ["police"]}, lambda run: run[0].entry != "e3"),
        ({"priorities": ["of e2", "x"]}, lambda run: run[0].entry == "e2"),
        ({"entry_id": "e1"}, lambda run: run[0].entry == "e1"),
        ({"checkpoints": ["GP-02"]}, lambda run: "GP-02" in {hit.checkpoint for hit in run}),
        ({"zones": ["zone of GP-02"]}, lambda run: "GP-02" in {hit.checkpoint for hit in run}),
        ({"states": [2, 3]}, lambda run: min(hit.state for hit in run) > 1),
        ({"plate": "a8-123 cd"}, lambda run: "A8123CD" in {hit.plate for hit in run}),
        ({"page_size": 7}, lambda _: True),
    ):
        found = asked.incidents(**request)
        assert tracks(found) == ids([run for run in runs if wanted(run)]), request


def test_every_alert_finds_its_incident(asked: Asked) -> None:
    for run in expected(FOUND)[:5]:
        for hit in run:
            assert asked.incident(hit.alert_id).incident_id == run[0].alert_id
    assert code_of(asked.incident, "no such") is grpc.StatusCode.NOT_FOUND
    assert code_of(asked.incident, "") is grpc.StatusCode.NOT_FOUND


def test_nothing_outside_of_the_scope_is_told(asked: Asked) -> None:
    customs = replace(asked, scope=ReportScope(agencies=["customs"], hotlists=["wanted"]))
    runs = [run for run in expected(FOUND) if run[0].entry == "e3"]
    assert tracks(customs.incidents()) == ids(runs)
    other = next(hit for hit in FOUND if hit.entry == "e1")
    assert code_of(customs.incident, other.alert_id) is grpc.StatusCode.NOT_FOUND
    assert {row.hotlist for row in customs.precision()} == {"wanted"}
    nobody = replace(asked, scope=ReportScope())
    assert (nobody.incidents(), nobody.precision()) == ([], [])


def test_a_question_that_can_not_be_answered_is_refused(asked: Asked) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(asked.incidents, states=[0]) is invalid
    assert code_of(asked.incidents, page_token="x") is invalid
    assert code_of(asked.precision, period=9) is invalid


def test_pages_neither_repeat_nor_skip_while_alerts_come_in(make_world) -> None:
    world = make_world()
    found = hits(seed=3, count=30)
    for hit in found:
        hit.happen(world)
    with serving(world) as served:
        asked = Asked(served, EVERYTHING)
        wanted = ListIncidentsRequest(page_size=4, at_least=served.at_head())
        scoped = ScopedListIncidentsRequest(request=wanted, scope=EVERYTHING)
        answer = asked.stub.ListIncidents(scoped, timeout=60)
        seen = list(answer.incidents)
        joining = [Hit(900 + n, hit.entry, hit.plate, hit.at + 1) for n, hit in enumerate(found)]
        for hit in joining:
            hit.happen(world)
        while answer.next_page_token:
            wanted.page_token = answer.next_page_token
            del wanted.at_least[:]
            wanted.at_least.extend(served.at_head())
            scoped = ScopedListIncidentsRequest(request=wanted, scope=EVERYTHING)
            answer = asked.stub.ListIncidents(scoped, timeout=60)
            seen += answer.incidents
        assert tracks(seen) == ids(expected(found))
        assert tracks(asked.incidents()) == ids(expected(found + joining))
        scoped.request.zones.append("other")
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        assert code_of(asked.stub.ListIncidents, scoped) is invalid
        *_, outcome = served.projections.Rebuild(RebuildRequest(verify_only=True), timeout=60)
        assert outcome.outcome == "equal", outcome


def test_a_page_is_no_longer_than_a_client_takes(make_world) -> None:
    world = make_world()
    found = [
        Hit(n, "e1", "AB123CD", T0 + n * (GAP + 1), reason=f"{n} " + "x" * 16_000)
        for n in range(300)
    ]
    for hit in found:
        hit.happen(world)
    with serving(world) as served:
        told = Asked(served, EVERYTHING).incidents(page_size=1000)
        assert tracks(told) == ids(expected(found))


def test_precision_is_counted_from_the_dispositions(asked: Asked) -> None:
    rows = asked.precision(by_reader=True)
    assert [(r.agency, r.hotlist, r.reader_id) for r in rows] == [
        (agency, hotlist, reader)
        for agency, hotlist in (("customs", "wanted"), ("police", "stolen"))
        for reader in ("r1", "r2")
    ]
    for row in rows:
        own = [h for h in FOUND if (ENTRIES[h.entry][0], h.reader) == (row.hotlist, row.reader_id)]
        ends = [hit.disposition for hit in own]
        assert row.raised == len(own)
        assert row.resolved == len(own) - ends.count("")
        counted = [row.confirmed, row.misread, row.not_of_interest, row.no_action]
        names = ("confirmed", "misread", "not of interest", "no action")
        assert counted == [ends.count(name) for name in names]
        judged = row.confirmed + row.misread
        assert row.share == pytest.approx(row.confirmed / judged)
        assert (row.low, row.high) == pytest.approx(wilson(row.confirmed, judged))
        assert not row.HasField("period_start")
    whole = asked.precision()
    assert sum(r.raised for r in whole) == len(FOUND)
    for period in (1, 2, 3):
        parts = asked.precision(period=PrecisionPeriod.Name(period))
        assert sum(r.raised for r in parts) == len(FOUND)
        for row in parts:
            begin = row.period_start.ToDatetime()
            assert (begin.hour, begin.minute) == (0, 0)
            assert period != 2 or begin.weekday() == 0
            assert period != 3 or begin.day == 1
    day = TimeRange(start_time=from_micros(T0), end_time=from_micros(T0 + 24 * HOUR))
    within = [hit for hit in FOUND if hit.at + SECOND < T0 + 24 * HOUR]
    assert sum(r.raised for r in asked.precision(range=day)) == len(within)


def test_what_nobody_judged_has_no_share(make_world) -> None:
    world = make_world()
    Hit(1, "e1", "AB123CD", T0, disposition="no action").happen(world)
    with serving(world) as served:
        (row,) = Asked(served, EVERYTHING).precision()
    assert (row.raised, row.resolved, row.no_action) == (1, 1, 1)
    assert not any(row.HasField(name) for name in ("share", "low", "high"))


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
    for right, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data())
@example(1, None)
def test_wilsons_interval_holds_the_share(count: int, data: object) -> None:
    right = count if data is None else data.draw(st.integers(0, count))  # type: ignore[attr-defined]
    low, high = wilson(right, count)
    assert 0 <= low <= right / count + 1e-12
    assert right / count - 1e-12 <= high <= 1
