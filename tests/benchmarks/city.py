"""A city of any number of reads, made by ClickHouse straight into the product's own tables.

    python -m tests.benchmarks.city FOLDER --reads 100000000     # FOLDER is then a server's --data
    python -m tests.benchmarks.city FOLDER --refill TABLE,TABLE  # after their schema has changed

Always true here: the same seed and size give the same rows. What drives is in city.sql: commuters
into the city and out of it, taxis, and vehicles seen now and then, most of them a few times; rush
hours and weekends; passages that were missed, read twice or misread; cloned plates, vehicles that
travel together, readers without a line for a day, clocks that are ahead. The checkpoints and
readers are events of the log as always. The reads are not: they are in ClickHouse alone, so their
ids can't be told (`ring reads`) and a rebuild would drop them.
"""

import argparse
import csv
import json
import math
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from projections.clickhouse import ClickHouse, Client
from projections.follower import Projection
from projections.schema import Databases
from proto.ring.v1.registry_pb2 import Checkpoint, Reader
from ring.application import Ring
from tests.conftest import ROOT

READERS = 814
CHECKPOINTS = ROOT / "deploy" / "demo" / "checkpoints.csv"
# The city's zone is three hours behind UTC the year round.
ZONE_NAME = "America/Argentina/Buenos_Aires"
FIRST_DAY = datetime(2026, 3, 1, 3, tzinfo=UTC)
_DAY = timedelta(days=1)
_MEMORY = 6 << 30
_SQL = (Path(__file__).parent / "city.sql").read_text(encoding="utf-8").rstrip().rstrip(";")
_FILLS = re.compile(r"\bTO `?\w+`?\.`?(\w+)`?")


@dataclass(frozen=True)
class Plan:
    """A city to be made. About `reads` reads: 31 days of 3,040,000 vehicles are 100 million."""

    reads: int
    seed: int = 1
    days: int = 31

    @property
    def vehicles(self) -> int:
        """How many drive: 3,040,000 make a little over 100 million reads in 31 days."""
        return max(100, round(self.reads * 0.0304 * 31 / self.days))

    def midnight(self, day: int) -> datetime:
        """When a day begins, in the city."""
        return FIRST_DAY + day * _DAY


def gates() -> list[tuple[str, int]]:
    """(checkpoint, how many readers it has), 814 in all."""
    with CHECKPOINTS.open(encoding="utf-8", newline="") as file:
        codes = [row["code"] for row in csv.DictReader(file)]
    each, more = divmod(READERS, len(codes))
    return [(code, each + (n < more)) for n, code in enumerate(codes)]


def reader_rows() -> Iterator[Reader]:
    """Every reader: odd numbers look at those who enter, even ones at those who leave."""
    for code, readers in gates():
        for number in range(1, readers + 1):
            yield Reader(
                reader_id=f"{code}-{number:02d}",
                checkpoint=code,
                lane=str((number + 1) // 2),
                direction=1 if number % 2 else 2,
            )


@dataclass(frozen=True)
class City:
    """What was made: its folder is a server's data folder. days: that it has reads of; seconds:
    that filling it took."""

    folder: Path
    plan: Plan
    days: int = 0
    reads: int = 0
    seconds: float = 0.0

    @classmethod
    def at(cls, folder: Path) -> "City":
        """What a folder holds."""
        known = json.loads((folder / "city.json").read_text())
        plan = Plan(**known["plan"])
        return cls(folder, plan, len(known["firsts"]), known["reads"], round(known["seconds"], 1))

    @property
    def ends(self) -> datetime:
        """The end of its last day."""
        return self.plan.midnight(self.days)

    @contextmanager
    def opened(self) -> Iterator[tuple[Ring, Client, Projection]]:
        """Its log and its read side, with our schema, while no server has it open."""
        where = ClickHouse.at(f"chdb:///{self.folder / 'clickhouse'}")
        ring = Ring(f"sqlite:///{self.folder / 'events.sqlite'}")
        client = where.open()
        try:
            databases = Databases(where, client)
            live = databases.live()
            databases.upgrade(live)
            yield ring, client, Projection(ring.event_log, client, live)
        finally:
            client.close()
            ring.close()


def city(
    folder: Path,
    plan: Plan,
    refill: Sequence[str] = (),
    stop_after: float = math.inf,
    report: Callable[[str], None] = lambda _: None,
) -> City:
    """Makes the city, or takes the one that is there; fills the tables `refill` anew.

    Goes on where a run was cut short, or where `stop_after` seconds had passed: after any day it
    is a city of fewer days. ValueError where the folder holds something else.
    """
    note = folder / "city.json"
    if note.exists():
        known = json.loads(note.read_text())
        if Plan(**known["plan"]) != plan:
            raise ValueError(f"{folder} holds another city ({known['plan']}): name another folder")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no city: name another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        known = {"plan": asdict(plan), "firsts": [], "reads": 0, "seconds": 0.0}
        note.write_text(json.dumps(known))
    firsts, until = known["firsts"], time.monotonic() + stop_after
    made = len(firsts)
    with City(folder, plan).opened() as (ring, client, projection):
        projection.load()
        if not made:
            _register(ring, "")
            projection.apply(projection.events())
        with _filling(client, refill):
            for day in range(made) if refill else range(made, plan.days):
                began = time.perf_counter()
                first = firsts[day] if refill else ring.event_log.head() + 1
                _fill(client, ring.event_log.log_id, plan, day, first)
                if not refill:
                    last = int(rows(client, "SELECT max(position) FROM sightings")[0][0])
                    # The log goes on where the reads end, with events of its own.
                    projection.save(last)
                    with closing(sqlite3.connect(folder / "events.sqlite")) as events, events:
                        events.execute("UPDATE sqlite_sequence SET seq = ?", (last,))
                    _register(ring, f" ({day + 1})")
                    known["reads"] += last + 1 - first
                    known["seconds"] += time.perf_counter() - began
                    firsts.append(first)
                    note.write_text(json.dumps(known))
                rate = known["reads"] / max(known["seconds"], 0.001)
                report(f"day {day + 1} of {plan.days}: {known['reads']:,} reads, {rate:,.0f}/s")
                if time.monotonic() > until:
                    break
    return City(folder, plan, len(firsts), known["reads"], round(known["seconds"], 1))


def _register(ring: Ring, suffix: str) -> None:
    at = Timestamp()
    at.FromDatetime(FIRST_DAY - _DAY)
    with CHECKPOINTS.open(encoding="utf-8", newline="") as file:
        rows = [
            Checkpoint(
                code=row["code"],
                name=row["name"] + suffix,
                latitude=float(row["latitude"]),
                longitude=float(row["longitude"]),
            )
            for row in csv.DictReader(file)
        ]
    ring.import_checkpoints(rows, at)
    ring.import_readers(list(reader_rows()), at)


def _fill(client: Client, log_id: str, plan: Plan, day: int, first: int) -> None:
    """Inserts the reads of one day, from position `first` on."""
    codes, readers = zip(*gates(), strict=True)
    midnight = plan.midnight(day)
    client.execute(
        f"{_SQL}, max_memory_usage = {_MEMORY}, parallel_view_processing = 1",
        log=log_id,
        first=first,
        seed=plan.seed,
        vehicles=plan.vehicles,
        day=day,
        midnight=int(midnight.timestamp()) * 1_000_000,
        weekend=(midnight - timedelta(hours=3)).weekday() >= 5,
        codes=list(codes),
        readers=list(readers),
    )


def rows(client: Client, text: str, **parameters: Any) -> Sequence[Sequence[Any]]:
    """The result of a query of our own."""
    found: Sequence[Sequence[Any]] = client._raw.query(text, parameters=parameters).result_rows
    return found


def apart(city: City, text: str, **parameters: Any) -> list[list[Any]]:
    """The result of a query of our own on a city, asked in a process that ends after it.

    A process has one data path of the engine; this way it may be the server's next.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_apart, city, text, parameters).result()


def _apart(city: City, text: str, parameters: dict[str, Any]) -> list[list[Any]]:
    with city.opened() as (_, client, _):
        return [list(row) for row in rows(client, text, **parameters)]


@contextmanager
def _filling(client: Client, only: Sequence[str]) -> Iterator[None]:
    """Inside, `incoming` feeds these tables alone, which are empty at first; none: every table."""
    if not only:
        yield
        return
    views = {
        str(view): _FILLS.findall(text)[0]
        for view, text in rows(
            client,
            "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} "
            "AND engine = 'MaterializedView'",
            database=client.database,
        )
    }
    if unknown := set(only) - set(views.values()):
        raise ValueError(f"no view fills {', '.join(sorted(unknown))}")
    off = [view for view, table in views.items() if table not in only]
    for table in only:
        client.execute(f"TRUNCATE TABLE {table}")
    for view in off:
        client.execute(f"DETACH TABLE {view}")
    try:
        yield
    finally:
        for view in off:
            client.execute(f"ATTACH TABLE {view}")


def settle(client: Client, seconds: float) -> int:
    """Waits until no parts are being merged, or for so long. How many merges are left."""
    until = time.monotonic() + seconds
    quiet = 0
    while True:
        merges = int(rows(client, "SELECT count() FROM system.merges")[0][0])
        quiet = 0 if merges else quiet + 1
        if quiet == 3 or time.monotonic() > until:
            return merges
        time.sleep(0.5)


def disk(client: Client) -> dict[str, int]:
    """Bytes on the disk of each table's live parts."""
    found = rows(
        client,
        "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active "
        "AND database = {database:String} GROUP BY table ORDER BY table",
        database=client.database,
    )
    return {str(table): int(size) for table, size in found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.city", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--refill", default="", help="tables to fill anew, with commas between")
    parser.add_argument("--settle", type=float, default=600, help="seconds for merges to end")
    parser.add_argument(
        "--for",
        dest="stop_after",
        type=float,
        default=math.inf,
        help="stop after the day at which so many seconds have passed",
    )
    options = parser.parse_args()
    refill = [name for name in options.refill.split(",") if name]
    plan = Plan(options.reads, options.seed, options.days)
    made = city(
        options.folder.resolve(),
        plan,
        refill,
        options.stop_after,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    with made.opened() as (_, client, _):
        left = settle(client, options.settle)
        sizes = disk(client)
    print(
        json.dumps(
            {"reads": made.reads, "days": made.days, "seconds": made.seconds, "merges_left": left}
            | {"bytes_per_read": {t: round(s / made.reads, 2) for t, s in sizes.items()}}
            | {"all_tables": round(sum(sizes.values()) / made.reads, 2)}
        )
    )


if __name__ == "__main__":
    main()
