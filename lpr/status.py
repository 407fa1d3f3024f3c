"""What `lpr status` tells: the spools on this machine, and how each one's camera fares.

Always true here: a running reader leaves word of its camera in its spool every EVERY seconds,
whether or not a server is there; whoever asks reads files alone and disturbs nobody.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from lpr.session import Session
from lpr.spool import Spool
from lpr.spool_file import SpoolState

NOTE = "camera"
EVERY = 5.0
STALE = 20.0
"""Seconds after which a reader that left no word does not run any more, whatever it said."""


@dataclass(frozen=True)
class Camera:
    """How looking at a source fares. at: when this was written, UTC."""

    source: str
    running: bool
    at: str
    frames: int
    frames_per_second: float
    dropped_frames: int
    reopened: int

    @classmethod
    def of(cls, session: Session, *, running: bool) -> Camera:
        """As it is now."""
        health = session.health()
        return cls(
            session.name,
            running,
            datetime.now(UTC).isoformat(timespec="seconds"),
            session.frames,
            round(health.frames_per_second, 1),
            health.dropped_frames,
            session.reopened,
        )

    @classmethod
    def kept(cls, state: SpoolState) -> Camera | None:
        """What a reader has left in its spool; None where it left nothing."""
        if NOTE not in state.notes:
            return None
        camera = cls(**json.loads(state.notes[NOTE]))
        age = (datetime.now(UTC) - datetime.fromisoformat(camera.at)).total_seconds()
        return cls(**(asdict(camera) | {"running": camera.running and age <= STALE}))

    def line(self) -> str:
        """For a person."""
        looks = f"looks at {self.source}" if self.running else f"last looked at {self.source}"
        return (
            f"{looks}, {self.frames_per_second:g} frames/s; {self.frames} frames seen, "
            f"{self.dropped_frames} dropped, opened again {self.reopened} times ({self.at})"
        )


@contextmanager
def noting(session: Session, spool: Spool, every: float = EVERY) -> Iterator[None]:
    """Leaves word of the camera while it lasts, and at the end."""
    if not session.name:
        yield
        return
    done = threading.Event()

    def note(running: bool) -> None:
        spool.note(NOTE, json.dumps(asdict(Camera.of(session, running=running))))

    def keep() -> None:
        note(True)
        while not done.wait(every):
            note(True)

    thread = threading.Thread(target=keep, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        note(False)


def fields(state: SpoolState) -> dict[str, Any]:
    """A spool and its camera for programs."""
    camera = Camera.kept(state)
    offset = state.notes.get("clock_offset_seconds")
    return {
        "reader": state.notes.get("reader", ""),
        "path": str(state.path),
        "depth": state.depth,
        "pictures": state.pictures,
        "acknowledged_at": state.notes.get("acknowledged_at", ""),
        "clock_offset_seconds": float(offset) if offset else None,
        "camera": asdict(camera) if camera else None,
        "epochs": [
            {
                "epoch": epoch.uuid,
                "current": epoch.current,
                "created_at": epoch.created_at,
                "reason": epoch.reason,
                "last_sequence": epoch.last_sequence,
                "acknowledged": epoch.acknowledged,
                "waiting": epoch.waiting,
            }
            for epoch in state.epochs
        ],
    }


COLUMNS = ("epoch", "begun", "why", "last", "acknowledged", "waiting")


def rows(state: SpoolState) -> list[tuple[str, ...]]:
    """A spool's epochs for a person."""
    return [
        (
            epoch.uuid + (" *" if epoch.current else ""),
            epoch.created_at,
            epoch.reason,
            str(epoch.last_sequence),
            str(epoch.acknowledged),
            str(epoch.waiting),
        )
        for epoch in state.epochs
    ]


def title(state: SpoolState) -> str:
    """What is said above them."""
    offset, camera = state.notes.get("clock_offset_seconds", ""), Camera.kept(state)
    return (
        f"{state.notes.get('reader', '')}: {state.depth} reads and {state.pictures} "
        f"pictures wait; last acknowledged {state.notes.get('acknowledged_at', 'never')}"
        + (f"; the server's clock is {float(offset):+.3f} s from ours" if offset else "")
        + (f"\n{camera.line()}" if camera else "")
    )
