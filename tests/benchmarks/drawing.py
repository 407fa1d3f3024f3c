"""Questions about a city, drawn from its reads: the same for the same seed.

Always true here: a plate that is seen often is asked for often, as an investigator would.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import Purpose, TimeRange
from tests.benchmarks.city import City

_PURPOSE = Purpose(case_number="bench", reason="benchmark")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Seen(NamedTuple):
    """A read that questions are made from. at: microseconds since 1970."""

    plate: str
    checkpoint: str
    at: int


@dataclass(frozen=True)
class Question:
    """A kind of question. ask: its call; make: one of that kind; answers: how many are in one.

    p50, p99: what is wanted, milliseconds.
    """

    name: str
    call: str
    make: Callable[["Draw"], Message]
    answers: Callable[[Any], int]
    count: int
    p50: float | None = None
    p99: float | None = None


class Draw:
    """Questions about one city, the same for the same seed."""

    def __init__(self, city: City, sample: Sequence[Seen]) -> None:
        self._begins, self._ends = city.plan.midnight(0), city.ends
        self._sample = sample
        self._of: dict[str, list[Seen]] = defaultdict(list)
        for read in sample:
            self._of[read.plate].append(read)
        self._chance = random.Random(city.plan.seed)

    def read(self) -> Seen:
        """Any read: plates that are seen often come often."""
        return self._chance.choice(self._sample)

    def timeline(self) -> Message:
        """Everything of one plate."""
        return pb.GetTimelineRequest(purpose=_PURPOSE, plate=self.read().plate)

    def pattern(self) -> Message:
        """A plate of which two stretches are not known: one character each, or any run."""
        plate = list(self.read().plate)
        first, second = sorted(self._chance.sample(range(len(plate)), 2))
        plate[first] = self._chance.choice("??*")
        plate[second] = self._chance.choice("??*")
        return pb.SearchPlatesRequest(purpose=_PURPOSE, pattern="".join(plate))

    def fuzzy(self) -> Message:
        """A whole plate that may be a misread, and what it may have been."""
        return pb.SearchPlatesRequest(purpose=_PURPOSE, pattern=self.read().plate, fuzzy=True)

    def companions(self) -> Message:
        """Who travelled with a plate in all 31 days."""
        return pb.FindCompanionsRequest(
            purpose=_PURPOSE,
            plate=self.read().plate,
            range=_range(self._begins, self._ends),
            within=Duration(seconds=self._chance.choice((30, 60, 120))),
            min_encounters=3,
        )

    def common(self) -> Message:
        """Who was at two of three places, within half an hour each: one vehicle was, if it is seen
        so often."""
        reads = self._of[self.read().plate]
        some = self._chance.sample(reads, min(3, len(reads)))
        scenes = []
        for read in some + [self.read() for _ in range(3 - len(some))]:
            start = _moment(read.at) - self._chance.randint(5, 25) * _MINUTE
            window = _range(start, start + 30 * _MINUTE)
            scenes.append(pb.Scene(checkpoint=read.checkpoint, range=window))
        return pb.FindCommonPlatesRequest(purpose=_PURPOSE, scenes=scenes, min_scenes=2)

    def clones(self) -> Message:
        """Pairs that no vehicle could make, on one day."""
        start = self._within(_DAY)
        return pb.ListCloneSuspectsRequest(purpose=_PURPOSE, range=_range(start, start + _DAY))

    def present_now(self) -> Message:
        """Who is inside in the hour after all reads, and has been for a while."""
        later = (60 + self._chance.randrange(60)) * _MINUTE
        longer = self._chance.randrange(48 * 60) * 60
        return pb.ListPresentRequest(
            purpose=_PURPOSE,
            at=_stamp(self._ends + later),
            longer_than=Duration(seconds=longer),
        )

    def present_then(self) -> Message:
        """Who was inside at any time."""
        return pb.ListPresentRequest(purpose=_PURPOSE, at=_stamp(self._within(_HOUR)))

    def flows(self) -> Message:
        """Every checkpoint's passages of a week."""
        start = self._within(7 * _DAY)
        hour = start.replace(minute=0, second=0, microsecond=0)
        return pb.ListFlowsRequest(range=_range(hour, hour + 7 * _DAY))

    def _within(self, length: timedelta) -> datetime:
        """When something of that length may begin, to the minute."""
        room = (self._ends - self._begins - length) // _MINUTE
        return self._begins + self._chance.randint(0, max(0, room)) * _MINUTE


# Beside each: how many of a kind a whole run asks, and what is wanted of p50 and p99.
QUESTIONS = (
    Question("timeline", "GetTimeline", Draw.timeline, lambda a: len(a.passages), 2000, 40, 100),
    Question("two wildcards", "SearchPlates", Draw.pattern, lambda a: len(a.plates), 2000, 60, 150),
    Question("fuzzy", "SearchPlates", Draw.fuzzy, lambda a: len(a.plates), 2000, 100, 250),
    Question(
        "companions, 31 days", "FindCompanions", Draw.companions, lambda a: len(a.companions),
        500, 150, 400,
    ),
    Question(
        "common plates, 3 scenes", "FindCommonPlates", Draw.common, lambda a: len(a.plates),
        2000, 60, 150,
    ),
    Question(
        "clones, 1 day", "ListCloneSuspects", Draw.clones, lambda a: len(a.suspects),
        500, 1000, 2000,
    ),
    Question("present now", "ListPresent", Draw.present_now, lambda a: a.total, 500, 150, 300),
    Question("present then", "ListPresent", Draw.present_then, lambda a: a.total, 500),
    Question("flows, a week", "ListFlows", Draw.flows, lambda a: len(a.flows), 500, 150, 300),
)  # fmt: skip


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _range(start: datetime, end: datetime) -> TimeRange:
    return TimeRange(start_time=_stamp(start), end_time=_stamp(end))
