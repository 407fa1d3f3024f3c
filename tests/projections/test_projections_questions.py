"""What the read process answers, over a real socket."""

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import LogPosition, PlateSighting, Purpose, TimeRange
from proto.ring.v1.operations_pb2 import GetStatusRequest
from ring.values import from_micros
from tests.projections.world import (
    ENTRY,
    EXIT,
    HOUR,
    PURPOSE,
    SECOND,
    T0,
    UNKNOWN,
    Seen,
    Served,
    World,
    serving,
)


@pytest.fixture(scope="module")
def served(make_world: Callable[[], World]) -> Iterator[Served]:
    with serving(make_world()) as served:
        yield served


def span(start: int | None = None, end: int | None = None) -> TimeRange:
    return TimeRange(
        start_time=None if start is None else from_micros(start),
        end_time=None if end is None else from_micros(end),
    )


def timeline(served: Served, plate: str, range_: TimeRange | None = None) -> pb.GetTimelineResponse:
    return served.investigation.GetTimeline(
        pb.GetTimelineRequest(purpose=PURPOSE, plate=plate, range=range_, at_least=served.at_head())
    )


def search(served: Served, pattern: str, **more: Any) -> pb.SearchPlatesResponse:
    return served.investigation.SearchPlates(
        pb.SearchPlatesRequest(
            purpose=PURPOSE,
            pattern=pattern,
            at_least=served.at_head(),
            **more,
        )
    )


def list_reads(served: Served, plate: str, range_: TimeRange | None = None) -> list[PlateSighting]:
    return list(
        served.investigation.ListReads(
            pb.ListReadsRequest(
                purpose=PURPOSE, plate=plate, range=range_, at_least=served.at_head()
            )
        )
    )


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert isinstance(caught.value, grpc.Call)
    return caught.value.code(), caught.value.details() or ""


def test_a_timeline_has_passages_with_anomalies_and_visits(served: Served) -> None:
    p = "TL001AA"
    served.world.see(
        Seen(p, T0, "A", ENTRY),
        Seen(p, T0 + 60 * SECOND, "A", ENTRY),
        Seen(p, T0 + HOUR, "B", UNKNOWN),
        Seen(p, T0 + 2 * HOUR, "B", ENTRY),
        Seen(p, T0 + 3 * HOUR, "C", EXIT),
        Seen(p, T0 + 4 * HOUR, "C", EXIT),
        Seen(p, T0 + 5 * HOUR, "A", ENTRY),
    )
    answer = timeline(served, "tl 001-aa")
    assert [
        (q.checkpoint, q.direction, q.at, q.reads, list(q.anomalies)) for q in answer.passages
    ] == [
        ("A", ENTRY, from_micros(T0), 2, []),
        ("B", UNKNOWN, from_micros(T0 + HOUR), 1, []),
        ("B", ENTRY, from_micros(T0 + 2 * HOUR), 1, ["missed-exit"]),
        ("C", EXIT, from_micros(T0 + 3 * HOUR), 1, []),
        ("C", EXIT, from_micros(T0 + 4 * HOUR), 1, ["missed-entry"]),
        ("A", ENTRY, from_micros(T0 + 5 * HOUR), 1, []),
    ]
    first, second, third, fourth = answer.visits
    assert (first.entered_at, first.entry_checkpoint) == (from_micros(T0), "A")
    assert not first.HasField("exited_at")
    assert not first.exit_checkpoint
    assert (second.entry_checkpoint, second.exit_checkpoint) == ("B", "C")
    assert second.exited_at == from_micros(T0 + 3 * HOUR)
    assert not third.HasField("entered_at")
    assert third.exited_at == from_micros(T0 + 4 * HOUR)
    assert fourth.entered_at == from_micros(T0 + 5 * HOUR)
    assert not fourth.HasField("exited_at")


def test_a_range_picks_passages_in_it_and_visits_that_overlap_it(served: Served) -> None:
    p = "TL002AA"
    served.world.see(Seen(p, T0, "A", ENTRY), Seen(p, T0 + 4 * HOUR, "B", EXIT))
    answer = timeline(served, p, span(T0 + HOUR, T0 + 2 * HOUR))
    assert len(answer.passages) == 0
    assert len(answer.visits) == 1
    assert len(timeline(served, p, span(T0, T0 + 1)).passages) == 1, "the start is in the range"
    assert len(timeline(served, p, span(T0 - HOUR, T0)).passages) == 0, "the end is not"
    assert len(timeline(served, p, span(T0 + 5 * HOUR)).visits) == 0


def test_a_plate_never_seen_has_an_empty_timeline(served: Served) -> None:
    assert timeline(served, "NEVER01") == pb.GetTimelineResponse()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"purpose": None}, "purpose"),
        ({"purpose": Purpose(case_number=" ", reason="x")}, "case"),
        ({"purpose": Purpose(case_number="x", reason=" ")}, "reason"),
        ({"plate": "A"}, "not a plate"),
        ({"plate": "'; DROP"}, "not a plate"),
        ({"range": span(T0, T0)}, "before end_time"),
        ({"range": TimeRange(start_time=Timestamp(nanos=-1))}, "start_time"),
    ],
)
def test_a_bad_question_is_refused(served: Served, wrong: dict[str, Any], says: str) -> None:
    request = pb.GetTimelineRequest(**{"purpose": PURPOSE, "plate": "AB123CD", **wrong})
    code, details = refused(lambda: served.investigation.GetTimeline(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert says in details


def test_every_call_about_a_plate_needs_a_purpose(served: Served) -> None:
    calls: list[Callable[[], object]] = [
        lambda: served.investigation.SearchPlates(pb.SearchPlatesRequest(pattern="*")),
        lambda: list(served.investigation.ListReads(pb.ListReadsRequest(plate="AB123CD"))),
        lambda: served.investigation.GetTimeline(pb.GetTimelineRequest(plate="AB123CD")),
        lambda: served.investigation.FindCompanions(pb.FindCompanionsRequest(plate="AB123CD")),
        lambda: served.investigation.FindCommonPlates(pb.FindCommonPlatesRequest()),
        lambda: served.investigation.ListCloneSuspects(pb.ListCloneSuspectsRequest()),
        lambda: served.investigation.ListPresent(pb.ListPresentRequest()),
    ]
    for call in calls:
        assert refused(call)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_times_beyond_what_is_stored_are_as_good_as_open_ends(served: Served) -> None:
    p = "TL003AA"
    served.world.see(Seen(p, T0))
    widest = TimeRange(
        start_time=Timestamp(seconds=-62_135_596_800),
        end_time=Timestamp(seconds=253_402_300_799, nanos=999_999_999),
    )
    assert len(timeline(served, p, widest).passages) == 1
    assert len(list_reads(served, p, widest)) == 1
    assert len(search(served, p, range=widest).plates) == 1
    future = TimeRange(start_time=Timestamp(seconds=253_402_300_000))
    assert len(timeline(served, p, future).passages) == 0
    past = TimeRange(end_time=Timestamp(seconds=-62_135_596_000))
    assert len(list_reads(served, p, past)) == 0


def test_what_is_not_built_says_so(served: Served) -> None:
    stub = served.investigation
    calls: list[Callable[[], object]] = [
        lambda: stub.GetPicture(pb.GetPictureRequest(purpose=PURPOSE)),
    ]
    for call in calls:
        code, details = refused(call)
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert details


def test_reads_come_whole_and_in_order_of_capture(served: Served) -> None:
    p = "LR001AA"
    reads = served.world.numbered(
        [
            Seen(p, T0 + 5 * SECOND, "B", EXIT, lane="2", confidence=0.5, region="AR"),
            Seen(p, T0, "A", ENTRY, crop=b"c" * 32, make="Fiat"),
            Seen(p, T0, "A", ENTRY),
            Seen(p, T0, "A", ENTRY),
            Seen(p, 0, "C", UNKNOWN, suspect=True, received_at=T0 + 9 * SECOND),
        ]
    )
    served.world.store(reads)
    found = list_reads(served, p)
    ties = sorted(reads[1:4], key=lambda r: r.read_id)
    assert [s.read_id for s in found] == [r.read_id for r in (*ties, reads[0], reads[4])]
    by_id = {s.read_id: s for s in found}
    whole = by_id[reads[1].read_id]
    assert (whole.crop_sha256, whole.vehicle.make, whole.checkpoint) == (b"c" * 32, "Fiat", "A")
    assert not by_id[reads[2].read_id].HasField("vehicle")
    other = by_id[reads[0].read_id]
    assert (other.lane, other.direction, other.confidence, other.region) == ("2", EXIT, 0.5, "AR")
    assert other.received_at == from_micros(T0 + 6 * SECOND)
    suspect = by_id[reads[4].read_id]
    assert suspect.time_suspect
    assert suspect.captured_at == suspect.received_at == from_micros(T0 + 9 * SECOND)


def test_many_reads_at_few_instants_stream_once_each(served: Served) -> None:
    p = "LR002AA"
    served.world.see(*(Seen(p, T0 + i // 700 * SECOND) for i in range(2500)))
    found = list_reads(served, p)
    assert len(found) == len({s.read_id for s in found}) == 2500


def test_patterns_are_plates_with_wildcards(served: Served) -> None:
    plates = ["PQ100AA", "PQ100AB", "PQ200AA", "PX100AA"]
    served.world.see(*(Seen(plate, T0) for plate in plates))

    def found(pattern: str) -> list[str]:
        return [s.plate for s in search(served, pattern).plates]

    assert found("pq-100.aa") == ["PQ100AA"]
    assert found("PQ100A?") == ["PQ100AA", "PQ100AB"]
    assert found("P?100AA") == ["PQ100AA", "PX100AA"]
    assert found("PQ*") == plates[:3]
    assert found("*100A*") == ["PQ100AA", "PQ100AB", "PX100AA"]
    assert found("PQ*?*?*?AA") == found("PQ???*AA") == ["PQ100AA", "PQ200AA"]
    assert found("PQ100") == []


@pytest.mark.parametrize(
    "pattern",
    [" - ", "PQ%", "PQ100A\\", "PQ'*", "PQ–100", "PQ[0-9]*", "Ñ*", "A" * 13, "*" * 65, "?" * 13],
)
@pytest.mark.parametrize("fuzzy", [False, True])
def test_a_pattern_that_no_plate_can_match_is_refused(
    served: Served, pattern: str, fuzzy: bool
) -> None:
    code, details = refused(lambda: search(served, pattern, fuzzy=fuzzy))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "pattern" in details


def test_a_pattern_of_whatever_form_holds_nothing_up(served: Served) -> None:
    served.world.see(*(Seen(f"HU{n:04}AAAAAA", T0) for n in range(50)))
    started = time.monotonic()
    for pattern in ("*" * 50 + "HU" + "*" * 12, "*H*U" + "*?" * 6, "HU*" + "*A" * 6):
        assert len(search(served, pattern, fuzzy=True).plates) >= 50
    for pattern in ("*" * 40 + "Q", "B8O0D1I" * 9 + "?", "*A*8*O*0*1*I*D*B*5*S*2*Z"):
        with contextlib.suppress(grpc.RpcError):
            search(served, pattern, fuzzy=True)
    assert time.monotonic() - started < 20


def test_a_summary_counts_what_the_question_asks_for(served: Served) -> None:
    p = "SU001AA"
    served.world.see(
        Seen(p, T0, "A", region="UY"),
        Seen(p, T0 + HOUR, "A", region="AR"),
        Seen(p, T0 + 2 * HOUR, "B", region="AR"),
        *(Seen(p, T0 + 3 * HOUR + i, "B") for i in range(3)),
    )
    (whole,) = search(served, p).plates
    assert (whole.reads, whole.region, whole.score) == (6, "AR", 1.0)
    assert (whole.first_seen, whole.last_seen) == (from_micros(T0), from_micros(T0 + 3 * HOUR + 2))
    (some,) = search(served, p, range=span(T0, T0 + 2 * HOUR)).plates
    assert (some.reads, some.last_seen) == (2, from_micros(T0 + HOUR))
    (some,) = search(served, p, checkpoints=["B", "X"]).plates
    assert (some.reads, some.first_seen) == (4, from_micros(T0 + 2 * HOUR))
    assert not search(served, p, checkpoints=["it's", "a\\"]).plates
    assert not search(served, p, range=span(T0 + 5 * HOUR)).plates


@pytest.mark.parametrize("filtered", [False, True])
def test_pages_stay_the_same_while_reads_arrive(served: Served, filtered: bool) -> None:
    prefix = "PGF" if filtered else "PGX"
    plates = [f"{prefix}{i:03}" for i in range(0, 50, 2)]
    served.world.see(*(Seen(plate, T0) for plate in plates))
    more: dict[str, Any] = {"page_size": 10}
    if filtered:
        more["range"] = span(T0 - 1, T0 + HOUR)
    page = search(served, f"{prefix}*", **more)
    found = list(page.plates)
    while page.next_page_token:
        served.world.see(*(Seen(f"{prefix}{i:03}", T0) for i in range(50)))
        page = search(served, f"{prefix}*", page_token=page.next_page_token, **more)
        found += page.plates
    assert [s.plate for s in found] == plates
    assert {s.reads for s in found} == {1}
    assert len(search(served, f"{prefix}*").plates) == 50, "a new question sees them"


def test_a_token_is_good_for_its_own_question_alone(served: Served) -> None:
    served.world.see(*(Seen(f"TK{i:03}", T0) for i in range(3)))
    token = search(served, "TK*", page_size=1).next_page_token
    assert search(served, "tk*", page_size=2, page_token=token).plates[0].plate == "TK001"
    altered = [
        token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :]
        # The last characters may have bits that mean nothing.
        for n in range(0, len(token) - 4, 7)
    ]
    nested = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    for bad in (token[:-4], token + token, "nonsense", "e30=", nested, *altered):
        code, details = refused(lambda bad=bad: search(served, "TK*", page_token=bad))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "page_token" in details
    code, _ = refused(lambda: search(served, "T*", page_token=token))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_flows_count_passages_by_the_hour_they_begin_in(served: Served) -> None:
    day = T0 + 400 * 24 * HOUR
    served.world.see(
        Seen("FL001AA", day + 3590 * SECOND, "F1", ENTRY),
        Seen("FL001AA", day + 3610 * SECOND, "F1", ENTRY),
        Seen("FL001AA", day + 3671 * SECOND, "F1", ENTRY),
        Seen("FL002AA", day, "F1", ENTRY),
        Seen("FL002AA", day, "F1", ENTRY),
        Seen("FL002AA", day, "F1", EXIT),
        Seen("FL002AA", day, "F2", UNKNOWN),
    )

    def flows(*checkpoints: str, range_: TimeRange) -> list[tuple[str, int, int, int]]:
        answer = served.investigation.ListFlows(
            pb.ListFlowsRequest(range=range_, checkpoints=checkpoints, at_least=served.at_head())
        )
        return [
            (f.checkpoint, f.direction, (f.hour.seconds - day // SECOND) // 3600, f.passages)
            for f in answer.flows
        ]

    whole = span(day, day + 24 * HOUR)
    assert flows(range_=whole) == [
        ("F1", ENTRY, 0, 2),
        ("F1", EXIT, 0, 1),
        ("F2", UNKNOWN, 0, 1),
        ("F1", ENTRY, 1, 1),
    ]
    assert flows("F2", range_=whole) == [("F2", UNKNOWN, 0, 1)]
    # What began before the range does not begin again in it.
    assert flows(range_=span(day + 3600 * SECOND, day + 24 * HOUR)) == [("F1", ENTRY, 1, 1)]


def test_at_least_waits_for_what_is_stored_meanwhile(served: Served) -> None:
    p = "AL001AA"
    ahead = served.world.log.head() + 1
    call = served.investigation.GetTimeline.future(
        pb.GetTimelineRequest(purpose=PURPOSE, plate=p, at_least=[served.world.position(ahead)]),
        timeout=60,
    )
    assert not call.done()
    served.world.see(Seen(p, T0))
    assert len(call.result().passages) == 1


def test_at_least_gives_up_at_the_deadline(served: Served) -> None:
    ahead = [served.world.position(served.world.log.head() + 1_000)]
    request = pb.GetTimelineRequest(purpose=PURPOSE, plate="AL002AA", at_least=ahead)
    code, _ = refused(lambda: served.investigation.GetTimeline(request, timeout=0.5))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_position_of_another_log_is_refused(served: Served) -> None:
    request = pb.ListFlowsRequest(at_least=[LogPosition(log_id="another", position=1)])
    code, details = refused(lambda: served.investigation.ListFlows(request))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "another" in details


def test_health_serves_and_the_status_says_how_far(served: Served) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    head = served.world.see(Seen("HE001AA", T0))
    served.investigation.ListFlows(pb.ListFlowsRequest(at_least=served.at_head()))
    status = served.projections.GetStatus(GetStatusRequest())
    assert status.health == "ok"
    assert status.projected == served.world.position(head)
    assert status.rows["sightings"] > 0
