"""A small city of the benchmarks, counted in plain Python beside the server's answers."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from proto.ring.v1.common_pb2 import Purpose
from proto.ring.v1.investigation_pb2 import ListFlowsRequest, SearchPlatesRequest
from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.benchmarks.city import City, Plan, city, gates, reader_rows, rows
from tests.benchmarks.questions import questions
from tests.conftest import Server

PLAN = Plan(50_000, seed=7, days=3)
HOUR = 3_600_000_000
COLUMNS = (
    "plate, checkpoint, toInt8(direction), toUnixTimestamp64Micro(captured_at), position, "
    "confidence, lane"
)


class Read(NamedTuple):
    """A row of the sightings."""

    plate: str
    checkpoint: str
    direction: int
    at: int
    position: int
    confidence: float
    lane: str


class Made(NamedTuple):
    """The city's folder, and the rows of two of its tables."""

    city: City
    reads: list[Read]
    by_checkpoint: list[Read]


def make(folder: Path) -> Made:
    """In a process that ends after it: the engine's data is the server's then."""
    # It goes on where it was stopped, and draws the same reads again for a table of its own.
    city(folder, PLAN, stop_after=0)
    city(folder, PLAN, refill=["sightings_by_checkpoint"])
    whole = city(folder, PLAN)
    with whole.opened() as (_, client, _):
        tables = [
            [Read(*row) for row in rows(client, f"SELECT {COLUMNS} FROM {table}")]
            for table in ("sightings", "sightings_by_checkpoint")
        ]
    assert (len(tables[0]), whole.days) == (whole.reads, PLAN.days)
    return Made(whole, *tables)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("city")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        made = pool.submit(make, folder).result()
    chance = random.Random(PLAN.seed)
    sample = [[r.plate, r.checkpoint, r.at] for r in chance.sample(made.reads, 500)]
    (folder / "sample.json").write_text(json.dumps(sample))
    return made


@pytest.fixture(scope="module")
def reads(made: Made) -> list[Read]:
    return made.reads


@pytest.fixture(scope="module")
def stub(made: Made) -> Iterator[InvestigationServiceStub]:
    server = Server(made.city.folder)
    with server.channel() as channel:
        yield InvestigationServiceStub(channel)
    server.stop()


def test_it_looks_like_a_city(reads: list[Read]) -> None:
    assert 0.9 * PLAN.reads < len(reads) < 1.1 * PLAN.reads
    assert len({r.position for r in reads}) == len(reads)
    assert len(gates()) == 73
    assert len(list(reader_rows())) == 814
    hours = Counter((r.at - 3 * HOUR) // HOUR % 24 for r in reads)
    assert hours[8] > 2 * hours[12] > 100 * hours[3]
    often = sorted(Counter(r.plate for r in reads).values())
    assert often[len(often) // 2] <= 4
    assert often[-1] >= 40
    places = Counter(r.checkpoint for r in reads)
    assert max(places.values()) > 10 * min(places.values())
    doubtful = sum(r.confidence < 0.9 for r in reads) / len(reads)
    assert 0.05 < doubtful < 0.4
    travels = defaultdict(set)
    for read in reads:
        travels[read.plate].add((read.checkpoint, read.direction))
    through = sum(len({c for c, _ in t}) > 1 for t in travels.values())
    assert 0.2 < through / len(travels) < 0.9


def test_the_same_seed_draws_the_same_reads_for_every_table(made: Made) -> None:
    assert sorted(made.by_checkpoint) == sorted(made.reads)


def test_flows_are_what_plain_python_counts(
    stub: InvestigationServiceStub, reads: list[Read]
) -> None:
    last: dict[tuple[str, str, int], int] = {}
    wanted: Counter[tuple[str, int, int]] = Counter()
    for read in sorted(reads, key=lambda r: r.at):
        key = (read.plate, read.checkpoint, read.direction)
        if read.at - last.get(key, -HOUR) > 60_000_000:
            wanted[read.checkpoint, read.direction, read.at // HOUR * 3600] += 1
        last[key] = read.at
    answer = stub.ListFlows(ListFlowsRequest(), timeout=60)
    found = {(f.checkpoint, f.direction, f.hour.seconds): f.passages for f in answer.flows}
    assert found == dict(wanted)


def test_a_search_is_what_plain_python_counts(
    stub: InvestigationServiceStub, reads: list[Read]
) -> None:
    request = SearchPlatesRequest(
        purpose=Purpose(case_number="1", reason="test"), pattern="A?1*", page_size=1000
    )
    matching = defaultdict(list)
    for read in reads:
        if read.plate[0] == "A" and read.plate[2] == "1":
            matching[read.plate].append(read.at)
    assert len(matching) > 100
    found = {}
    while True:
        page = stub.SearchPlates(request, timeout=60)
        for p in page.plates:
            found[p.plate] = (p.reads, micros(p.first_seen), micros(p.last_seen))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == {p: (len(times), min(times), max(times)) for p, times in matching.items()}


def micros(stamp: Timestamp) -> int:
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000


def test_every_question_of_the_benchmark_has_answers(
    made: Made, stub: InvestigationServiceStub
) -> None:
    found = questions(made.city, count=5, stub=stub)
    assert len(found) == 9
    assert [row for row in found if "failed" in row] == []
    for row in found:
        assert row["asked"] == 5
        assert row["p50_ms"] <= row["p99_ms"]
        assert row["answers"] > 0 or row["benchmark"] in RARE


# In so small a city there may be none.
RARE = ("companions, 31 days", "common plates, 3 scenes", "clones, 1 day")
