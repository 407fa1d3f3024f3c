"""Every visit that an ended server keeps in its ClickHouse, as the view for reports has it.

    python -m tests.acceptance.visits FOLDER

FOLDER is the server's. One JSON array a line: plate, entered at and left at (seconds since 1970, or
null), and the two checkpoints. A process of its own, because the embedded engine is one a process.
"""

import json
import sys
from pathlib import Path

from projections.clickhouse import ClickHouse
from projections.schema import Databases


def main() -> None:
    clickhouse = ClickHouse.at(f"chdb:///{Path(sys.argv[1]).resolve() / 'clickhouse'}")
    client = clickhouse.open()
    client.use(Databases(clickhouse, client).live())
    found = client._raw.query(
        "SELECT plate, toUnixTimestamp(entered_at), toUnixTimestamp(exited_at),"
        " entry_checkpoint, exit_checkpoint FROM visits"
    )
    for row in found.result_rows:
        print(json.dumps(row))
    client.close()


if __name__ == "__main__":
    main()
