"""kill -9 of every part at random moments under load, many times (`make test`: a few times).

    python -m tests.benchmarks.faults --rounds 50 --seed 0

Prints one JSON object a round. Ends with exit code 1 at the first read or alert that is lost or
there twice, or row that is not as the log says; its seed repeats it.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.latency import milliseconds
from tests.conftest import Postgres, Server
from tests.faults.backlog import returns
from tests.faults.campaign import PARTS, Campaign
from tests.faults.live import Lived


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
    return {
        "benchmark": "a day offline comes in at once",
        "reads": count,
        "per_s": round(count / returned.seconds),
        **_waits("calm", returned.before),
        **_waits("meanwhile", returned.meanwhile),
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
    parser.add_argument("--backlog", type=int, default=500_000, help="reads of a day offline")
    options = parser.parse_args()
    for row in faults(options.rounds, options.seed):
        print(json.dumps(row), flush=True)
    print(json.dumps(backlog(options.backlog)), flush=True)


if __name__ == "__main__":
    main()
