"""The channel to the server. Every RpcError that leaves a `connect` block is a CommandError."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ring.cli.acting import acting, agency
from ring.cli.failure import CommandError, explain

if TYPE_CHECKING:
    import grpc

    from ring.cli.settings import Settings

# An answer may be long (a year of flows): the server bounds it, not the client.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A proxy of the environment is for the web, not for a server named by its address.
    ("grpc.enable_http_proxy", 0),
)
# For streams that last: a connection that died without a word is noticed.
_KEEPALIVE = (("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000))


def address(server: str | None, settings: Settings) -> str:
    """HOST:PORT of the server to speak to. Raises CommandError where it is no such thing."""
    chosen = server or settings.server
    host, colon, port = chosen.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise CommandError(f"{chosen!r} is no server address: give --server HOST:PORT", 2)
    return chosen


@contextmanager
def connect(
    server: str | None, settings: Settings, *, keepalive: bool = False
) -> Iterator[grpc.Channel]:
    """An open channel; no connection is made before the first call."""
    target = address(server, settings)
    on_behalf_of = agency(settings.agency)
    # The library's own log lines would stand between the user and the one line that matters.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    options = (*_OPTIONS, *(_KEEPALIVE if keepalive else ()))
    with grpc.insecure_channel(target, options=options) as channel:
        try:
            yield acting(channel, on_behalf_of) if on_behalf_of else channel
        except grpc.RpcError as error:
            raise explain(error, target) from error
