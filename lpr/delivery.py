"""How reads are delivered, and what has been.

Always true here: plain values; one uplink writes them, anybody may read.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lpr.spool import Spool
    from proto.ring.v1.common_pb2 import LogPosition


@dataclass(frozen=True)
class Pace:
    """How reads are sent. Times in seconds.

    A batch goes when `size` reads wait or the first has waited `delay`; a backlog goes in batches
    of up to 1000. `patience` is how long an answer may take before the stream counts as dead.
    """

    size: int = 100
    delay: float = 0.2
    window: int = 8
    status_every: float = 5.0
    patience: float = 30.0


@dataclass(frozen=True)
class Health:
    """What the camera side tells of itself."""

    frames_per_second: float = 0.0
    dropped_frames: int = 0


def idle() -> Health:
    """The health of a reader without a camera."""
    return Health()


@dataclass
class Delivery:
    """What an uplink has achieved since it was made."""

    connected: bool = False
    streams: int = 0
    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    pictures_stored: int = 0
    pictures_rejected: int = 0
    position: LogPosition | None = None
    """At or after every read acknowledged so far."""
    clock_offset: float | None = None
    """Seconds to add to the reader's clock to have the server's."""
    progressed: float = 0.0
    """time.monotonic() of the last acknowledgement."""
    _samples: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=32), repr=False
    )

    def heard_clock(self, server_time: float, sent: float, received: float) -> None:
        """Takes a round trip (POSIX seconds); the quickest of late ones tells best."""
        self._samples.append((received - sent, server_time - (sent + received) / 2))
        self.clock_offset = min(self._samples)[1]

    def note(self, spool: Spool) -> None:
        """Leaves word in the spool for `lpr status`."""
        if self.clock_offset is not None:
            spool.note("clock_offset_seconds", f"{self.clock_offset:.3f}")
        if self.progressed:
            moment = time.time() - (time.monotonic() - self.progressed)
            spool.note(
                "acknowledged_at", datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
            )
