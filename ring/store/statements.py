"""The SQL of the event store adapters, from the files in `sql/`: each statement by its name."""

from functools import cache
from importlib.resources import files

_NAME = "-- name: "


@cache
def statements(file: str) -> dict[str, str]:
    """Name → statement of one file, e.g. "sqlite"."""
    text = (files("ring.store") / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split(_NAME)[1:])
    return {name.strip(): body.strip() for name, _, body in parts}
