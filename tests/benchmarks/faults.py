"""kill -9 of every part at random moments under load, many times (`make test`: a few times).

    python -m tests.benchmarks.faults --rounds 50 --seed 0 --outage 150 --backlog 500000

Then ClickHouse away, refusing and slow for minutes, and a day's reads at once; 0 leaves a part out.
Prints one JSON object a round. Ends with exit code 1 at the first read or alert that is lost or
there twice, or row that is not as the log says; its seed repeats it. The same where live readers
wait longer than they may while a day's reads come in.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proto.ring.v1.alert_pb2 import HotlistEntry
from tests.benchmarks import targets
from tests.benchmarks.latency import milliseconds
from tests.conftest import Postgres, Server
from tests.faults.backlog import Live, returns
from tests.faults.campaign import PARTS, Campaign
from tests.faults.conftest import register
from tests.faults.live import Lived
from tests.faults.outage import KINDS, outage
from tests.integration.test_alerts import import_entries
from tests.projections.conftest import Front


def faults(rounds: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a round: half of them on SQLite, half on PostgreSQL, parts in a random order."""
    drawn = random.Random(seed)
    postgres = Postgres()
    try:
        for store in ("SQLite", "PostgreSQL"):
            parts = PARTS if store == "PostgreSQL" else PARTS[:-1]
            share = rounds // 2 if store == "PostgreSQL" else rounds - rounds // 2
            with tempfile.TemporaryDirectory() as folder:
                used = postgres if store == "PostgreSQL" else None
                with Campaign(Path(folder), share, used) as campaign:
                    for number in range(share):
                        part, its_seed = drawn.choice(parts), drawn.randrange(2**32)
                        began = time.perf_counter()
                        moment = campaign.round(part, its_seed)
                        yield {
                            "round": number + 1,
                            "store": store,
                            "killed": part,
                            "seed": its_seed,
                            "after_s": round(moment, 3),
                            "seconds": round(time.perf_counter() - began, 1),
                        }
    finally:
        postgres.end()


def backlog(count: int) -> dict[str, Any]:
    """A day of `count` reads comes in at once; what live readers feel of it."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "ring")
        try:
            returned = returns(server, Path(folder) / "spool", count, calm=10)
        finally:
            server.stop()
    row = {
        "benchmark": "a day offline comes in at once",
        "reads": count,
        "per_s": round(count / returned.seconds),
        **_felt("calm", returned.before),
        **_felt("meanwhile", returned.meanwhile),
    }
    return targets.beside(row, targets.BACKLOG)


def outages(seconds: float) -> Iterator[dict[str, Any]]:
    """ClickHouse away, refusing and slow, each for so long, at 100 reads/s: a row each."""
    readers = [f"live-{number}" for number in range(10)]
    for how in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            front = Front(Path(folder) / "front")
            server = Server(Path(folder) / "ring", env={"RING_CLICKHOUSE": front.dsn("bench")})
            try:
                register(server, *readers)
                import_entries(server, "wanted", HotlistEntry(plate="WANTED1"))
                seen = outage(server, front, how, readers, "WANTED1", rate=10, seconds=seconds)
            finally:
                server.stop()
                front.kill()
        yield {
            "benchmark": f"ClickHouse {how.split()[0]} for {seconds:g} s",
            **_waits("outage", seen.lived),
            "alerts": len(seen.alert_waits),
            "alert_raised_p50_ms": milliseconds(seen.alert_waits, 0.5),
            "alert_raised_p99_ms": milliseconds(seen.alert_waits, 0.99),
            "events_behind": seen.behind,
            "recovery_s": round(seen.recovery, 1),
            "largest_mib": seen.largest >> 20,
        }


def _felt(when: str, live: Live) -> dict[str, Any]:
    return {
        **_waits(when, live.lived),
        f"{when}_live_alert_p50_ms": milliseconds(live.alert_waits, 0.5),
        f"{when}_live_alert_p99_ms": milliseconds(live.alert_waits, 0.99),
    }


def _waits(when: str, lived: list[Lived]) -> dict[str, Any]:
    waits = [wait for one in lived for wait in one.waits]
    return {
        f"{when}_live_reads": len(waits),
        f"{when}_live_acknowledged_p50_ms": milliseconds(waits, 0.5),
        f"{when}_live_acknowledged_p99_ms": milliseconds(waits, 0.99),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outage", type=float, default=150, help="seconds without ClickHouse")
    parser.add_argument("--backlog", type=int, default=500_000, help="reads of a day offline")
    options = parser.parse_args()
    if options.rounds:
        for row in faults(options.rounds, options.seed):
            print(json.dumps(row), flush=True)
    if options.outage:
        for row in outages(options.outage):
            print(json.dumps(row), flush=True)
    if options.backlog:
        row = backlog(options.backlog)
        print(json.dumps(row), flush=True)
        missed = list(targets.missed([row]))
        print(*missed, sep="\n", file=sys.stderr)
        sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
