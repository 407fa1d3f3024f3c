"""The SQL files beside this module: the only place where SQL is written.

Always true here: every value reaches a statement as a ClickHouse parameter, {name:Type}; none is
put into its text.
"""

import re
from functools import cache
from importlib.resources import files

_END = re.compile(r";[ \t]*$", re.MULTILINE)


@cache
def statement(name: str) -> str:
    """The one statement of a file, e.g. "queries/flows". KeyError where there is no such file."""
    (only,) = statements(name)
    return only


@cache
def statements(name: str) -> tuple[str, ...]:
    """Every statement of a file, in order."""
    path = files("projections") / "sql" / f"{name}.sql"
    if not path.is_file():
        raise KeyError(name)
    return tuple(s.strip() for s in _END.split(path.read_text(encoding="utf-8")) if s.strip())


@cache
def names(folder: str) -> tuple[str, ...]:
    """The files of a folder, e.g. "schema/01_incoming", in order."""
    found = (files("projections") / "sql" / folder).iterdir()
    return tuple(sorted(f"{folder}/{p.name[:-4]}" for p in found if p.name.endswith(".sql")))
