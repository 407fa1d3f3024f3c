"""The SQL files beside this module: the only place where SQL is written.

Always true here: every value reaches a statement as a ClickHouse parameter, {name:Type}; none is
put into its text.

One file serves a single server and a cluster. Words in braces without a type stand for what differs
between the two, and mean nothing to ClickHouse itself:

    {_local}         at the end of a table's name: where rows lie. On a cluster each such table has
                     a Distributed one beside it, with the plain name, which finds a row's shard
    {on_cluster}     ON CLUSTER 'name'
    {replicated}     before an engine's name: every replica of a shard has the rows
    {cluster}        the cluster's name, quoted
    {global}         before IN: the right side is worked out once, not on every shard
    {cluster_only}   at the head of a statement: left out on a single server
    {single_only}    likewise on a cluster

Replicated tables take their place in Keeper from the server's own defaults (default_replica_path,
by the table's UUID). The statements for a single server are run in the tests. So are a cluster's,
but on one shard and without Keeper, that is without ON CLUSTER and Replicated: those two are parsed
by the engine and were never run; nor was anything on several shards.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_COMMENT = re.compile(r"^[ \t]*--.*\n", re.MULTILINE)
_END = re.compile(r";[ \t]*$", re.MULTILINE)
_SINGLE = {
    "{_local}": "",
    " {on_cluster}": "",
    "{replicated}": "",
    "{global} ": "",
    "{single_only}\n": "",
}
_ON_A_CLUSTER = {
    "{_local}": "_local",
    "{on_cluster}": "ON CLUSTER '{name}'",
    "{replicated}": "Replicated",
    "{cluster}": "'{name}'",
    "{global}": "GLOBAL",
    "{cluster_only}\n": "",
}
SQL = files("projections") / "sql"


@cache
def statement(name: str, cluster: str = "") -> str:
    """The one statement of a file, e.g. "queries/flows". KeyError where there is no such file."""
    (only,) = statements(name, cluster)
    return only


@cache
def statements(name: str, cluster: str = "") -> tuple[str, ...]:
    """Every statement of a file, in order, for a single server or for a cluster of that name."""
    path = SQL / f"{name}.sql"
    if not path.is_file():
        raise KeyError(name)
    return parse(path.read_text(encoding="utf-8"), cluster)


def parse(text: str, cluster: str = "") -> tuple[str, ...]:
    """The statements of a file's text, without its comments."""
    words = _ON_A_CLUSTER if cluster else _SINGLE
    left_out = "{single_only}" if cluster else "{cluster_only}"
    found = []
    for part in _END.split(_COMMENT.sub("", text)):
        if left_out in part or not part.strip():
            continue
        for word, meaning in words.items():
            part = part.replace(word, meaning.format(name=cluster))
        found.append(part.strip())
    return tuple(found)


@cache
def names(folder: str) -> tuple[str, ...]:
    """The files of a folder, e.g. "schema/01_incoming", in order."""
    return tuple(f"{folder}/{name}" for name in files_in(SQL / folder))


def files_in(folder: Traversable) -> list[str]:
    """The names of a folder's .sql files without the ending, in order."""
    return sorted(p.name[:-4] for p in folder.iterdir() if p.name.endswith(".sql"))
