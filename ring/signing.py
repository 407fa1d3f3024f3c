"""Secrets of webhooks, and signatures made with them.

Always true here: no secret is stored. Each is worked out from one key, which lies in a file of its
own, readable by its owner alone, and in neither the event log nor its backups.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_BYTES = 32
_DIGEST_BYTES = 8


def key_in(path: Path) -> bytes:
    """The key that a file holds; made where there is none."""
    if not path.exists():
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    return path.read_bytes()


def secret_of(key: bytes, webhook_id: str) -> str:
    """A webhook's secret, as its receiver is told it."""
    return "whsec_" + hmac.new(key, f"webhook:{webhook_id}".encode(), hashlib.sha256).hexdigest()


def digest_of(secret: str) -> bytes:
    """What may be stored of a secret, to know it again."""
    return hashlib.sha256(secret.encode()).digest()[:_DIGEST_BYTES]


def signature(secret: str, seconds: int, body: bytes) -> str:
    """The header Ring-Signature of a body that is sent at a time, seconds since 1970."""
    signed = str(seconds).encode() + b"." + body
    return f"t={seconds},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
