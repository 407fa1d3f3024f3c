"""Which entries have to be confirmed."""

from ring.frequency import MOST_A_DAY, Doubt, Frequencies


def test_what_is_read_too_often_is_doubted_and_an_unknown_pattern_too() -> None:
    known = Frequencies()
    assert known.doubt("AB123CD") is None
    assert known.doubt("AB*") == Doubt(None)
    known.plates = {"AB123CD": MOST_A_DAY + 1, "AB124CD": MOST_A_DAY}
    known.patterns = {"AB*": MOST_A_DAY + 1, "AB?": MOST_A_DAY}
    assert known.doubt("AB123CD") == Doubt(MOST_A_DAY + 1)
    assert known.doubt("AB*") == Doubt(MOST_A_DAY + 1)
    assert [known.doubt(p) for p in ("AB124CD", "AB?", "CC111CC")] == [None] * 3
