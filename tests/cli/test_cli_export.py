"""`--export`: an answer as CSV or Parquet, whole or not at all, and safe in a spreadsheet."""

# ruff: noqa: N802 - gRPC names the methods
from __future__ import annotations

import csv
import io
import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from proto.ring.v1 import common_pb2, investigation_pb2
from proto.ring.v1.investigation_pb2 import (
    CloneSuspect,
    Flow,
    Passage,
    PlateSummary,
    PresentVehicle,
    Visit,
)
from ring.cli.export import Destination
from ring.cli.export_columns import columns_of, safe_text
from ring.cli.failure import CommandError
from tests.cli.memory_ring import MemoryRing, at, error_of, fails, lines_of, run
from tests.conftest import ROOT

PURPOSE = ("--case", "C-1", "--reason", "who was there")
# A command that hears SIGINT also where whoever started the tests ignores it.
_HEARS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from ring.cli.__main__ import main
main()
"""
_KNOWN = ("plate", "reads", "first_seen", "last_seen", "score", "region")
PLATES = [
    PlateSummary(
        plate=f"A{n:04d}",
        reads=n,
        first_seen=at("2026-04-01T11:00:00.250001Z"),
        last_seen=at("2026-04-02T00:00:00Z"),
        score=0.9,
        region="=AR" if n == 7 else "AR",
    )
    for n in range(1_500)
]


class AnsweringRing(MemoryRing):
    """Answers a timeline too; breaks off a search after its first page, or stalls, if told to."""

    breaks = False
    stalled: threading.Event | None = None

    def SearchPlates(self, request, context):
        if self.stalled and request.page_token:
            over = threading.Event()
            context.add_callback(over.set)
            self.stalled.set()
            over.wait(60)
        if self.breaks and request.page_token:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the read side went away")
        return super().SearchPlates(request, context)

    def GetTimeline(self, request, context):
        entered, left = at("2026-04-01T11:00:00Z"), at("2026-04-01T13:00:00Z")
        return investigation_pb2.GetTimelineResponse(
            passages=[
                Passage(checkpoint="A", direction=1, at=entered, reads=2, anomalies=["a", "b"]),
                Passage(checkpoint="B", at=left, reads=1),
            ],
            visits=[Visit(entered_at=entered, entry_checkpoint="A")],
        )


@pytest.fixture
def ring() -> Iterator[AnsweringRing]:
    ring = AnsweringRing()
    ring.plates = list(PLATES)
    yield ring
    ring.stop()


def search(ring: MemoryRing, *arguments: str, limit: int = 2_000):
    return run("search", "A*", *PURPOSE, "--limit", str(limit), *arguments, server=ring.address)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix == ".part"]


def test_a_parquet_file_has_the_answer_with_the_protocol_s_names_and_types(
    ring: AnsweringRing, tmp_path: Path
) -> None:
    path = tmp_path / "answer.parquet"
    (said,) = lines_of(search(ring, "--export", str(path), "--json"))
    assert said == {"file": str(path), "rows": 1_500}
    table = pq.read_table(path)
    assert table.schema.names == [f.name for f in PlateSummary.DESCRIPTOR.fields]
    assert table.schema.field("first_seen").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("reads").type == pa.uint64()
    assert table.schema.field("score").type == pa.float32()
    assert table.column("plate").to_pylist() == [p.plate for p in PLATES]
    first = table.column("first_seen").to_pylist()[0]
    assert first == datetime(2026, 4, 1, 11, 0, 0, 250_001, UTC)
    about = table.schema.metadata
    assert (about[b"case_number"], about[b"reason"]) == (b"C-1", b"who was there")
    assert about[b"exported_at"]


def test_an_export_asks_with_its_purpose_and_shows_nothing_but_how_many(
    ring: AnsweringRing, tmp_path: Path
) -> None:
    path = tmp_path / "answer.csv"
    result = search(ring, "--export", str(path))
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == f"ring: 1,500 plates in {path}\n"
    assert {r.purpose.case_number for r in ring.requests} == {"C-1"}
    rows = rows_of(path)
    assert len(rows) == 1_500
    assert {name: rows[3][name] for name in _KNOWN} == {
        "plate": "A0003",
        "reads": "3",
        "first_seen": "2026-04-01T11:00:00.250001Z",
        "last_seen": "2026-04-02T00:00:00.000000Z",
        "score": "0.9",
        "region": "AR",
    }
    assert rows[7]["region"] == "'=AR"
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_is_there_stays_unless_forced(ring: AnsweringRing, tmp_path: Path) -> None:
    path = tmp_path / "answer.csv"
    path.write_text("mine")
    assert "is there already: name another file, or add --force" in error_of(
        search(ring, "--export", str(path))
    )
    assert path.read_text() == "mine"
    assert ring.requests == []
    assert search(ring, "--export", str(path), "--force").returncode == 0
    assert len(rows_of(path)) == 1_500


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_answer_that_breaks_off_leaves_no_file_and_not_the_half_of_one(
    ring: AnsweringRing, tmp_path: Path, suffix: str
) -> None:
    ring.breaks = True
    path = tmp_path / f"answer{suffix}"
    path.write_text("yesterday's")
    assert "went away" in error_of(search(ring, "--export", str(path), "--force"))
    assert path.read_text() == "yesterday's"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_command_that_is_told_to_end_leaves_nothing(
    ring: AnsweringRing, tmp_path: Path, suffix: str, told: signal.Signals, code: int
) -> None:
    ring.stalled = threading.Event()
    asked = ("search", "A*", *PURPOSE, "--limit", "2000", "--server", ring.address)
    process = subprocess.Popen(
        [sys.executable, "-c", _HEARS, *asked, "--export", str(tmp_path / f"answer{suffix}")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    assert ring.stalled.wait(60)
    assert len(leftovers(tmp_path)) == 1
    process.send_signal(told)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_timeline_gives_its_passages_and_beside_them_its_visits(
    ring: AnsweringRing, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    result = run("timeline", "AB123CD", *PURPOSE, "--export", str(path), server=ring.address)
    assert result.returncode == 0, result.stderr
    first, second = rows_of(path)
    assert first["direction"] == "entry"
    assert first["anomalies"] == "a; b"
    assert second["direction"] == ""
    (visit,) = rows_of(tmp_path / "t-visits.csv")
    assert visit["entered_at"] == "2026-04-01T11:00:00.000000Z"
    assert visit["exited_at"] == ""
    path.unlink()
    result = run("timeline", "AB123CD", *PURPOSE, "--export", str(path), server=ring.address)
    assert "t-visits.csv is there already" in error_of(result)


def test_a_timeline_of_which_one_file_can_not_be_written_leaves_none(tmp_path: Path) -> None:
    file, visits = (Destination(tmp_path / name, force=False) for name in ("t.csv", "t-visits.csv"))

    def fails() -> None:
        assert len(leftovers(tmp_path)) == 1
        (tmp_path / "t.csv").mkdir()
        file.write(Passage.DESCRIPTOR, [Passage(checkpoint="A")], noun="passage")

    with pytest.raises(CommandError, match="is a folder"):
        visits.write(Visit.DESCRIPTOR, [Visit()], noun="visit", after=fails)
    (tmp_path / "t.csv").rmdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["flows", "--export", "answer.xlsx"], "FILE.csv or FILE.parquet"),
        (["flows", "--export", "/no/such/folder/a.csv"], "there is no folder /no/such/folder"),
        (["flows", "--force"], "add --export FILE"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(arguments: list[str], line: str) -> None:
    code, said = fails(*arguments)
    assert code == 2
    assert line in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_are_written_as_they_arrive_under_another_name(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"answer{suffix}"
    flow = Flow(checkpoint="A" * 64, direction=2, hour=at("2026-04-01T11:00:00Z"))

    def arriving() -> Iterator[Message]:
        for number in range(25_001):
            flow.passages = number
            if number == 25_000:
                (part,) = leftovers(tmp_path)
                assert part.stat().st_size > (100_000 if suffix == ".csv" else 1_000)
                assert not target.exists()
            copy = Flow()
            copy.CopyFrom(flow)
            yield copy

    Destination(target, force=False).write(Flow.DESCRIPTOR, arriving(), noun="flow")
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    if suffix == ".csv":
        assert rows_of(target)[25_000]["passages"] == "25000"
    else:
        assert pq.read_table(target).column("passages").to_pylist() == list(range(25_001))


def test_a_message_within_gives_columns_of_its_own_and_nulls_where_it_is_absent() -> None:
    entered = at("2026-04-01T11:00:00Z")
    inside = PresentVehicle(plate="A", visit=Visit(entered_at=entered, entry_checkpoint="X"))
    columns = {c.name: c for c in columns_of(PresentVehicle.DESCRIPTOR)}
    assert columns["visit_entry_checkpoint"].value(inside) == "X"
    assert columns["visit_entered_at"].text(inside) == "2026-04-01T11:00:00.000000Z"
    assert columns["visit_exited_at"].value(inside) is None
    assert columns["visit_entry_checkpoint"].value(PresentVehicle(plate="A")) is None
    assert {"first_at", "second_checkpoint", "implied_speed_kmh"} <= {
        c.name for c in columns_of(CloneSuspect.DESCRIPTOR)
    }


def test_what_is_listed_in_a_cell_has_its_times_and_numbers_as_other_cells_do() -> None:
    passage = Passage(checkpoint="A", at=at("2026-04-01T11:00:00Z"))
    (folds,) = [c for c in columns_of(Passage.DESCRIPTOR) if c.name == "folds"]
    assert folds.text(passage) == "[]"
    passage.folds.add(plate="AB1", captured_at=at("2026-04-01T11:00:01.25Z"), confidence=0.37)
    passage.folds.add(plate="AB2", read_id="x")
    assert json.loads(folds.text(passage)) == [
        {
            "plate": "AB1",
            "captured_at": "2026-04-01T11:00:01.250000Z",
            "confidence": 0.37,
            "read_id": "",
        },
        {"plate": "AB2", "captured_at": None, "confidence": 0.0, "read_id": "x"},
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_can_not_grow_is_told_in_plain_words_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"answer{suffix}"
    rows = [Flow(checkpoint=f"{n:064d}", passages=n * n) for n in range(20_000)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limits[1]))
    try:
        with pytest.raises(CommandError) as told:
            Destination(target, force=False).write(Flow.DESCRIPTOR, rows, noun="flow")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(told.value) == f"{target}: file too large"
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_takes_too_long_says_how_to_give_it_longer(
    ring: AnsweringRing, tmp_path: Path
) -> None:
    ring.stalled = threading.Event()
    said = error_of(search(ring, "--export", str(tmp_path / "a.csv"), "--timeout", "2"))
    assert said == ("ring: no whole answer in time: try again, or give it longer with --timeout")


def test_every_answer_s_message_can_be_a_table(tmp_path: Path) -> None:
    kinds = [
        *(investigation_pb2.PlateSummary, investigation_pb2.Passage, investigation_pb2.Visit),
        *(investigation_pb2.Companion, investigation_pb2.CommonPlate, CloneSuspect),
        *(PresentVehicle, Flow, common_pb2.PlateSighting),
    ]
    for kind in kinds:
        for suffix in (".csv", ".parquet"):
            target = tmp_path / f"{kind.DESCRIPTOR.name}{suffix}"
            Destination(target, force=False).write(
                kind.DESCRIPTOR, iter([_filled(kind()), kind()]), noun="row"
            )
        table = pq.read_table(tmp_path / f"{kind.DESCRIPTOR.name}.parquet")
        assert table.num_rows == len(rows_of(tmp_path / f"{kind.DESCRIPTOR.name}.csv")) == 2
        for name, value in table.to_pylist()[0].items():
            assert value not in (None, "", [], 0), (kind.DESCRIPTOR.name, name)


def _filled(message: Message) -> Message:
    """The message with something in every field."""
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            many = getattr(message, field.name)
            if field.message_type:
                _filled(many.add())
            else:
                many.append("x" if field.type == field.TYPE_STRING else 1)
        elif field.message_type:
            inner = getattr(message, field.name)
            inner.SetInParent()
            _filled(inner)
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, "x")
        elif field.type == field.TYPE_BYTES:
            setattr(message, field.name, b"x")
        else:
            setattr(message, field.name, 1)
    return message


@given(st.text(st.characters(codec="utf-8"), max_size=6))
def test_no_cell_begins_a_formula_and_every_text_comes_back(text: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow([safe_text(text), "end"])
    (row,) = list(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert row[0] in (text, f"'{text}")
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31)),  # noqa: DTZ001 - UTC is set below
    st.integers(0, 999),
)
def test_times_are_kept_to_the_microsecond(moment: datetime, nanos: int) -> None:
    moment = moment.replace(tzinfo=UTC)
    flow = Flow()
    flow.hour.FromDatetime(moment)
    flow.hour.nanos += nanos
    (column,) = [c for c in columns_of(Flow.DESCRIPTOR) if c.name == "hour"]
    (value,) = pa.array([column.value(flow)], column.type).to_pylist()
    assert value == moment
    assert datetime.fromisoformat(column.text(flow)) - moment == timedelta(0)
