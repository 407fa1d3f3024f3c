"""Looking back over a city for new entries: how long it takes, and where the time goes.

    python -m tests.benchmarks.city FOLDER --reads 100000000
    python -m tests.benchmarks.look_back FOLDER --entries 1000

Always true here: the candidates are asked of the city's own tables by the product's own queries,
and matched by the product's own code with the default thresholds; one JSON object comes out.

A city's log has no reads (see city.py), so each read is given a posterior here that follows from
its plate, position and confidence: the doubt lies in one place, where a character that looks alike
has three quarters of it and no character the rest. One statement fills unsure_reads with what the
projection would make of these reads, and a sample is compared with what it does make. The
candidates' reads are put into a log beside the city, each at its own position. What that leaves out
is the depth of a log of all reads: a read is found by its position, which takes a step or two more
there, and more where it is no longer in the operating system's cache.
"""

import argparse
import json
import math
import random
import shutil
import string
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Notification

from projections.candidates import candidates, wanted_of
from projections.clickhouse import ClickHouse, Client, Readers
from projections.unsure import SURE, rows_of
from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import TIME_QUALITY_READER, StoredRead
from proto.ring.v1.look_back_pb2 import LookBack
from proto.ring.v1.operations_pb2 import FindCandidatesRequest
from ring.access import EVERY_ROLE
from ring.application import Ring
from ring.importing import EntriesImport
from ring.likelihood import LEAST
from ring.look_back import orders
from ring.looker import Looker
from ring.reads import ReadLog
from ring.rpc.clock import now
from ring.store import seal, unseal
from ring.values import from_micros, read_log_id
from tests.benchmarks.city import City, disk, rows

_EPOCH = "0f1a3cf8-3b3f-4a0e-9a7e-5a2f6d1b7c11"
_SEEN = """
SELECT position, plate, toUnixTimestamp64Micro(captured_at), confidence, checkpoint, reader_id
FROM sightings WHERE plate IN (SELECT arrayJoin({plates:Array(String)}))
    AND position IN (SELECT arrayJoin({positions:Array(UInt64)}))
"""
_PLATES_OF = """
SELECT DISTINCT plate FROM sightings WHERE position IN (SELECT arrayJoin({positions:Array(UInt64)}))
"""
_READ = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALIKE = "O7ZBASCTRGHDGQFPCN1UXIWHQFDPEYVNMKXS"
_FILL = """
INSERT INTO unsure_reads (plate, captured_at, received_at, read_plate, likelihood, log, position)
WITH
    1 + position % length(plate) AS place,
    translate(substring(plate, place, 1), {read:String}, {alike:String}) AS other,
    least(confidence, 0.75 * (1 - confidence)) AS likeliest
SELECT
    concat(substring(plate, 1, place - 1), may_be.1, substring(plate, place + 1)),
    captured_at, received_at, plate, may_be.2, log, position
FROM sightings
ARRAY JOIN [(other, likeliest), ('', likeliest / 3)] AS may_be
WHERE confidence <= {sure:Float64} AND may_be.2 >= {least:Float64}
SETTINGS max_memory_usage = 6442450944, min_insert_block_size_rows = 4000000
"""
_SAMPLE = """
SELECT position, plate, likelihood, read_plate, confidence
FROM unsure_reads INNER JOIN
    (SELECT position, confidence FROM sightings WHERE position % {every:UInt64} = 0) AS reads
    USING (position)
WHERE position % {every:UInt64} = 0
"""
# As many reads as a look back matches without a rest.
_READS = 200


def entries_of(client: Client, number: int, seed: int) -> list[HotlistEntry]:
    """New entries: one in five has been in the city, the others have plates of the same form."""
    chosen = rows(
        client,
        "SELECT plate FROM (SELECT DISTINCT plate FROM plates) "
        "ORDER BY sipHash64(plate, {seed:UInt64}) LIMIT {n:UInt64}",
        seed=seed,
        n=number // 5,
    )
    plates = [str(plate) for (plate,) in chosen]
    chance = random.Random(seed)
    while len(plates) < number:
        form = chance.choice(plates[: number // 5] or ["AA000AA"])
        plates.append(
            "".join(
                chance.choice(string.digits if c.isdigit() else string.ascii_uppercase)
                for c in form
            )
        )
    return [HotlistEntry(plate=plate, reason="benchmark") for plate in plates]


def stored(row: Sequence[Any]) -> Notification:
    """A read of the city as the log would have it."""
    position, plate, captured, confidence, checkpoint, reader = row
    body = StoredRead(
        received_at=from_micros(captured + 500_000),
        reader_id=reader,
        epoch=_EPOCH,
        checkpoint=checkpoint,
        time_quality=TIME_QUALITY_READER,
    )
    body.read.sequence = position
    body.read.plate = plate
    body.read.confidence = confidence
    body.read.captured_at.CopyFrom(from_micros(captured))
    for place, c in enumerate(plate):
        row = {c: 1.0}
        if place == position % len(plate):
            left = 1.0 - confidence
            row = {c: confidence, _ALIKE[_READ.index(c)]: 0.75 * left, "_": 0.25 * left}
        body.read.posterior.add(characters="".join(row), probabilities=row.values())
    id_ = read_log_id(reader, _EPOCH)
    return Notification(
        id_, position, ReadLog.PlateRead.TOPIC, seal(body.SerializeToString()), position
    )


def fill(client: Client) -> dict[str, Any]:
    """Fills unsure_reads anew where it is not filled yet."""
    began = time.perf_counter()
    if not int(rows(client, "SELECT count() FROM unsure_reads")[0][0]):
        more = {"read": _READ, "alike": _ALIKE, "sure": SURE, "least": LEAST}
        client.execute(_FILL, **more)
    client.execute("TRUNCATE TABLE unsure_reads_lacking")
    took = time.perf_counter() - began
    filled = int(rows(client, "SELECT count() FROM unsure_reads")[0][0])
    head = int(rows(client, "SELECT max(position) FROM unsure_reads")[0][0])
    _compare(rows(client, _SAMPLE, every=max(1, head // 1000)))
    return {
        "filled_rows": filled,
        "fill_s": round(took, 1),
        "unsure_reads_bytes": disk(client).get("unsure_reads", 0),
    }


def _compare(sample: Sequence[Sequence[Any]]) -> None:
    """RuntimeError where the projection would have made other rows than the statement did."""
    made: dict[int, dict[str, float]] = {}
    expected: dict[int, dict[str, float]] = {}
    for position, plate, likelihood, read_plate, confidence in sample:
        made.setdefault(position, {})[plate] = likelihood
        row = position, read_plate, 0, confidence, "", ""
        read = StoredRead.FromString(unseal(stored(row).state)).read
        expected[position] = {r[1]: r[5] for r in rows_of(read, position, 0, 0)}
    for position, others in made.items():
        if others.keys() != expected[position].keys() or any(
            not math.isclose(p, expected[position][plate], abs_tol=1e-5)
            for plate, p in others.items()
        ):
            raise RuntimeError(f"position {position}: {others} instead of {expected[position]}")


def measure(city: City, number: int, seed: int) -> dict[str, Any]:
    """One looking back over all of the city's days."""
    folder = Path(tempfile.mkdtemp(prefix="look-back-"))
    try:
        shutil.copy(city.folder / "events.sqlite", folder)
        with city.opened() as (_, client, _):
            return _measure(city, client, folder, number, seed)
    finally:
        shutil.rmtree(folder)


def _measure(city: City, client: Client, folder: Path, number: int, seed: int) -> dict[str, Any]:
    ring = Ring(f"sqlite:///{folder / 'events.sqlite'}")
    log = ring.event_log
    where = ClickHouse.at(f"chdb:///{city.folder / 'clickhouse'}")
    filled = fill(client)
    readers = Readers(where, 1, client.database)
    try:
        asked = LookBack()
        asked.period.seconds = 100 * 365 * 86_400
        importing = EntriesImport(
            ring,
            EVERY_ROLE,
            "",
            "benchmark",
            replace=True,
            create=True,
            now=now,
            look_back=asked,
        )
        importing.add(entries_of(client, number, seed))
        importing.finish()
        (order,) = orders(ring, 0)
        looker = Looker(ring, lambda: None, UTC)
        threshold = looker.policy(order).lowest
        entries = [e for n in range(order.activated.chunks) for e in looker.entries(order, n + 1)]
        request = FindCandidatesRequest(
            plates=[entry.plate for entry in entries],
            before=order.position,
            threshold=threshold,
        )
        began, busy = time.perf_counter(), time.process_time()
        pages = list(candidates(readers, log.log_id, wanted_of(request)))
        found, found_busy = time.perf_counter() - began, time.process_time() - busy
        positions = [position for page in pages for position in page]
        plates = [str(p) for (p,) in rows(client, _PLATES_OF, positions=positions)]
        seen = sorted(rows(client, _SEEN, plates=plates, positions=positions))
        # Some may have come in as reads do, after the city was made.
        lacking = {row[0]: row for row in seen if not log.select_states(row[0] - 1, 1, row[0])}
        log.adopt([stored(row) for row in lacking.values()])

        look_back = looker.begin(order)
        entry_ids = {entry.entry_id for entry in entries}
        reads = alerts = 0
        began, busy = time.perf_counter(), time.process_time()
        for page in pages:
            for start in range(0, len(page), _READS):
                one = looker.look(order, entry_ids, page[start : start + _READS])
                reads, alerts = reads + one[0], alerts + one[1]
        looker.advance(look_back, order, reads, alerts)
        matched, matched_busy = time.perf_counter() - began, time.process_time() - busy
    finally:
        readers.close()
        ring.close()
    return {
        "benchmark": f"looking back for {number:,} new entries",
        "reads_in_city": city.reads,
        "days": city.days,
        "entries": number,
        "threshold": threshold,
        **filled,
        "candidate_plates": len(plates),
        "candidate_reads": reads,
        "alerts": alerts,
        "candidates_s": round(found, 2),
        "candidates_processor_s": round(found_busy, 2),
        "matching_s": round(matched, 2),
        "matching_processor_s": round(matched_busy, 2),
        # A look back rests as long as it matches.
        "whole_s": round(found + 2 * matched, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.look_back", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--entries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(measure(City.at(options.folder.resolve()), options.entries, options.seed)))


if __name__ == "__main__":
    main()
