"""The reads on disk, from before anything else happens to them until the server has them.

Always true here:
 - a read is durable (SQLite, WAL, synchronous=FULL) when `append` returns;
 - a sequence is never given twice within an epoch: the counter moves in the transaction that
   stores the reads, and never back. Where that can't be proven, a new epoch begins;
 - a read leaves the spool only through `forget`, which is told what the server acknowledged;
 - where there is no room, waiting pictures go first, oldest first, and reads never;
 - one process at a time has a spool open, and any thread of it may call.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lpr.errors import SpoolError, SpoolFullError
from lpr.spool_epochs import FOR_EVER, Epochs
from lpr.spool_file import Epoch, SpoolFile, epochs_of
from lpr.spool_identity import witness
from lpr.spool_room import Room
from proto.ring.v1.ingest_pb2 import PlateRead

PICTURE_LIMIT = 256 * 1024
"""Bytes of a picture, by the protocol."""
READ_LIMIT = 64 * 1024
"""Bytes of one read: far above any real one."""
BATCH_READS, BATCH_BYTES = 1000, 3 * 1024 * 1024
"""Limits of a batch, by the protocol."""
OVERHEAD = 24
"""Bytes that a read's frame and sequence add to its body in a batch, at most."""
FEW = 50
"""Reads that are forgotten at a time on a full disk."""
READER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Appended:
    """Where reads went: their epoch, and the first and last sequence (last < first: none)."""

    epoch: str
    first: int
    last: int


class Spool:
    """A reader's spool in a folder, made where there is none.

    picture_bytes: the most that waiting pictures may take; beyond it the oldest go, reads never.
    max_bytes: the most that its file may take (a write-ahead file of a few MiB comes on top);
    None: as much as the disk has. Raises SpoolError where it is in use, another reader's, or
    damaged, SpoolFullError where there is no room even to open it.
    """

    def __init__(
        self,
        path: Path | str,
        reader_id: str,
        *,
        picture_bytes: int = 512 * 1024 * 1024,
        max_bytes: int | None = None,
    ) -> None:
        if not READER_ID.fullmatch(reader_id):
            raise SpoolError(
                f"{reader_id!r} is no reader id; use 1 to 64 of letters, digits and . _ : -"
            )
        self.path = Path(path)
        self.reader_id = reader_id
        self._guard = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self.spooled = 0
        """Reads taken since the spool was opened."""
        self._file = SpoolFile(self.path)
        self._room = Room(self._file, picture_bytes=picture_bytes, max_bytes=max_bytes)
        self._epochs = Epochs(self._file, self._room)
        try:
            last_time = witness(self.path)
            self._room.write(lambda: self._epochs.recognise(reader_id, last_time))
            self._room.restrict()
            self._depth = int(self._file.run("depth").fetchone()[0])
            self.last_picture = int(self._file.run("last_picture").fetchone()[0])
            """Place of the newest picture ever waiting here; only grows."""
        except BaseException:
            self._file.close()
            raise

    # ---- reads -------------------------------------------------------------

    def append(self, reads: Sequence[PlateRead], pictures: Iterable[bytes] = ()) -> Appended:
        """Stores reads and JPEG pictures in one durable transaction, in the order given.

        The reads' own sequence is ignored. Where there is room for the reads alone, the pictures
        are dropped. Raises SpoolFullError where there is no room, ValueError on a read over
        64 KiB or a picture over 256 KiB; then nothing is stored.
        """
        bodies = [_body(read) for read in reads]
        shots = [(hashlib.sha256(jpeg).digest(), jpeg) for jpeg in pictures]
        if any(len(jpeg) > PICTURE_LIMIT for _, jpeg in shots):
            raise ValueError("a picture is over 256 KiB")
        with self._guard:
            first = self._epochs.last_sequence + 1
            last = self._epochs.last_sequence + len(bodies)
            try:
                self._room.write(lambda: self._store(first, bodies, shots))
            except SpoolFullError:
                if not shots or not bodies:
                    raise
                self._room.write(lambda: self._store(first, bodies, []))
                self._room.gone(len(shots))
            if shots:
                newest = int(self._file.run("last_picture").fetchone()[0])
                self.last_picture = max(self.last_picture, newest)
            self._epochs.last_sequence = last
            self._depth += len(bodies)
            self.spooled += len(bodies)
            where = Appended(self._epochs.uuid, first, last)
            listeners = list(self._listeners)
        for listener in listeners:
            listener()
        return where

    def pending(
        self, epoch: str, after: int = 0, upto: int = FOR_EVER, most: int = BATCH_READS
    ) -> list[PlateRead]:
        """Reads of an epoch with after < sequence <= upto, in order, as many as fit a batch."""
        with self._guard:
            rows = self._file.run(
                "pending", epoch=self._epochs.number_of(epoch), after=after, upto=upto, most=most
            )
            reads: list[PlateRead] = []
            size = 0
            for sequence, body in rows:
                size += len(body) + OVERHEAD
                if size > BATCH_BYTES and reads:
                    break
                read = PlateRead.FromString(body)
                read.sequence = sequence
                reads.append(read)
            return reads

    def forget(self, epoch: str, upto: int) -> int:
        """Drops the reads the server acknowledged; returns how many."""
        with self._guard:
            try:
                gone = self._forget(epoch, upto)
            except SpoolFullError:
                # What is removed is overwritten, and that has to be written first: less at a time.
                gone = 0
                while step := self._file.run(
                    "boundary", epoch=self._epochs.number_of(epoch), upto=upto, most=FEW
                ).fetchone()[0]:
                    gone += self._forget(epoch, step)
            self._room.recover()
            return gone

    def _forget(self, epoch: str, upto: int) -> int:
        number = self._epochs.number_of(epoch)

        def drop() -> int:
            self._file.run("set_acknowledged", epoch=number, upto=upto)
            return self._file.run("forget", epoch=number, upto=upto).rowcount

        gone = self._room.write_less(drop)
        self._depth -= gone
        return gone

    def depth(self) -> int:
        """Reads that are not acknowledged yet, of all epochs."""
        return self._depth

    # ---- epochs ------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """UUID of the epoch that new reads go to."""
        return self._epochs.uuid

    @property
    def last_sequence(self) -> int:
        """The last sequence given in the current epoch; 0: none."""
        return self._epochs.last_sequence

    def last_sequence_of(self, epoch: str) -> int:
        """The last sequence given in an epoch; 0: none."""
        with self._guard:
            if epoch == self._epochs.uuid:
                return self._epochs.last_sequence
            return int(self._file.run("epoch", uuid=epoch).fetchone()[2])

    def acknowledged_of(self, epoch: str) -> int:
        """The last sequence of an epoch that was acknowledged; 0: none."""
        return next((e.acknowledged for e in self.epochs() if e.uuid == epoch), 0)

    def oldest_epoch_with_reads(self) -> str | None:
        """The epoch to deliver first, or None where nothing waits."""
        with self._guard:
            row = self._file.run("oldest_with_reads").fetchone()
            return str(row[0]) if row else None

    def epochs_with_reads(self) -> int:
        """Epochs of which something is not acknowledged."""
        with self._guard:
            return int(self._file.run("epochs_with_reads").fetchone()[0])

    def epochs(self) -> list[Epoch]:
        """Every epoch that is still known, oldest first."""
        with self._guard:
            return epochs_of(self._file.run("epochs"))

    def start_epoch(self, reason: str) -> str:
        """New reads go to a new epoch from now on; returns its UUID."""
        with self._guard:
            self._epochs.start(reason)
            return self._epochs.uuid

    def move_to_new_epoch(self, epoch: str, reason: str) -> str:
        """Gives what waits in an epoch new sequences in the current one, in order.

        Where `epoch` is the current one, a new one is begun first. One transaction: a crash leaves
        each read in exactly one epoch. Returns the UUID of the epoch they are now in.
        """
        with self._guard:
            self._epochs.move(epoch, reason)
            return self._epochs.uuid

    # ---- pictures ----------------------------------------------------------

    def pictures(self, after: int = 0, most: int = 1) -> list[tuple[int, bytes, bytes]]:
        """Waiting pictures, oldest first: (place, sha256, jpeg) with place > after."""
        with self._guard:
            return list(self._file.run("pictures", after=after, most=most))

    def picture_count(self) -> int:
        """Pictures that wait to be delivered."""
        with self._guard:
            return int(self._file.run("picture_totals").fetchone()[0])

    def pictures_dropped(self) -> int:
        """Pictures that went undelivered, for want of room, since the spool was opened."""
        return self._room.dropped

    def forget_pictures(self, hashes: Iterable[bytes]) -> None:
        """Drops pictures that the server has stored, or never will."""
        rows = [{"sha256": sha256} for sha256 in hashes]
        with self._guard:
            self._room.write_less(lambda: self._file.many("forget_picture", rows))

    # ---- the rest ----------------------------------------------------------

    def note(self, key: str, value: str) -> None:
        """Keeps a fact for `lpr status`, such as the clock's offset; not where there is no room."""
        with self._guard, suppress(SpoolFullError), self._file.transaction():
            self._file.run("set_note", key=key, value=value)

    def on_append(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` after each append, from the thread that appended. Returns an undo."""
        with self._guard:
            self._listeners.append(listener)

        def undo() -> None:
            with self._guard, suppress(ValueError):
                self._listeners.remove(listener)

        return undo

    def close(self) -> None:
        """Closes the spool and lets another process have it."""
        with self._guard:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- within ------------------------------------------------------------

    def _store(self, first: int, bodies: list[bytes], shots: list[tuple[bytes, bytes]]) -> None:
        rows = [
            {"epoch": self._epochs.number, "sequence": sequence, "body": body}
            for sequence, body in enumerate(bodies, start=first)
        ]
        self._file.many("add_read", rows)
        self._file.run(
            "set_last_sequence", epoch=self._epochs.number, last_sequence=first + len(bodies) - 1
        )
        for sha256, jpeg in shots:
            self._file.run("add_picture", sha256=sha256, jpeg=jpeg)
        if shots:
            self._room.trim_pictures()


def _body(read: PlateRead) -> bytes:
    """The read's bytes without its sequence."""
    if read.sequence:
        bare = PlateRead()
        bare.CopyFrom(read)
        bare.ClearField("sequence")
        read = bare
    body = read.SerializeToString(deterministic=True)
    if len(body) > READ_LIMIT:
        raise ValueError("a read is over 64 KiB")
    return body
