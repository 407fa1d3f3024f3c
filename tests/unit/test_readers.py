"""What is heard of readers is bounded, whatever they say."""

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
