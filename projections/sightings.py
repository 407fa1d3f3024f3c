"""One plate's reads, whole, in order of capture.

Always true here: ClickHouse says which reads there are, the event log what each of them held.
Times are cut to the microsecond.
"""

from collections.abc import Iterator

from projections.clickhouse import Client, Row
from projections.requests import Span
from proto.ring.v1.common_pb2 import PlateSighting
from proto.ring.v1.events_pb2 import StoredRead
from ring.store import EventLog, unseal
from ring.values import from_micros, read_id

_ROWS_AT_ONCE = 1000


def stretch(
    client: Client, log: EventLog, plate: str, span: Span
) -> tuple[list[PlateSighting], Span | None]:
    """The first reads of the span, and the span that is left; None where nothing is."""
    rows = client.rows(
        "queries/sightings",
        log=log.log_id,
        plate=plate,
        start=span.start,
        end=span.end,
        rows=_ROWS_AT_ONCE,
    )
    left = Span(int(rows[-1][0]) + 1, span.end) if len(rows) >= _ROWS_AT_ONCE else None
    # Until its parts are merged, a read that was applied twice comes twice.
    distinct = {(row[1], row[2]): row for row in rows}.values()
    stored = {
        n.id: StoredRead.FromString(unseal(n.state))
        for n in log.select_positions([row[1] for row in distinct if row[2]])
    }
    sightings = [_sighting(plate, row, stored.get(row[1]) if row[2] else None) for row in distinct]
    sightings.sort(key=lambda s: (s.captured_at.ToMicroseconds(), s.read_id))
    return sightings, left


def all_of(client: Client, log: EventLog, plate: str, span: Span) -> Iterator[PlateSighting]:
    """Every read of the span."""
    left: Span | None = span
    while left:
        sightings, left = stretch(client, log, plate, left)
        yield from sightings


def _sighting(plate: str, row: Row, stored: StoredRead | None) -> PlateSighting:
    (captured, _, _, checkpoint, reader, lane, direction, confidence, received, region, suspect) = (
        row
    )
    sighting = PlateSighting(
        plate=plate,
        checkpoint=checkpoint,
        reader_id=reader,
        lane=lane,
        direction=direction,
        captured_at=from_micros(captured),
        confidence=confidence,
        received_at=from_micros(received),
        region=region,
        time_suspect=suspect,
    )
    if stored is not None:
        read = stored.read
        sighting.read_id = str(read_id(reader, stored.epoch, read.sequence))
        sighting.crop_sha256 = read.crop_sha256
        if read.HasField("vehicle"):
            sighting.vehicle.CopyFrom(read.vehicle)
    return sighting
