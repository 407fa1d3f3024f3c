"""Rows of one log as Arrow's columns, as ClickHouse takes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
NAME = pa.dictionary(pa.int32(), pa.string())


def with_log(log_id: str, rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """At least one row. The schema's first column is the log's id; the rows have the others."""
    log = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(rows), np.int32)), pa.array([log_id])
    )
    arrays = [log] + [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), list(schema)[1:], strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
