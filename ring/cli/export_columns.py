"""The columns of an exported table: the fields of the protocol's message, by their own names.

Always true here: a column is typed as its field is. A Timestamp is UTC to the microsecond; an
enum is its value's name in lower case, empty where it is unspecified; a message within a message
gives its own columns, prefixed with the field's name; what is repeated is a list; what is not set
(where a field can tell) is null. Nothing here knows of a particular message: new fields come by
themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Column:
    """value: of a message, as pyarrow takes it. cell: the same as text for CSV."""

    name: str
    type: Any
    value: Callable[[Any], Any]
    cell: Callable[[Any], str]

    def text(self, message: Any) -> str:
        """The CSV cell of a message; safe to open in a spreadsheet."""
        value = self.value(message)
        return "" if value is None else self.cell(value)


def columns_of(
    message: Descriptor, prefix: str = "", reach: Callable[[Any], Any] = lambda m: m
) -> list[Column]:
    """The columns of a message's fields, in their order. `reach` finds it in the row's message."""
    columns = []
    for field in message.fields:
        name = prefix + field.name
        inner = field.message_type
        if inner and not field.is_repeated and inner.full_name not in _WELL_KNOWN:
            columns += columns_of(inner, f"{name}_", _within(field, reach))
        else:
            kind, convert, cell = _kind(field)
            columns.append(Column(name, kind, _getter(field, reach, convert), cell))
    return columns


def plain_text(text: str) -> str:
    """What `safe_text` made safe, as it was."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    # Apostrophes before it do not count, so that the one put there can be told from the text's own.
    return text.lstrip("'").startswith(_FORMULA)


def safe_text(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if _is_formula(text) else text


def _within(field: FieldDescriptor, reach: Callable[[Any], Any]) -> Callable[[Any], Any]:
    name = field.name

    def inner(row: Any) -> Any:
        message = reach(row)
        return getattr(message, name) if message is not None and message.HasField(name) else None

    return inner


def _getter(
    field: FieldDescriptor, reach: Callable[[Any], Any], convert: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    name = field.name
    can_lack = not field.is_repeated and field.has_presence

    def value(row: Any) -> Any:
        message = reach(row)
        if message is None or (can_lack and not message.HasField(name)):
            return None
        return convert(getattr(message, name))

    return value


def _kind(field: FieldDescriptor) -> tuple[Any, Callable[[Any], Any], Callable[[Any], str]]:
    """(type, from protobuf's value, to CSV's text) of a field."""
    import pyarrow as pa

    kind, convert, cell = _kind_of_one(field)
    if not field.is_repeated:
        return kind, convert, cell
    if field.message_type:
        return (
            pa.list_(kind),
            lambda many: [convert(one) for one in many],
            lambda many: f"[{', '.join(map(cell, many))}]",
        )
    return (
        pa.list_(kind),
        lambda many: [convert(one) for one in many],
        lambda many: safe_text("; ".join(map(cell, many))),
    )


def _kind_of_one(
    field: FieldDescriptor,
) -> tuple[Any, Callable[[Any], Any], Callable[[Any], str]]:
    import numpy as np
    import pyarrow as pa
    from google.protobuf.descriptor import FieldDescriptor as F

    if field.message_type:
        if field.message_type.full_name in _WELL_KNOWN:
            return _WELL_KNOWN[field.message_type.full_name]()
        inner = columns_of(field.message_type)
        return (
            pa.struct([(column.name, column.type) for column in inner]),
            lambda message: {column.name: column.value(message) for column in inner},
            lambda value: _json_text(inner, value),
        )
    if field.enum_type:
        names = _names(field.enum_type)
        return pa.string(), lambda n: names.get(n, str(n)), safe_text
    match field.type:
        case F.TYPE_FLOAT:
            # Its shortest text: 0.9, not 0.8999999761581421.
            return pa.float32(), _same, lambda value: str(np.float32(value))
        case F.TYPE_DOUBLE:
            return pa.float64(), _same, repr
        case F.TYPE_BOOL:
            return pa.bool_(), _same, lambda value: "true" if value else "false"
        case F.TYPE_BYTES:
            return pa.binary(), _same, bytes.hex
        case F.TYPE_STRING:
            return pa.string(), _same, safe_text
        case F.TYPE_UINT32 | F.TYPE_FIXED32:
            return pa.uint32(), _same, str
        case F.TYPE_UINT64 | F.TYPE_FIXED64:
            return pa.uint64(), _same, str
        case F.TYPE_INT32 | F.TYPE_SINT32 | F.TYPE_SFIXED32:
            return pa.int32(), _same, str
        case _:
            return pa.int64(), _same, str


def _same(value: Any) -> Any:
    return value


def _names(enum: EnumDescriptor) -> dict[int, str | None]:
    """DIRECTION_ENTRY is entry; what is unspecified is nothing."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).lower() + "_"
    return {
        value.number: value.name.lower().removeprefix(prefix) if value.number else None
        for value in enum.values
    }


def _timestamp() -> tuple[Any, Callable[[Any], Any], Callable[[Any], str]]:
    import pyarrow as pa

    return (
        pa.timestamp("us", tz="UTC"),
        lambda stamp: stamp.seconds * 1_000_000 + stamp.nanos // 1000,
        _time_text,
    )


def _duration() -> tuple[Any, Callable[[Any], Any], Callable[[Any], str]]:
    import pyarrow as pa

    return (
        pa.duration("us"),
        lambda length: length.seconds * 1_000_000 + length.nanos // 1000,
        lambda micros: f"{micros / 1e6:.6f}",
    )


_WELL_KNOWN = {"google.protobuf.Timestamp": _timestamp, "google.protobuf.Duration": _duration}


def _time_text(micros: int) -> str:
    """2026-04-01T11:00:00.250000Z."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json_text(columns: Sequence[Column], values: dict[str, Any]) -> str:
    """A message of a list, in a cell: JSON whose times, floats and bytes are as in other cells."""
    import pyarrow as pa

    def plain(column: Column) -> Any:
        value = values[column.name]
        if value is None or pa.types.is_string(column.type):
            return value
        if pa.types.is_floating(column.type):
            return float(column.cell(value))
        if pa.types.is_temporal(column.type) or pa.types.is_binary(column.type):
            return column.cell(value)
        return value

    return json.dumps({column.name: plain(column) for column in columns}, ensure_ascii=False)
