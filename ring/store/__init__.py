"""Event store adapters behind one port, chosen by a DSN."""

from ring.errors import InvalidRequest
from ring.store.envelope import EnvelopeMapper, UnreadableEventError, seal, unseal
from ring.store.log import EventLog
from ring.store.sqlite import SQLiteEventLog, datastore_of

__all__ = [
    "EnvelopeMapper",
    "EventLog",
    "UnreadableEventError",
    "open_log",
    "persistence_env",
    "seal",
    "unseal",
]

_SQLITE = "sqlite:///"


def persistence_env(dsn: str) -> dict[str, str]:
    """The environment that `eventsourcing` needs for a DSN. InvalidRequest on an unknown one."""
    if dsn.startswith(_SQLITE) and len(dsn) > len(_SQLITE):
        return {
            "PERSISTENCE_MODULE": "ring.store.sqlite",
            "SQLITE_DBNAME": dsn.removeprefix(_SQLITE),
        }
    raise InvalidRequest(
        f"RING_EVENT_STORE={dsn!r} is not supported: use sqlite:///PATH (an absolute path has "
        "four slashes: sqlite:////var/lib/ring/events.sqlite)"
    )


def open_log(dsn: str) -> EventLog:
    """Opens a log that exists or makes a new one, without the application around it."""
    env = persistence_env(dsn)
    log = SQLiteEventLog(datastore_of(env["SQLITE_DBNAME"]))
    log.create_table()
    return log
