"""Investigations over a whole city: loading it, its disk, every question quiet and under ingest,
looking back for new entries, and the questions on the plain design.

Always true here: a city that is there is used again; one that was begun is gone on with.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from projections.clickhouse import ClickHouse, Readers
from projections.counting import count_round
from tests.benchmarks.city import City, Plan, city, disk, settle
from tests.benchmarks.look_back import measure
from tests.benchmarks.plain_questions import plain_questions
from tests.benchmarks.questions import questions

_SETTLE_SECONDS = 900
# Reads/s that come in, and questions of each kind meanwhile.
_INGEST, _MOST = 2_000, 200
# New on a list.
_ENTRIES = 1_000


def investigations(
    folder: Path, reads: int, count: int, seconds: float, report: Callable[[dict[str, Any]], None]
) -> None:
    """Reports a row a kind of question and way of asking it.

    `count`: questions of each kind (0: 2,000, of the slow ones 500); `seconds`: that PostgreSQL
    has for loading.
    """
    # In a process of its own, so that the engine's data is free for the server.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        made, sizes, counted = pool.submit(_made, folder, Plan(reads)).result()
    report(
        {"benchmark": "a city is loaded", "reads": made.reads, "seconds": made.seconds}
        | {"per_s": round(made.reads / max(made.seconds, 0.1))}
    )
    report({"benchmark": "flows of the whole city are counted ahead", "seconds": counted})
    each = {table: round(size / made.reads, 2) for table, size in sizes.items()}
    total = round(sum(sizes.values()) / made.reads, 1)
    report({"benchmark": "disk, bytes a read", "all_tables": total, **each})
    quiet = {row["benchmark"]: row for row in questions(made, count=count, report=report)}
    for row in questions(made, count=min(count or _MOST, _MOST), ingest=_INGEST):
        before = quiet[row["benchmark"]].get("p99_ms")
        if before and "p99_ms" in row:
            row |= {"of_the_quiet_p99": round(row["p99_ms"] / before, 2)}
        report(row | {"benchmark": f"{row['benchmark']}, {_INGEST:,} reads/s meanwhile"})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        report(pool.submit(measure, made, _ENTRIES, made.plan.seed).result())
    plain_questions(made, seconds, count, report)


def _made(folder: Path, plan: Plan) -> tuple[City, dict[str, int], float]:
    """The city, its disk, and seconds that counting its flows took, as a server does once."""
    made = city(folder, plan)
    began = time.perf_counter()
    readers = Readers(ClickHouse.at(f"chdb:///{made.folder / 'clickhouse'}"), 1, _live(made))
    # Half of a server's time goes to questions; here nobody asks.
    count_round(readers, time.time(), everything=True, rest=lambda _: False)
    readers.close()
    counted = round(time.perf_counter() - began, 1)
    with made.opened() as (_, client, _):
        # As the engine does by itself once the parts are a day old.
        for table in disk(client):
            client.execute(f"OPTIMIZE TABLE {table} FINAL")
        settle(client, _SETTLE_SECONDS)
        return made, disk(client), counted


def _live(made: City) -> str:
    with made.opened() as (_, client, _):
        return client.database
