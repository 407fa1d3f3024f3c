"""`ring hotlist import` of a long file: the real command, and a server that has read nothing yet.

    python -m tests.benchmarks.hotlist_import --entries 1000000

Always true here: the time is that of the command, from its start until the list is live and it has
ended. The same file is then imported once more, which changes nothing. Exit code 1 where the first
takes longer than it may.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import targets
from tests.benchmarks.load import plate
from tests.conftest import ROOT, Server

_REASONS = ("stolen", "stolen, armed", "court order", "unpaid toll", "missing person")


def hotlist_import(entries: int) -> dict[str, Any]:
    """Seconds that each of two imports of so many entries takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wanted.csv"
        _write(file, entries)
        server = Server(Path(folder) / "ring")
        try:
            first = _import(server, file, added=entries)
            again = _import(server, file, unchanged=entries)
        finally:
            server.stop()
        row = {
            "entries": entries,
            "file_mib": round(file.stat().st_size / 2**20, 1),
            "import_s": first,
            "again_s": again,
        }
    return targets.beside(row, targets.IMPORT)


def _write(path: Path, entries: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("plate", "reason", "expires_at", "priority", "reference", "region"))
        for n in range(entries):
            ends = f"2031-{n % 12 + 1:02d}-{n % 28 + 1:02d}"
            kind = "high" if n % 50 == 0 else "normal"
            rows.writerow((plate(n), _REASONS[n % 5], ends, kind, f"{n % 97:02d}/{n:07d}", "AR"))


def _import(server: Server, file: Path, **expected: int) -> float:
    began = time.perf_counter()
    said = subprocess.run(
        [
            sys.executable, "-m", "ring.cli", "hotlist", "import", "wanted", str(file),
            "--json", "--server", server.address,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    answer = json.loads(said.stdout)
    told = {name: int(answer[name]) for name in expected}
    assert told == expected, answer
    return round(seconds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.hotlist_import", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--entries", type=int, default=1_000_000)
    row = {"benchmark": "ring hotlist import", **hotlist_import(parser.parse_args().entries)}
    print(json.dumps(row))
    missed = list(targets.missed([row]))
    print(*missed, sep="\n", file=sys.stderr)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
