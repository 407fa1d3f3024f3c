"""`make bench`: every benchmark, a table and one JSON object a line.

Exit code 1 where a floor was missed (targets.py).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from tests.benchmarks import accuracy, targets, video, worth_it
from tests.benchmarks.end_to_end import bare_recorder, end_to_end, sustained
from tests.benchmarks.faults import backlog, faults, outages
from tests.benchmarks.hotlist_import import hotlist_import
from tests.benchmarks.investigations import investigations
from tests.benchmarks.latency import latency
from tests.benchmarks.matching import matching
from tests.benchmarks.postgres import plain_design, postgres
from tests.benchmarks.questions import table_of
from tests.benchmarks.reading import ocr_alone
from tests.benchmarks.soak import soak

# What is sent, and whether its reads are like those of pictures. Targets are of plain reads.
_LOADS = (("", False), (", reads as of pictures", True))


def _compared(
    name: str, result: dict[str, Any], limit: float, wanted: Sequence[targets.Target], **more: float
) -> dict[str, Any]:
    share = round(result["end_to_end_per_s"] / limit, 3)
    return targets.beside({"benchmark": name, "of_the_limit": share, **result, **more}, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--reads", type=int, default=1_000_000, help="of an end-to-end run")
    parser.add_argument("--entries", type=int, default=1_000_000, help="on the hotlist")
    parser.add_argument("--sustained", type=int, default=5_000_000, help="reads of the long run")
    parser.add_argument("--rounds", type=int, default=50, help="kills under load")
    parser.add_argument("--outage", type=float, default=150, help="seconds without ClickHouse")
    parser.add_argument("--backlog", type=int, default=500_000, help="reads of a day offline")
    parser.add_argument("--city", type=Path, help="folder that keeps the city between runs")
    parser.add_argument("--city-reads", type=int, default=100_000_000, help="0: no city")
    parser.add_argument("--questions", type=int, default=0, help="of each kind (0: 2,000 or 500)")
    parser.add_argument("--plain-seconds", type=float, default=60, help="for PostgreSQL to load")
    parser.add_argument("--vehicles", type=int, default=200, help="of the drawn checkpoint")
    parser.add_argument("--frames", type=int, default=20_000, help="that the reader looks at")
    parser.add_argument("--soak", type=float, default=600, help="seconds of kills under readers")
    options = parser.parse_args()
    console = Console(stderr=True)
    rows: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        rows.append(row)
        # sys.stdout is the spinner's meanwhile, which shows it in the terminal alone.
        print(json.dumps(row), file=sys.__stdout__, flush=True)

    with console.status("the event store alone"):
        limit = bare_recorder(200_000)
    report({"benchmark": "SQLite: bare recorder, 1,000 a transaction", "per_s": round(limit)})
    for batch, wanted in ((100, targets.OF_100), (20, targets.OF_20)):
        for kind, pictures in _LOADS:
            name = f"SQLite: end to end, {batch} a message{kind}"
            with console.status(name):
                result = end_to_end(options.reads, batch, options.entries, pictures=pictures)
            report(_compared(name, result, limit, () if pictures else wanted))
    with postgres() as dsn:
        with console.status("the plain design"):
            plain = plain_design(dsn, 10)
        report({"benchmark": "PostgreSQL: plain design, one INSERT a read", "per_s": round(plain)})
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bare")
            for number in range(len(_LOADS)):
                connection.execute(f"CREATE DATABASE ours{number}")
        with console.status("the event store on PostgreSQL alone"):
            limit = bare_recorder(100_000, dsn.replace("/postgres?", "/bare?"))
        report({"benchmark": "PostgreSQL: bare recorder", "per_s": round(limit)})
        for number, (kind, pictures) in enumerate(_LOADS):
            name = f"PostgreSQL: end to end, 100 a message{kind}"
            ours = dsn.replace("/postgres?", f"/ours{number}?")
            with console.status(name):
                result = end_to_end(options.reads, 100, options.entries, ours, pictures=pictures)
            times = round(result["end_to_end_per_s"] / plain, 1)
            wanted = () if pictures else targets.ON_POSTGRESQL
            report(_compared(name, result, limit, wanted, of_the_plain_design=times))
    for name, there in (("latency at 1,000 reads/s", True), ("the same, no ClickHouse", False)):
        with console.status(name):
            row = {"benchmark": f"{name}, one a message"}
            row |= latency(options.entries, clickhouse=there)
        report(targets.beside(row, targets.LATENCY))
    if options.sustained:
        with console.status("sustained load"):
            row = {"benchmark": "sustained", **sustained(options.sustained, options.entries)}
        report(targets.beside(row, targets.SUSTAINED))
    with console.status("ring hotlist import"):
        report({"benchmark": "ring hotlist import", **hotlist_import(options.entries)})
    for row in faults(options.rounds, seed=0):
        report({"benchmark": f"{row['store']}: {row['killed']} killed under load", **row})
    if options.outage:
        with console.status("ClickHouse away, refusing, slow"):
            for row in outages(options.outage):
                report(row)
    if options.backlog:
        with console.status("a day's backlog"):
            report(backlog(options.backlog))
    if options.city_reads:
        name = f"ring-city-{options.city_reads}"
        folder = options.city or Path(tempfile.gettempdir()) / name
        seconds = options.plain_seconds
        with console.status(f"investigations, in {folder}"):
            investigations(folder, options.city_reads, options.questions, seconds, report)
        console.print(table_of([row for row in rows if "p99_ms" in row or "failed" in row]))
    frames = (options.frames, options.frames // 10)
    for name, measure in (
        ("matching against 1,000,000 entries", matching),
        *(("reader: the OCR alone", partial(ocr_alone, model)) for model in (accuracy.HUB, "")),
        *(
            ("reader: 1280 × 720, one plate in view", partial(video.speed, model=model))
            for model in accuracy.EXACT
        ),
        *(
            ("reader: a drawn checkpoint", partial(video.checkpoint, options.vehicles, model=model))
            for model in accuracy.EXACT
        ),
        *(
            ("reader: memory", partial(video.memory, *frames, model=model))
            for model in accuracy.EXACT
        ),
        ("readers, and a server killed every 20 s", lambda: soak(options.soak)),
    ):
        with console.status(name):
            report({"benchmark": name, **measure()})
    with console.status("reader: accuracy"):
        accurate = accuracy.every_model(report)
    console.print(accuracy.table(accurate))
    with console.status("what matching by likelihood is worth"):
        worth = worth_it.every_model(report)
    console.print(worth_it.table(worth))
    own_tables = {"round", "asked", "failed", "passages", "figure"}
    console.print(targets.table_of([row for row in rows if own_tables.isdisjoint(row)]))
    missed = [*targets.missed(rows), *accuracy.missed(accurate)]
    for line in missed:
        console.print(f"missed: {line}", highlight=False, soft_wrap=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
