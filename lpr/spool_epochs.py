"""The epochs of a spool: which one new reads go to, and how far it has counted.

Always true here: the counter never goes back within an epoch; where a spool may be a copy or
restored, a new epoch begins; a change that fails leaves everything as it was. Not safe for threads
by itself: the spool guards it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from lpr.errors import SpoolError
from lpr.spool_file import SpoolFile
from lpr.spool_identity import identity, new_witness
from lpr.spool_room import Room

FEW = 50
"""Reads that are moved at a time: what they leave makes room for the next ones."""
MOVING = 1024
"""Pages beyond the limit that moving reads may take: room for a few."""
FOR_EVER = 2**63 - 1


class Epochs:
    """The current epoch (uuid, number in the file, last sequence given), and the ways to another.

    `recognise` comes first, in a transaction.
    """

    def __init__(self, file: SpoolFile, room: Room) -> None:
        self._file = file
        self._room = room
        self.number, self.uuid, self.last_sequence = 0, "", 0

    def recognise(self, reader_id: str, last_time: str) -> None:
        """Finds the current epoch, or begins one where the counter can't be trusted.

        last_time: the witness of the opening before this one. Raises SpoolError where the spool is
        another reader's.
        """
        folder = self._file.path.parent
        owner = self._file.run("get_note", key="reader").fetchone()
        if owner is not None and owner[0] != reader_id:
            raise SpoolError(
                f"the spool {folder} belongs to reader {owner[0]}; "
                f"give {reader_id} another folder with LPR_SPOOL"
            )
        self._file.run("set_note", key="reader", value=reader_id)
        known = self._file.run("get_note", key="identity").fetchone()
        here = identity(self._file.path, last_time)
        current = self._file.run("current_epoch").fetchone()
        if current is None:
            self._create("new spool")
        elif known is None or known[0] != here:
            self._create("restored or copied spool")
        elif self._file.run("uncounted").fetchone()[0]:
            self._create("counter behind its reads")
        else:
            self._adopt(*current)
        self._file.run("repair_counters")
        self._file.run("prune_epochs")
        token = new_witness(folder)
        self._file.run("set_note", key="identity", value=identity(self._file.path, token))

    def number_of(self, epoch: str) -> int:
        """An epoch's number in the file. Raises SpoolError where it is unknown."""
        if epoch == self.uuid:
            return self.number
        row = self._file.run("epoch", uuid=epoch).fetchone()
        if row is None:
            raise SpoolError(f"the spool {self._file.path.parent} has no epoch {epoch}")
        return int(row[0])

    def start(self, reason: str) -> None:
        """Begins a new epoch."""
        self._change(lambda: self._create(reason))

    def move(self, epoch: str, reason: str) -> None:
        """Gives the reads of an epoch new sequences in the current one, in order.

        Where it is the current one, a new one is begun first.
        """
        number = self.number_of(epoch)

        def move() -> None:
            if number == self.number:
                self._create(reason)
            while step := self._file.run(
                "boundary", epoch=number, upto=FOR_EVER, most=FEW
            ).fetchone()[0]:
                self.last_sequence += self._file.run(
                    "move",
                    epoch=number,
                    upto=step,
                    target=self.number,
                    after=self.last_sequence,
                ).rowcount
                self._file.run("forget", epoch=number, upto=step)
            self._file.run("set_last_sequence", epoch=self.number, last_sequence=self.last_sequence)

        self._change(move)

    # ---- within ------------------------------------------------------------

    def _change(self, change: Callable[[], None]) -> None:
        """It may go beyond the limit a little: without that a full spool could be stuck."""
        before = self.number, self.uuid, self.last_sequence

        def work() -> None:
            self._adopt(*before)
            change()

        try:
            self._room.write_less(work, slack=MOVING)
        except BaseException:
            self._adopt(*before)
            raise

    def _create(self, reason: str) -> None:
        self._file.run(
            "create_epoch",
            uuid=str(uuid.uuid4()),
            reason=reason,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._adopt(*self._file.run("current_epoch").fetchone())

    def _adopt(self, number: int, name: str, last_sequence: int) -> None:
        self.number, self.uuid, self.last_sequence = number, name, last_sequence
