"""Which of some plates' reads are misreads, asked of the tables.

Always true here: what folds is said in folding.py; a passage is a misread where every read of it
folds into another plate's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from projections.clickhouse import Client
from projections.folding import SURE, WITHIN, Read, beside, folds, one_apart
from projections.visits import PassageOf
from proto.ring.v1.events_pb2 import StoredRead
from ring.store import EventLog, unseal
from ring.values import read_id

# A slot of unsure_by_checkpoint.
_SLOT = 10_000_000
# A passage that takes longer is a long one: 5 minutes.
_MOST_SLOTS = 31
# Above every confidence.
_ANY = 2.0


def folds_beside(client: Client, log: EventLog, reads: Sequence[Read]) -> dict[Read, Read]:
    """The folds of one plate's reads, and of the reads beside them."""
    keys = beside(reads, _SLOT)
    if not keys:
        return {}
    own = [read for read in reads if read.confidence < SURE]
    rows = client.rows("queries/beside", plate=own[0].plate, keys=sorted(keys))
    return _folds(log, {*own, *(Read(*row) for row in rows)})


def note_misreads(
    client: Client, log: EventLog, passages: Mapping[str, Sequence[PassageOf]]
) -> set[str]:
    """Sets `counts` of some passages, by plate, that are misreads. The plates with any."""
    all_ = [p for own in passages.values() for p in own]
    if not all_:
        return set()
    first, last = min(p.at for p in all_), max(p.until for p in all_)
    doubtful = _doubtful(passages, reads_of(client, list(passages), first, last, below=SURE))
    folded = folds_of(client, log, [r for *_, reads in doubtful for r in reads])
    return _noted(doubtful, folded)


def note_misreads_of_many(
    client: Client, log: EventLog, passages: Mapping[str, Sequence[PassageOf]]
) -> set[str]:
    """As `note_misreads`, for a few passages each of many plates.

    One question gives their reads and those beside them; long passages are looked at by plate.
    """
    short = {plate: [p for p in own if not _is_long(p)] for plate, own in passages.items()}
    long = {plate: left for plate, own in passages.items() if (left := [*filter(_is_long, own)])}
    keys = {(p.checkpoint, slot) for own in short.values() for p in own for slot in _slots(p)}
    near = {Read(*row) for row in client.rows("queries/unsure_beside", keys=sorted(keys))}
    doubtful = _doubtful(short, near)
    folded = _folds(log, near) if doubtful else {}
    return _noted(doubtful, folded) | note_misreads(client, log, long)


def _slots(passage: PassageOf) -> range:
    """Of unsure_by_checkpoint: what bears on the folds of its reads."""
    return range((passage.at - 2 * WITHIN) // _SLOT, (passage.until + 2 * WITHIN) // _SLOT + 1)


def _is_long(passage: PassageOf) -> bool:
    return len(_slots(passage)) > _MOST_SLOTS


_Doubtful = list[tuple[str, PassageOf, list[Read]]]


def _doubtful(passages: Mapping[str, Sequence[PassageOf]], among: Iterable[Read]) -> _Doubtful:
    """Passages none of whose reads is sure, with these reads; one that is sure is no misread."""
    unsure: dict[str, list[Read]] = {}
    for read in set(among):
        if read.plate in passages:
            unsure.setdefault(read.plate, []).append(read)
    return [
        (plate, passage, reads)
        for plate, own in passages.items()
        for passage in own
        for reads in [[r for r in unsure.get(plate, ()) if _belongs(r, passage)]]
        if len(reads) == passage.reads
    ]


def _noted(doubtful: _Doubtful, folded: Mapping[Read, Read]) -> set[str]:
    misread = set()
    for plate, passage, reads in doubtful:
        if all(r in folded for r in reads):
            passage.counts = False
            misread.add(plate)
    return misread


def reads_of(
    client: Client, plates: Collection[str], first: int, last: int, *, below: float = _ANY
) -> set[Read]:
    """The reads of some plates from one instant to another, both within, less sure than `below`."""
    rows = client.rows(
        "queries/reads_of", plates=sorted(plates), start=first, last=last, below=below
    )
    return {Read(*row) for row in rows}


def folds_of(client: Client, log: EventLog, reads: Sequence[Read]) -> dict[Read, Read]:
    """Those of some reads, of any plates, that fold, with what they fold into."""
    keys = beside(reads, _SLOT)
    if not keys:
        return {}
    near = client.rows("queries/unsure_beside", keys=sorted(keys))
    folded = _folds(log, {Read(*row) for row in near})
    return {read: folded[read] for read in reads if read in folded}


def one_apart_of_each_other(plates: Iterable[str]) -> set[tuple[str, str]]:
    """All pairs, both ways."""
    # Plates that are one apart are equal once a character is left out of one or of both.
    alike: dict[str, list[str]] = {}
    for plate in plates:
        for shorter in {plate, *(plate[:n] + plate[n + 1 :] for n in range(len(plate)))}:
            alike.setdefault(shorter, []).append(plate)
    return {(a, b) for own in alike.values() for a in own for b in own if one_apart(a, b)}


def read_ids(log: EventLog, reads: Sequence[Read]) -> Mapping[tuple[str, int], str]:
    """Read ids by log and position, as far as the log still has the reads."""
    ours = sorted({r.position for r in reads if r.log == log.log_id})
    if not ours:
        return {}
    ids = {}
    for event in log.select_positions(ours):
        stored = StoredRead.FromString(unseal(event.state))
        ids[log.log_id, event.id] = str(
            read_id(stored.reader_id, stored.epoch, stored.read.sequence)
        )
    return ids


def _folds(log: EventLog, near: set[Read]) -> dict[Read, Read]:
    confidences = [r.confidence for r in near]
    if len(set(confidences)) < len(confidences):
        # Equally sure reads go by their ids, which the log alone can tell.
        ids = read_ids(log, sorted(near, key=lambda r: r.position))
        found = folds(replace(r, order=ids.get((r.log, r.position), "")) for r in near)
        return {replace(a, order=""): replace(b, order="") for a, b in found.items()}
    return folds(near)


def _belongs(read: Read, passage: PassageOf) -> bool:
    place = (passage.checkpoint, passage.direction)
    return (read.checkpoint, read.direction) == place and passage.at <= read.at <= passage.until
