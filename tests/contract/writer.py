"""A process that writes to an event log, so that others may watch it grow.

    python -m tests.contract.writer DSN STREAM TRANSACTIONS

Each transaction holds one to five events of the stream STREAM, a UUID; versions count from 1.
"""

import random
import sys
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ring.store import open_log


def main() -> None:
    dsn, stream, transactions = sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(stream.int)
    log = open_log(dsn)
    version = 0
    for _ in range(transactions):
        count = rng.randint(1, 5)
        log.insert_events(
            [
                StoredEvent(stream, version + n, "ring.read", bytes(rng.randrange(200)))
                for n in range(1, count + 1)
            ]
        )
        version += count
    log.close()
    print(version)


if __name__ == "__main__":
    main()
