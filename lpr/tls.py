"""How the uplink proves who it is, and knows the server: TLS from PEM files.

Always true here: without a setting there is no TLS; with one, the server must prove itself; a key
never appears in a message.
"""

from __future__ import annotations

from pathlib import Path

import grpc

from lpr.errors import LprError
from lpr.settings import Settings


def credentials(settings: Settings) -> grpc.ChannelCredentials | None:
    """For the channel to the server; None: plaintext.

    LPR_TLS: also where the server's certificate is one that the whole world trusts. LPR_TLS_CA:
    who signed it otherwise. LPR_TLS_CERTIFICATE and LPR_TLS_KEY: the reader's own, for a server
    that asks. Raises LprError where a file can't be read or one of the two is missing.
    """
    own = settings.tls_certificate, settings.tls_key
    if not (settings.tls or settings.tls_ca or any(own)):
        return None
    if any(own) and not all(own):
        raise LprError(
            "give both LPR_TLS_CERTIFICATE and LPR_TLS_KEY, or neither: one needs the other"
        )
    return grpc.ssl_channel_credentials(
        _pem("LPR_TLS_CA", settings.tls_ca, "CERTIFICATE"),
        _pem("LPR_TLS_KEY", settings.tls_key, "PRIVATE KEY"),
        _pem("LPR_TLS_CERTIFICATE", settings.tls_certificate, "CERTIFICATE"),
    )


def _pem(name: str, path: Path | None, holds: str) -> bytes | None:
    """A PEM file's bytes. Else gRPC would only say that it can't connect."""
    if path is None:
        return None
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise LprError(f"{name}={path} can't be read: {error.strerror}") from error
    if f"{holds}-----".encode() not in data:
        raise LprError(f"{name}={path} holds no PEM {holds.lower()}: give the file that does")
    return data
