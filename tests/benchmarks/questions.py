"""How long an investigator waits: every question, asked of a city through the server's address.

    python -m tests.benchmarks.questions FOLDER [--only NAME,NAME] [--count N] [--ingest RATE]

FOLDER holds a city (see city.py). One client asks, one question after the other; each question is
asked once, and another one of its kind before the clock starts, so that the engine is warm and the
answers are not. The questions are drawn from reads of the city with the seed of its plan: a plate
that is seen often is asked for often. Prints a table, and one JSON object a kind of question.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from proto.ring.v1 import investigation_pb2 as pb
from proto.ring.v1.common_pb2 import Purpose, TimeRange
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.benchmarks.city import City, apart, reader_rows
from tests.conftest import ROOT, Server

SAMPLE = 20_000
STREAMS = 20
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
        """Who was at three places, within half an hour each."""
        scenes = []
        for read in (self.read(), self.read(), self.read()):
            about = _moment(read.at)
            minutes = self._chance.randint(5, 25) * _MINUTE
            window = _range(about - minutes, about - minutes + 30 * _MINUTE)
            scenes.append(pb.Scene(checkpoint=read.checkpoint, range=window))
        return pb.FindCommonPlatesRequest(purpose=_PURPOSE, scenes=scenes, min_scenes=2)

    def clones(self) -> Message:
        """Pairs that no vehicle could make, on one day."""
        start = self._within(_DAY)
        return pb.ListCloneSuspectsRequest(purpose=_PURPOSE, range=_range(start, start + _DAY))

    def present_now(self) -> Message:
        """Who is inside at the end of the city's last day, and has been for a while."""
        later = self._chance.randrange(120) * _MINUTE
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


def ask(
    stub: InvestigationServiceStub, question: Question, draw: Draw, count: int
) -> dict[str, Any]:
    """Asks `count` different questions. Milliseconds; answers: how many were in one, on average.

    A kind that the server does not answer yet has its status instead.
    """
    call: Callable[..., Any] = getattr(stub, question.call)
    times: list[float] = []
    answers = empty = 0
    row: dict[str, Any] = {"benchmark": question.name}
    known: set[bytes] = set()
    try:
        for _ in range(3):
            call(question.make(draw), timeout=60)
        while len(times) < count:
            request = question.make(draw)
            text = request.SerializeToString(deterministic=True)
            # A small city may not have so many different ones.
            if text in known and len(known) < count // 2:
                continue
            known.add(text)
            began = time.perf_counter()
            answer = call(request, timeout=60)
            times.append(time.perf_counter() - began)
            answers += question.answers(answer)
            empty += not question.answers(answer)
    except grpc.RpcError as error:
        return row | {"failed": f"{error.code().name}: {error.details()}"}  # type: ignore[attr-defined]
    times.sort()

    def at(q: float) -> float:
        return round(times[min(len(times) - 1, int(q * len(times)))] * 1000, 1)

    row |= {"asked": len(times), "p50_ms": at(0.5), "p99_ms": at(0.99), "most_ms": at(1)}
    row |= {"answers": round(answers / len(times), 1), "empty": round(empty / len(times), 3)}
    if question.p50 and question.p99:
        row |= {"of_wanted_p50": round(row["p50_ms"] / question.p50, 2)}
        row |= {"of_wanted_p99": round(row["p99_ms"] / question.p99, 2)}
    return row


def sample_of(city: City) -> list[Seen]:
    """Reads of the city, any as likely as another; kept beside it."""
    kept = city.folder / "sample.json"
    if not kept.exists():
        found = apart(
            city,
            "SELECT plate, checkpoint, toUnixTimestamp64Micro(captured_at) FROM sightings "
            "WHERE cityHash64(position, {seed:UInt64}) % {one_in:UInt64} = 0 "
            "ORDER BY cityHash64(position)",
            seed=city.plan.seed,
            one_in=max(1, city.reads // SAMPLE),
        )
        kept.write_text(json.dumps(found))
    return [Seen(*read) for read in json.loads(kept.read_text())]


@contextmanager
def ingesting(address: str, rate: float, seconds: float) -> Iterator[None]:
    """Inside, twenty of the city's readers send reads, captured now."""
    if not rate:
        yield
        return
    readers = [r.reader_id for r in reader_rows() if r.reader_id.endswith("-01")][:STREAMS]
    load = subprocess.Popen(
        [
            sys.executable, "-m", "tests.benchmarks.load", address,
            "--reads", str(int(rate * seconds)), "--batch", "10", "--rate", str(rate),
            "--streams", str(STREAMS), "--readers", ",".join(readers),
        ],
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # It prepares its reads first.
        time.sleep(3)
        yield
        if load.poll() is not None:
            raise RuntimeError("the load ended before the questions did")
    finally:
        load.kill()
        load.wait()


def questions(
    city: City,
    names: Sequence[str] = (),
    count: int = 0,
    ingest: float = 0,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
    stub: InvestigationServiceStub | None = None,
) -> list[dict[str, Any]]:
    """A row a kind of question whose name begins with one of `names` (none: every kind).

    `count`: how many of each instead of the usual; `ingest`: reads/s that come in meanwhile;
    `stub`: of a server that has the city already, or a server is started.
    """
    if stub is None:
        sample_of(city)
        server = Server(city.folder)
        try:
            with server.channel() as channel, ingesting(server.address, ingest, 600):
                stub = InvestigationServiceStub(channel)
                return questions(city, names, count, ingest, report, stub)
        finally:
            server.stop()
    sample = sample_of(city)
    found = []
    for question in QUESTIONS:
        if not names or question.name.startswith(tuple(names)):
            row = ask(stub, question, Draw(city, sample), count or question.count)
            row |= {"city_reads": city.reads, "days": city.days}
            row |= {"reads_per_s_meanwhile": ingest} if ingest else {}
            found.append(row)
            report(row)
    return found


def table_of(found: Sequence[dict[str, Any]]) -> Table:
    """For people."""
    table = Table("question", "asked", "p50", "p99", "most", "of wanted p50 / p99", "answers")
    for row in found:
        if "failed" in row:
            table.add_row(row["benchmark"], row["failed"][:60])
            continue
        wanted = ""
        if "of_wanted_p50" in row:
            wanted = f"{row['of_wanted_p50']:.0%} / {row['of_wanted_p99']:.0%}"
        table.add_row(
            row["benchmark"],
            f"{row['asked']:,}",
            *(f"{row[name]:,} ms" for name in ("p50_ms", "p99_ms", "most_ms")),
            wanted,
            f"{row['answers']:,}",
        )
    return table


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def _range(start: datetime, end: datetime) -> TimeRange:
    return TimeRange(start_time=_stamp(start), end_time=_stamp(end))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.questions")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="kinds of question, with commas between")
    parser.add_argument("--count", type=int, default=0, help="of each kind")
    parser.add_argument("--ingest", type=float, default=0, help="reads/s meanwhile")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name]
    found = questions(
        City.at(options.folder.resolve()), names, options.count, options.ingest,
        lambda row: print(json.dumps(row), flush=True),
    )  # fmt: skip
    Console(stderr=True).print(table_of(found))


if __name__ == "__main__":
    main()
