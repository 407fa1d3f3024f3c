"""What unsure reads may be: rows for the other plates that their vehicles may have.

Always true here: a read that is no surer than SURE has a row for each plate that `plausible` has
beside the one read, and a surer read none. So whoever changes what `plausible` gives (the model of
confusions included) adds a migration that notes in unsure_reads_lacking how far the rows of before
go, as the one did that made the table.

With those rows every near match of a list is found whose lowest threshold is at least 1 - SURE:
all other plates together have no more than the confidence of a read leaves. Rows for surer reads
too would cost most of their time and room for matches that hardly any list asks for.
"""

from collections.abc import Sequence

import pyarrow as pa

from projections.columns import NAME, TIME, with_log
from proto.ring.v1.ingest_pb2 import PlateRead
from ring.likelihood import plausible

SURE = 0.9

_SCHEMA = pa.schema(
    [
        ("log", NAME),
        ("position", pa.uint64()),
        ("plate", pa.string()),
        ("captured_at", TIME),
        ("received_at", TIME),
        ("read_plate", pa.string()),
        ("likelihood", pa.float32()),
    ]
)

# Position, plate, capture and receipt (microseconds since 1970), plate read, probability.
Row = tuple[int, str, int, int, str, float]


def rows_of(read: PlateRead, position: int, captured: int, received: int) -> list[Row]:
    """The rows of a read that is no surer than SURE. Times are in microseconds since 1970."""
    plate = read.plate
    return [
        (position, other, captured, received, plate, likelihood)
        for other, likelihood in plausible(read).items()
        if other != plate
    ]


def table_of(rows: Sequence[Row], log_id: str) -> pa.Table:
    """As they are inserted. There is at least one."""
    return with_log(log_id, rows, _SCHEMA)
