"""Tells whether a spool is the one that was here last time, or a copy of it.

Always true here: a spool counts as the same only where the machine, the folder, the database's
inode and a token that changes at every opening (kept in the database and in a file beside it) all
agree. A false alarm costs a new epoch; a copy of the whole folder back onto itself can go unseen,
and is then caught by the server, which knows how far the epoch had come.
"""

from __future__ import annotations

import json
import os
import platform
import uuid
from pathlib import Path

WITNESS = "witness"


def identity(database: Path, token: str) -> str:
    """What is recorded inside the spool, as text."""
    return json.dumps(
        {
            "machine": _machine(),
            "path": str(database.resolve()),
            "inode": database.stat().st_ino,
            "token": token,
        },
        sort_keys=True,
    )


def witness(folder: Path) -> str:
    """The token of the last opening, or empty where there is none."""
    try:
        return (folder / WITNESS).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def new_witness(folder: Path) -> str:
    """Writes a new token durably and returns it."""
    token = uuid.uuid4().hex
    fresh = folder / f"{WITNESS}.new"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / WITNESS)
    return token


def _machine() -> str:
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return platform.node()
