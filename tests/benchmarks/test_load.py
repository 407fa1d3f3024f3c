"""What the load generator sends, and what is made of the figures."""

from collections.abc import Sequence

from rich.console import Console

from proto.ring.v1 import ingest_pb2 as pb
from ring.reads import judge
from tests.benchmarks import targets
from tests.benchmarks.load import prepared


def reads(number: int, *, pictures: bool) -> Sequence[pb.PlateRead]:
    messages = prepared(1, number, 100, 1_000_000, pictures=pictures)
    return [r for m in messages for r in pb.StreamReadsRequest.FromString(m).batch.reads]


def test_reads_as_of_pictures_are_mostly_sure_and_say_how_they_doubt() -> None:
    sent = reads(4000, pictures=True)
    assert [read.sequence for read in sent] == list(range(1, 4001))
    assert all(judge(read) is None for read in sent)
    sure = sum(read.confidence > 0.95 for read in sent) / len(sent)
    assert 0.77 < sure < 0.83
    assert min(read.confidence for read in sent) < 0.45
    for read in sent:
        said = [len(place.characters) for place in read.posterior]
        assert said == ([] if read.confidence >= 0.99 else [3] * 7)


def test_plain_reads_say_nothing_but_a_plate() -> None:
    sent = reads(200, pictures=False)
    assert {(round(r.confidence, 2), len(r.posterior)) for r in sent} == {(0.93, 0)}


def test_a_missed_floor_is_told_and_a_figure_that_lacks_is_missed() -> None:
    wanted = (targets.least("per_s", 100, 200), targets.most("p99_ms", 50))
    rows = [
        targets.beside({"benchmark": name, **figures}, wanted)
        for name, figures in (
            ("good", {"per_s": 200, "p99_ms": 50}),
            ("fair", {"per_s": 150, "p99_ms": 1.5, "memory_mib": [100, 1200]}),
            ("slow", {"per_s": 99, "p99_ms": 50.1}),
            ("silent", {"p99_ms": 10}),
        )
    ]
    assert list(targets.missed(rows)) == [
        "slow: per s 99, floor 100",
        "slow: p99 ms 50.1, floor 50",
        "silent: per s None, floor 100",
    ]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(targets.table_of([*rows, {"benchmark": "matching", "match_us": 3.5}]))
    lines = capture.get().splitlines()
    assert any("good" in line and "per s 200 of 100 / 200: goal" in line for line in lines)
    assert any("fair" in line and "memory mib 100 1,200" in line for line in lines)
    assert any("matching" in line and "match us 3.5" in line for line in lines)
