"""How far a subscriber has come, kept across its restarts.

The file is replaced whole, after what it stands for was printed: stopped by force just between
the two, a subscriber sees that one alert again, and never misses one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ring.cli.failure import CommandError

if TYPE_CHECKING:
    from proto.ring.v1.common_pb2 import LogPosition


class Bookmark:
    """The last position of each log, in a file where one is named.

    The file: {"after": [{"log_id": "...", "position": 12}]}
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._after: dict[str, int] = {}
        if path is not None and path.exists():
            self._load(path)

    def _load(self, path: Path) -> None:
        try:
            after = json.loads(path.read_text(encoding="utf-8"))["after"]
            self._after = {str(place["log_id"]): int(place["position"]) for place in after}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"{path} is no state file of 'ring alerts': name another, or delete this one"
            ) from error

    def __bool__(self) -> bool:
        return bool(self._after)

    def positions(self) -> list[LogPosition]:
        """Where to go on: for SubscribeRequest.after."""
        from proto.ring.v1.common_pb2 import LogPosition

        return [LogPosition(log_id=log, position=place) for log, place in self._after.items()]

    def move(self, position: LogPosition) -> None:
        """Everything up to here was dealt with. Raises CommandError where it can't be kept."""
        if self._after.get(position.log_id) == position.position:
            return
        self._after[position.log_id] = position.position
        if self.path is None:
            return
        places = [{"log_id": log, "position": place} for log, place in self._after.items()]
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump({"after": places}, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise CommandError(
                f"{self.path}: cannot be written ({error.strerror}); name another --state-file"
            ) from error
