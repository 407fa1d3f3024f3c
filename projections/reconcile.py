"""Did every read arrive? The log's account of each reader and epoch, against the read side's rows.

Always true here: the log is read once, in order, up to a head fixed at the start that the read side
has reached; a read counts as projected where the row of its very position is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from eventsourcing.persistence import Notification

from projections.clickhouse import Readers
from proto.ring.v1.events_pb2 import StoredRead, StoredReject
from proto.ring.v1.operations_pb2 import EpochAccount, ReconcileProgress, SequenceRun
from ring.store import EventLog, unseal
from ring.values import readmission_epoch

_PAGE = 20_000
# Positions compared with the read side at a time.
_STRETCH = 500_000
_GAPS = 100
_END = 2**63 - 1
_READ = "ring.read"
_REJECTED = "ring.read.rejected"
_CONFLICT = "ring.read.conflict"


@dataclass
class _Account:
    """One read log. Its events come in rising order of version, but for rejected late ones."""

    reader_id: str
    epoch: str
    stored: int = 0
    rejected: int = 0
    conflicts: int = 0
    projected: int = 0
    versions: list[np.ndarray] = field(default_factory=list)
    _fresh: list[int] = field(default_factory=list)

    def take(self, version: int) -> None:
        self._fresh.append(version)
        if len(self._fresh) >= _PAGE:
            self._pack()

    def _pack(self) -> None:
        self.versions.append(np.array(self._fresh, dtype=np.uint64))
        self._fresh.clear()

    def message(self) -> EpochAccount:
        self._pack()
        sequences = np.sort(np.concatenate(self.versions)).astype(np.int64)
        account = EpochAccount(
            reader_id=self.reader_id,
            epoch=self.epoch,
            stored=self.stored,
            rejected=self.rejected,
            conflicts=self.conflicts,
            projected=self.projected,
        )
        if len(sequences):
            account.first_sequence, account.last_sequence = int(sequences[0]), int(sequences[-1])
            account.missing = account.last_sequence - len(sequences)
            before = np.concatenate([np.zeros(1, dtype=np.int64), sequences[:-1]])
            for place in np.flatnonzero(sequences - before > 1)[:_GAPS]:
                account.gaps.append(
                    SequenceRun(first=int(before[place]) + 1, last=int(sequences[place]) - 1)
                )
        return account


def reconcile(log: EventLog, readers: Readers, head: int) -> Iterator[ReconcileProgress]:
    """Yields progress after each stretch; the last message has the accounts.

    The read side must have reached `head`. A readmitted read has an epoch of its own, in which only
    its sequence came: it counts as stored there, and nothing before it as missing.
    """
    accounts: dict[UUID, _Account] = {}
    by_name: dict[tuple[str, str], _Account] = {}
    readmitted: set[str] = set()
    unknown = 0
    position = 0
    while position < head:
        upto = min(position + _STRETCH, head)
        positions, owners = [], []
        for notification in _events(log, position, upto):
            topic = notification.topic
            if topic in (_READ, _REJECTED):
                id_: Any = notification.originator_id
                account = accounts.get(id_)
                if account is None:
                    account = _open(accounts, by_name, id_, topic, notification.state)
                account.take(notification.originator_version)
                if topic == _READ:
                    account.stored += 1
                    positions.append(notification.id)
                    owners.append(account)
                else:
                    account.rejected += 1
            elif topic == _CONFLICT:
                reject = StoredReject.FromString(unseal(notification.state))
                # The read that it conflicts with was stored before it.
                by_name[reject.reader_id, reject.epoch].conflicts += 1
            if topic in (_REJECTED, _CONFLICT):
                readmitted.add(_readmitted(notification.state))
        with readers.client() as client:
            rows = client.rows(
                "queries/positions_between", log=log.log_id, after=position, upto=upto
            )
        there = {row[0] for row in rows}
        for place, owner in zip(positions, owners, strict=True):
            owner.projected += place in there
        unknown += len(there.difference(positions))
        position = upto
        yield ReconcileProgress(position=position, head=head)
    unknown += _beyond(log, readers, head)
    messages = sorted(
        (account.message() for account in accounts.values()),
        key=lambda account: (account.reader_id, account.epoch),
    )
    for message in messages:
        if message.epoch in readmitted:
            message.missing = 0
            del message.gaps[:]
    complete = not unknown and all(not m.missing and m.projected == m.stored for m in messages)
    yield ReconcileProgress(
        position=head, head=head, accounts=messages, complete=complete, unknown_rows=unknown
    )


def _beyond(log: EventLog, readers: Readers, head: int) -> int:
    """How many rows there are of positions that the log has not given, or not any more."""
    with readers.client() as client:
        rows = client.rows("queries/positions_between", log=log.log_id, after=head, upto=_END)
    # Asked for later: whatever had a row by then has its event.
    last = log.head()
    return sum(row[0] > last for row in rows)


def _readmitted(state: bytes) -> str:
    """The epoch that a rejected read has if it was readmitted."""
    reject = StoredReject.FromString(unseal(state))
    read = reject.read.SerializeToString(deterministic=True)
    return readmission_epoch(reject.reader_id, reject.epoch, read)


def _events(log: EventLog, after: int, upto: int) -> Iterator[Notification]:
    while page := log.select_notifications(after, _PAGE, upto, inclusive_of_start=False):
        yield from page
        after = page[-1].id


def _open(
    accounts: dict[UUID, _Account],
    by_name: dict[tuple[str, str], _Account],
    id_: UUID,
    topic: str,
    state: bytes,
) -> _Account:
    body: StoredRead | StoredReject
    if topic == _READ:
        body = StoredRead.FromString(unseal(state))
    else:
        body = StoredReject.FromString(unseal(state))
    account = _Account(body.reader_id, body.epoch)
    accounts[id_] = by_name[account.reader_id, account.epoch] = account
    return account
