"""Event store adapters behind one port, chosen by a DSN."""

from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import Environment

from ring.errors import InvalidRequest
from ring.store.closing import closed_after
from ring.store.envelope import EnvelopeMapper, UnreadableEventError, seal, unseal
from ring.store.log import EventLog, Growth

__all__ = [
    "EnvelopeMapper",
    "EventLog",
    "Growth",
    "UnreadableEventError",
    "closed_after",
    "open_log",
    "persistence_env",
    "seal",
    "unseal",
]

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def persistence_env(dsn: str) -> dict[str, str]:
    """The environment that `eventsourcing` needs for a DSN. InvalidRequest on an unknown one."""
    if dsn.startswith(_SQLITE) and len(dsn) > len(_SQLITE):
        return {
            "PERSISTENCE_MODULE": "ring.store.sqlite",
            "SQLITE_DBNAME": dsn.removeprefix(_SQLITE),
        }
    if dsn.startswith(_POSTGRES):
        # Imported when it is wanted: it brings the database's client library.
        from ring.store import postgres

        return postgres.persistence_env(dsn)
    raise InvalidRequest(
        "RING_EVENT_STORE is not supported: use sqlite:///PATH (an absolute path has four "
        "slashes: sqlite:////var/lib/ring/events.sqlite) or postgresql://USER:PASSWORD@HOST/NAME"
    )


def open_log(dsn: str) -> EventLog:
    """Opens a log that exists or makes a new one, without the application around it."""
    environment = Environment("ring", persistence_env(dsn))
    log = InfrastructureFactory.construct(environment).process_recorder()
    assert isinstance(log, EventLog)
    return log
