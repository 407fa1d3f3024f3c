"""How long an investigator waits: every question, asked of a city through the server's address.

    python -m tests.benchmarks.questions FOLDER [--only NAME,NAME] [--count N] [--ingest RATE]

FOLDER holds a city (see city.py). One client asks, one question after the other; each question is
asked once, and another one of its kind before the clock starts, so that the engine is warm and the
answers are not. The questions are drawn from reads of the city with the seed of its plan: a plate
that is seen often is asked for often. Prints a table, and one JSON object a kind of question.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Column, Table

from proto.ring.v1.investigation_pb2_grpc import InvestigationServiceStub
from proto.ring.v1.operations_pb2 import GetStatusRequest
from proto.ring.v1.operations_pb2_grpc import OperationsServiceStub
from tests.benchmarks.city import City, apart, reader_rows
from tests.benchmarks.drawing import QUESTIONS, Draw, Question, Seen
from tests.conftest import ROOT, Server

# Plates that questions are made from.
SAMPLE = 8_000
WARM_UP = 3
STREAMS = 20


def ask(
    stub: InvestigationServiceStub,
    question: Question,
    draw: Draw,
    count: int,
    cpu: Callable[[], float] | None = None,
) -> dict[str, Any]:
    """Asks `count` different questions of a kind, as `timed`.

    A kind that the server does not answer has its status instead. `cpu`: the server's seconds of
    it so far; what a question takes of them says more than the clock where others share the cores.
    """
    call: Callable[..., Any] = getattr(stub, question.call)
    row: dict[str, Any] = {"benchmark": question.name}
    spent = cpu() if cpu else 0
    try:
        row |= timed(lambda r: question.answers(call(r, timeout=60)), question.make, draw, count)
    except grpc.RpcError as error:
        return row | {"failed": f"{error.code().name}: {error.details()}"}  # type: ignore[attr-defined]
    if cpu:
        row |= {"cpu_ms": round((cpu() - spent) / (count + WARM_UP) * 1000, 1)}
    if question.p50 and question.p99:
        row |= {"of_wanted_p50": round(row["p50_ms"] / question.p50, 2)}
        row |= {"of_wanted_p99": round(row["p99_ms"] / question.p99, 2)}
    return row


def timed(
    answer: Callable[[Any], int], make: Callable[[Draw], Message], draw: Draw, count: int
) -> dict[str, Any]:
    """Asks `count` different questions, after a few that are not counted.

    Milliseconds; answers: how many were in one on average; empty: the share that had none.
    """
    times: list[float] = []
    answers: list[int] = []
    known: set[bytes] = set()
    for _ in range(WARM_UP):
        answer(make(draw))
    tries = 0
    while len(times) < count:
        request = make(draw)
        text = request.SerializeToString(deterministic=True)
        tries += 1
        # A small city may not have so many different ones.
        if text in known and tries < 10 * count:
            continue
        known.add(text)
        began = time.perf_counter()
        answers.append(answer(request))
        times.append(time.perf_counter() - began)
    times.sort()

    def at(q: float) -> float:
        return round(times[min(count - 1, int(q * count))] * 1000, 1)

    return {
        "asked": count,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "most_ms": at(1),
        "answers": round(sum(answers) / count, 1),
        "empty": round(answers.count(0) / count, 3),
    }


def sample_of(city: City) -> list[Seen]:
    """Every read of some plates, any plate as likely as another; kept beside the city."""
    kept = city.folder / "sample.json"
    if not kept.exists():
        found = apart(
            city,
            "SELECT plate, checkpoint, toUnixTimestamp64Micro(captured_at) FROM sightings "
            "WHERE cityHash64(plate, {seed:UInt64}) % {one_in:UInt64} = 0 "
            "ORDER BY plate, captured_at",
            seed=city.plan.seed,
            one_in=max(1, city.plan.vehicles // SAMPLE),
        )
        kept.write_text(json.dumps(found))
    return [Seen(*read) for read in json.loads(kept.read_text())]


def _head(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        return OperationsServiceStub(channel).GetStatus(GetStatusRequest()).head.position


@contextmanager
def ingesting(address: str, city: City, rate: float, seconds: float) -> Iterator[None]:
    """Inside, twenty of the city's readers send reads, captured in the hour after its last day."""
    if not rate:
        yield
        return
    readers = [r.reader_id for r in reader_rows() if r.reader_id.endswith("-01")][:STREAMS]
    load = subprocess.Popen(
        [
            sys.executable, "-m", "tests.benchmarks.load", address,
            "--reads", str(int(rate * seconds)), "--batch", "10", "--rate", str(rate),
            "--streams", str(STREAMS), "--readers", ",".join(readers),
            "--until", str((city.ends + timedelta(hours=1)).timestamp()),
        ],
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        head = _head(address)
        while _head(address) == head and load.poll() is None:
            time.sleep(0.2)
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
    cpu: Callable[[], float] | None = None,
) -> list[dict[str, Any]]:
    """A row a kind of question whose name begins with one of `names` (none: every kind).

    `count`: how many of each instead of the usual; `ingest`: reads/s that come in meanwhile;
    `stub`: of a server that has the city already, or a server is started.
    """
    if stub is None:
        sample_of(city)
        server = Server(city.folder)
        try:
            with server.channel() as channel, ingesting(server.address, city, ingest, 1200):
                stub = InvestigationServiceStub(channel)
                cpu = None if ingest else partial(cpu_of, server.process.pid)
                return questions(city, names, count, ingest, report, stub, cpu)
        finally:
            server.stop()
    sample = sample_of(city)
    found = []
    for question in QUESTIONS:
        if not names or question.name.startswith(tuple(names)):
            row = ask(stub, question, Draw(city, sample), count or question.count, cpu)
            row |= {"city_reads": city.reads, "days": city.days}
            row |= {"reads_per_s_meanwhile": ingest} if ingest else {}
            found.append(row)
            report(row)
    return found


def table_of(found: Sequence[dict[str, Any]]) -> Table:
    """For people."""
    table = Table(
        Column("question", no_wrap=True),
        "asked",
        "p50",
        "p99",
        "most",
        "of wanted p50 / p99",
        "answers",
    )
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


def cpu_of(pid: int) -> float:
    """Seconds that a process and its children have had of the processors."""
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


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
