"""Clients of ClickHouse: the embedded engine (chDB) or a server, behind one DSN.

Always true here: a client is used by one thread at a time; nothing that is asked is written to
ClickHouse's query log, because questions name plates. A client outlives the server that it talks
to: while that is away each call fails with ClickHouseError, and later calls find it again.
"""

import fcntl
import logging
import queue
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from projections.parameters import in_pieces
from projections.statements import statement, statements
from ring.errors import InvalidRequest, Unavailable

__all__ = ["ClickHouse", "ClickHouseError", "Client", "Readers"]

Row = Sequence[Any]
_T = TypeVar("_T")

# JIT compilation and query logs cost more than they bring in questions of a few milliseconds.
_SETTINGS = {"log_queries": 0, "compile_expressions": 0, "compile_aggregate_expressions": 0}
# On a cluster: an insert returns once every shard has its rows, so that the position is never
# saved before them; what was just written is read from the same replica; a question about one
# plate goes to its shard alone; an INSERT ... SELECT runs once, not on every shard. That rows lie
# on several replicas before an insert returns is for the server to say (insert_quorum, in the
# user's profile). It was tried on a cluster of one shard, not on several.
_CLUSTER_SETTINGS = {
    "distributed_foreground_insert": 1,
    "load_balancing": "in_order",
    "optimize_skip_unused_shards": 1,
    "parallel_distributed_insert_select": 0,
}
_CLUSTER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# How long a server may take to accept a connection, seconds.
_CONNECT_SECONDS = 5
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,47}")
# How long the engine of a process that is just ending may keep its data path locked.
_LOCKED_SECONDS = 20.0
_opened: set[Path] = set()
# What runs the second of two queries that are asked at the same time.
_seconds = ThreadPoolExecutor(16, thread_name_prefix="clickhouse-second")

# What goes wrong is said by those who ask, once, and without a plate.
for _name in ("clickhouse_connect", "urllib3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class ClickHouse:
    """Where ClickHouse is. Made by `at`; `open` gives clients.

    `database` holds the pointer to the live projection; the projections lie in databases whose
    names begin with it. `cluster` is the cluster that they are spread over, or empty.
    """

    database: str
    options: Mapping[str, Any]
    cluster: str = ""

    @classmethod
    def at(cls, dsn: str, cluster: str = "") -> "ClickHouse":
        """Reads a DSN: chdb:///PATH or http(s)://user:password@host:port/database.

        `?database=NAME` sets the name for chDB (default "ring"). InvalidRequest on any other, and
        on a cluster that can't be.
        """
        try:
            url = urlsplit(dsn)
            port = url.port
        except ValueError:
            # Not what the library says: it may take a part of the password for the port.
            raise InvalidRequest(
                "RING_CLICKHOUSE has no port, or no host, that could be: write "
                "http(s)://user:password@host:port/database, and in a password %40 for @, %3A "
                "for :, %2F for /, %3F for ?, %23 for # and %25 for %"
            ) from None
        if dsn.startswith("chdb:///") and len(url.path) > 1:
            path = unquote(url.path.removeprefix("/"))
            database = parse_qs(url.query).get("database", ["ring"])[0]
            options: dict[str, Any] = {"interface": "chdb", "path": path}
        elif url.scheme in ("http", "https") and url.hostname:
            database = url.path.strip("/") or "ring"
            options = {
                "interface": url.scheme,
                "host": url.hostname,
                "port": port or (8443 if url.scheme == "https" else 8123),
                "username": unquote(url.username or "default"),
                "password": unquote(url.password or ""),
                # In the body of the request: what stands in an address ends up in access logs.
                "form_encode_query_params": True,
                "autogenerate_session_id": False,
                "connect_timeout": _CONNECT_SECONDS,
            }
        else:
            raise InvalidRequest(
                "RING_CLICKHOUSE is not supported: use chdb:///PATH (an absolute path has four "
                "slashes: chdb:////var/lib/ring/clickhouse) or "
                "http(s)://user:password@host:port/database"
            )
        if not _DATABASE.fullmatch(database):
            raise InvalidRequest(
                f"RING_CLICKHOUSE names the database {database!r}: 1 to 48 letters, digits and "
                "underscores are needed"
            )
        if cluster and url.scheme == "chdb":
            raise InvalidRequest(
                "RING_CLICKHOUSE_CLUSTER needs a ClickHouse server: set RING_CLICKHOUSE to "
                "http(s)://user:password@host:port/database, or leave the cluster out"
            )
        if cluster and not _CLUSTER.fullmatch(cluster):
            raise InvalidRequest(
                f"RING_CLICKHOUSE_CLUSTER is {cluster!r}: a name as in the servers' remote_servers "
                "is needed, of letters, digits, '_', '.' and '-'"
            )
        return cls(database, options, cluster)

    @property
    def place(self) -> str:
        """What holds the projections, as an operator knows it; no password."""
        if self.embedded:
            return f"the folder {self.options['path']}"
        return f"the databases {self.database} and {self.database}_*"

    @property
    def embedded(self) -> bool:
        """True for chDB: this process alone has the data."""
        return bool(self.options["interface"] == "chdb")

    def open(self, database: str | None = None) -> "Client":
        """A new client, on a database that must exist, or on none.

        Waits while another process that is ending has the data path; Unavailable where it stays.
        """
        if self.embedded:
            _wait_for_lock(Path(self.options["path"]))
        return Client(self._connect, database, self.cluster)

    def _connect(self) -> Any:
        settings = _SETTINGS | (_CLUSTER_SETTINGS if self.cluster else {})
        return clickhouse_connect.get_client(**self.options, tz_mode="aware", settings=settings)


def _wait_for_lock(path: Path) -> None:
    # The engine holds a lock on this file, and complains at length where another has it. Within
    # this process the lock is the engine's own, and counts as free.
    try:
        path.mkdir(parents=True, exist_ok=True)
        real = path.resolve()
        if real in _opened:
            return
        file = (real / "status").open("ab")
    except OSError as error:
        raise Unavailable(
            f"RING_CLICKHOUSE: the folder {path} can't be used ({error.strerror}): let this user "
            "write there, or name another"
        ) from None
    with file:
        until = time.monotonic() + _LOCKED_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unavailable(
                        f"another process has ClickHouse's data in {path} open: end it, or give "
                        "this server a data directory of its own"
                    ) from None
                time.sleep(0.1)
            else:
                break
    _opened.add(real)


class Client:
    """What the projections need of a client: named statements, on one database at a time."""

    def __init__(
        self, connect: Callable[[], Any], database: str | None = None, cluster: str = ""
    ) -> None:
        self._connect = connect
        self._raw = connect()
        # For what is asked at the same time; made when it is first needed.
        self._second: Client | None = None
        self.cluster = cluster
        self.use(database)

    @property
    def database(self) -> str:
        """The database that unqualified names are looked up in."""
        return str(self._raw.database)

    def use(self, database: str | None) -> None:
        """Sets the database that unqualified names are looked up in; None: the user's own."""
        self._raw.database = database

    def rows(self, name: str, **parameters: Any) -> Sequence[Row]:
        """The result of a query, e.g. "queries/flows"."""
        return list(self._ask(name, parameters).result_rows)

    @contextmanager
    def meanwhile(self, work: Callable[["Client"], _T]) -> Iterator[Future[_T]]:
        """Work on another client, while this one is asked: done when the block ends.

        Most of a small query's time is its planning, which takes one core: two take as long as one.
        """
        if self._second is None:
            self._second = Client(self._connect, cluster=self.cluster)
        self._second.use(self.database)
        asked = _seconds.submit(work, self._second)
        try:
            yield asked
        finally:
            wait([asked])

    def named_rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """As `rows`, each with its columns' names."""
        return list(self._ask(name, parameters).named_results())

    def arrow(self, name: str, **parameters: Any) -> Any:
        """The result of a query, as a pyarrow.Table."""
        text, fitting = in_pieces(statement(name, self.cluster), parameters)
        return self._raw.query_arrow(text, parameters=fitting or None)

    def _ask(self, name: str, parameters: Mapping[str, Any]) -> Any:
        text, fitting = in_pieces(statement(name, self.cluster), parameters)
        return self._raw.query(text, parameters=fitting or None)

    def run(self, name: str, **parameters: Any) -> None:
        """Executes the statements of a file, which have no result."""
        for text in statements(name, self.cluster):
            self.execute(text, **parameters)

    def execute(self, text: str, **parameters: Any) -> None:
        """Executes the text of a statement."""
        self._raw.command(text, parameters=parameters or None)

    def insert(self, table: str, arrow_table: Any) -> None:
        """Inserts a pyarrow.Table whose columns are named as the table's."""
        self._raw.insert_arrow(table, arrow_table, database=self._raw.database)

    def close(self) -> None:
        """Closes the client."""
        self._raw.close()
        if self._second is not None:
            self._second.close()


class Readers:
    """A few clients for questions, all on the live projection's database."""

    def __init__(self, clickhouse: ClickHouse, size: int, database: str) -> None:
        self._database = database
        self._clients = [clickhouse.open(database) for _ in range(size)]
        self._free: queue.SimpleQueue[Client] = queue.SimpleQueue()
        for client in self._clients:
            self._free.put(client)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client that nobody else uses meanwhile. Blocks until one is free."""
        client = self._free.get()
        try:
            client.use(self._database)
            yield client
        finally:
            self._free.put(client)

    def move(self, database: str) -> None:
        """From now on questions are answered from another database.

        Returns once no question uses the one before: it may then be dropped.
        """
        self._database = database
        taken = [self._free.get() for _ in self._clients]
        for client in taken:
            self._free.put(client)

    def close(self) -> None:
        """Closes the clients, once each is free."""
        for _ in self._clients:
            self._free.get().close()
