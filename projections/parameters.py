"""Long parameters of statements, in pieces that a ClickHouse server takes.

Always true here: a statement means the same before and after, and no value of it is in its text.

A server refuses a form's field that is longer than http_max_field_value_size. It reads that setting
from its own default profile when it reads the form: most releases know neither the user's profile
nor the request's settings by then, so a client can't raise it.
"""

import re
from collections.abc import Mapping
from typing import Any

from clickhouse_connect.driver.binding import format_bind_value

# http_max_field_value_size as servers have it by themselves, bytes.
_LONGEST = 131_072


def in_pieces(text: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A statement and its parameters; each list or string that is too long becomes several."""
    fitting = dict(parameters)
    for name, value in parameters.items():
        pieces = _pieces(value)
        if len(pieces) == 1:
            continue
        join = "concat" if isinstance(value, str) else "arrayConcat"
        parts = {f"{name}_{n}": piece for n, piece in enumerate(pieces)}
        del fitting[name]
        fitting |= parts
        text = re.sub(
            rf"\{{{name}:([^}}]+)\}}",
            lambda found, join=join, parts=parts: (  # type: ignore[misc]
                f"{join}({', '.join(f'{{{part}:{found[1]}}}' for part in parts)})"
            ),
            text,
        )
    return text, fitting


def _pieces(value: Any) -> list[Any]:
    long = isinstance(value, (str, list)) and len(format_bind_value(value).encode()) > _LONGEST
    if not long or len(value) < 2:
        return [value]
    half = len(value) // 2
    return _pieces(value[:half]) + _pieces(value[half:])
