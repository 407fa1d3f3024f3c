"""What readers say was acknowledged to them: what is kept of it, and what is told."""

from proto.ring.v1.operations_pb2 import EpochAccount, ReconcileProgress
from ring.rpc.operations import note_lost
from ring.rpc.readers import Readers


def test_what_was_lost_is_kept_of_a_readers_latest_epochs() -> None:
    readers = Readers()
    readers.resumed("other", "epoch", 1, 5)
    for number in range(100):
        readers.resumed("r1", f"epoch-{number}", 3, 2**64 - 1)
    lost = readers.lost()
    assert lost.pop(("other", "epoch")) == (1, 5)
    assert list(lost) == [("r1", f"epoch-{number}") for number in range(84, 100)]
    readers.resumed("r1", "epoch-99", 7, 7)
    assert ("r1", "epoch-99") not in readers.lost()


def test_what_was_lost_is_no_complete_account() -> None:
    account = EpochAccount(reader_id="r1", epoch="e", last_sequence=8, stored=8, projected=8)
    said = ReconcileProgress(accounts=[account], complete=True)
    note_lost(said, {("r1", "e"): (7, 9)})
    assert said.complete  # a read came since: what is missing is a gap in the log
    note_lost(said, {("r1", "e"): (8, 10), ("r0", "f"): (0, 3)})
    assert not said.complete
    assert [(a.reader_id, a.missing) for a in said.accounts] == [("r0", 3), ("r1", 2)]
