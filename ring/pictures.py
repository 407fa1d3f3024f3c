"""Pictures of plates, in a folder, each named by what is in it.

Always true here: a picture has its final name only once it is on the disk whole, so a name that
is there can be trusted; what a crash left half written has another name and is swept at start.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from ring.errors import InvalidRequest

MAX_BYTES = 256 * 1024
_PARTIAL = ".partial"


class Pictures:
    """A folder of JPEGs by SHA-256, two levels deep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(f"*/*{_PARTIAL}"):
            partial.unlink(missing_ok=True)

    def store(self, sha256: bytes, jpeg: bytes) -> None:
        """Durable once it returns. InvalidRequest where it will never be stored."""
        if len(jpeg) > MAX_BYTES:
            raise InvalidRequest(f"the picture has {len(jpeg)} bytes: at most {MAX_BYTES} are kept")
        if hashlib.sha256(jpeg).digest() != sha256:
            raise InvalidRequest("the picture is not what its hash says")
        path = self._path(sha256)
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid4().hex}{_PARTIAL}")
        with partial.open("wb") as file:
            file.write(jpeg)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def load(self, sha256: bytes) -> bytes | None:
        """A stored picture, or None."""
        try:
            return self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None

    def paths(self) -> Iterator[str]:
        """Every picture's path below the folder."""
        return (str(path.relative_to(self.folder)) for path in self.folder.glob("*/*.jpg"))

    def _path(self, sha256: bytes) -> Path:
        name = sha256.hex()
        return self.folder / name[:2] / f"{name}.jpg"
