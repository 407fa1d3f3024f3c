"""`make bench`: every benchmark, a table and one JSON object a line."""

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.end_to_end import bare_recorder, end_to_end


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--reads", type=int, default=300_000, help="reads an end-to-end run sends")
    parser.add_argument("--entries", type=int, default=100_000, help="entries on the hotlist")
    options = parser.parse_args()
    console = Console(stderr=True)
    rows: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)

    with console.status("the event store alone"):
        limit = bare_recorder(200_000)
    report({"benchmark": "bare recorder, 1,000 a transaction", "per_s": round(limit)})
    for batch in (100, 20):
        with console.status(f"end to end, {batch} reads a message"):
            result = end_to_end(options.reads, batch, options.entries)
        report(
            {
                "benchmark": f"end to end, {batch} a message",
                "per_s": result["end_to_end_per_s"],
                "of_the_limit": round(result["end_to_end_per_s"] / limit, 3),
                **result,
            }
        )
    table = Table("benchmark", "per second", "of the limit", "read side behind")
    for row in rows:
        table.add_row(
            row["benchmark"],
            f"{row['per_s']:,}",
            f"{row['of_the_limit']:.0%}" if "of_the_limit" in row else "",
            f"{row['read_side_behind_s']} s" if "read_side_behind_s" in row else "",
        )
    console.print(table)


if __name__ == "__main__":
    main()
