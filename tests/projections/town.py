"""A town of four checkpoints: what is read there, and the ways to ask about many plates."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import assume
from hypothesis import strategies as st

from projections.clones import clone_suspects, hunt_of
from projections.encounters import companions_of, travel_of
from projections.scenes import common_plates, places_of
from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import TimeRange
from ring.values import from_micros
from tests.projections import reference
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, UNKNOWN, Seen, World

DAY = 24 * HOUR
MINUTE = 60 * SECOND
# About 11 km from one to the next, and a kilometre from D to A.
PLACES = {"A": (-34.50, -58.5), "B": (-34.60, -58.5), "C": (-34.70, -58.5), "D": (-34.509, -58.5)}
# No two of them are one character apart: none is a misread of another.
PLATES = ["AB123CD", "AB123OO", "XYZ987", "ABC123"]
MAX_VISIT = 72 * HOUR
# After every read of these tests, most of which lie in 2022 to 2027.
NOW = Timestamp(seconds=2_000_000_000)


def town(world: World) -> Iterator[Filled]:
    """A read side of it, with the checkpoints of PLACES."""
    filled = Filled(world)
    world.stand(PLACES)
    filled.apply()
    yield filled
    filled.client.close()


def range_of(start: int, end: int) -> TimeRange:
    return TimeRange(start_time=from_micros(start), end_time=from_micros(end))


def companions(filled: Filled, request: pb.FindCompanionsRequest) -> list[pb.Companion]:
    return list(companions_of(filled.client, filled.world.log, travel_of(request)).companions)


def common(filled: Filled, request: pb.FindCommonPlatesRequest) -> list[pb.CommonPlate]:
    return list(common_plates(filled.client, filled.world.log, places_of(request)).plates)


def suspects(filled: Filled, request: pb.ListCloneSuspectsRequest) -> list[pb.CloneSuspect]:
    hunt = hunt_of(request, Timestamp())
    return list(clone_suspects(filled.client, filled.world.log, hunt).suspects)


def passages_of(reads: list[Seen]) -> list[reference.ReferencePassage]:
    return [
        p for plate in PLATES for p in reference.passages([r for r in reads if r.plate == plate])
    ]


GAPS = st.sampled_from([0, 1, 20 * SECOND, MINUTE, MINUTE + 1, 3 * MINUTE, HOUR, 40 * HOUR])
READS = st.lists(
    st.tuples(
        GAPS,
        st.sampled_from(PLATES),
        st.sampled_from(list(PLACES)),
        st.sampled_from([UNKNOWN, ENTRY, EXIT]),
        st.sampled_from([0.5, 0.95]),
    ),
    min_size=1,
    max_size=24,
)


def seen_after(begin: int, drawn: list[tuple[int, str, str, Any, float]]) -> list[Seen]:
    """The drawn reads, in order of time; none of their passages is long."""
    at, reads = begin, []
    for gap, plate, checkpoint, direction, confidence in drawn:
        at += gap
        reads.append(Seen(plate, at, checkpoint, direction, confidence=confidence))
    assume(all(p.reads[-1].at - p.first.at < 100 * SECOND for p in passages_of(reads)))
    return reads
