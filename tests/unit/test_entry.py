"""What an entry may be, in its one form, and how people write its hours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1.alert_pb2 import HotlistEntry, WeeklyHours
from ring.cli.watch_hours import parse_hours, show_hours
from ring.entry import checked_entry, entry_plate_of, is_pattern
from ring.errors import InvalidRequest

hours = st.builds(
    WeeklyHours,
    weekdays=st.lists(st.integers(1, 7), max_size=7),
    from_minute=st.integers(0, 1439),
    to_minute=st.integers(0, 1440),
)


def minutes_of(some: WeeklyHours) -> set[int]:
    """The minutes of a week, from Monday 00:00, that the hours cover."""
    length = (some.to_minute - some.from_minute) % 1440 or 1440
    starts = [(day - 1) * 1440 + some.from_minute for day in some.weekdays or range(1, 8)]
    return {(start + step) % (7 * 1440) for start in starts for step in range(length)}


@settings(max_examples=100)
@given(st.lists(hours, min_size=1, max_size=3))
def test_hours_in_their_one_form_and_as_people_write_them_mean_the_same(some) -> None:
    checked = checked_entry(HotlistEntry(plate="AB123CD", hours=some))
    assert set().union(*map(minutes_of, checked.hours)) == set().union(*map(minutes_of, some))
    assert checked_entry(checked) == checked
    again = HotlistEntry(plate="AB123CD", hours=parse_hours(show_hours(checked.hours)))
    assert checked_entry(again) == checked


@pytest.mark.parametrize(
    ("text", "plate"),
    [
        ("ab-123 cd", "AB123CD"),
        ("ab?2*", "AB?2*"),
        ("**a**", "*A*"),
        ("A1?????????*", "A1?????????*"),
    ],
)
def test_a_plate_or_a_pattern_has_one_form(text: str, plate: str) -> None:
    assert entry_plate_of(text) == plate
    assert is_pattern(plate) is ("?" in plate or "*" in plate)


@pytest.mark.parametrize(
    "text", ["", "?", "*", "A", "A*Ñ", "A%*", "ABCDEFGHIJKL?", "ABCDEFGHIJKLM"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"pattern|plate"):
        entry_plate_of(text)


def test_an_entry_has_one_form() -> None:
    entry = HotlistEntry(plate="ab 123", reason=" stolen\n", entry_id="mine")
    entry.checkpoints.extend(["GP-02", "GP-01", "GP-02"])
    entry.valid_from.nanos = 1_999
    entry.hours.add(weekdays=range(1, 8), to_minute=5)
    entry.hours.add(weekdays=[2, 1, 2], to_minute=5)
    checked = checked_entry(entry)
    assert (checked.plate, checked.reason, checked.entry_id) == ("AB123", "stolen", "")
    assert checked.valid_from.nanos == 1_000
    assert list(checked.checkpoints) == ["GP-01", "GP-02"]
    assert [list(h.weekdays) for h in checked.hours] == [[], [1, 2]]


def times(begin: int, end: int) -> HotlistEntry:
    entry = HotlistEntry(plate="AB123CD")
    entry.valid_from.seconds, entry.expires_at.seconds = begin, end
    return entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (times(5, 5), "expires before"),
        (times(-(10**12), 5), "valid_from is not a time"),
        (times(5, 10**12), "expires_at is not a time"),
        (HotlistEntry(plate="AB123", reason="a\0b"), "NUL"),
        (HotlistEntry(plate="AB123", reason="ñ" * 8_200), "longer than 16 KiB"),
        (HotlistEntry(plate="AB123", checkpoints=["G P"]), "not a checkpoint"),
        (HotlistEntry(plate="AB123", hours=[WeeklyHours(weekdays=[8])]), "weekday"),
        (HotlistEntry(plate="AB123", hours=[WeeklyHours(from_minute=1440)]), "minute"),
        (HotlistEntry(plate="AB123", hours=[WeeklyHours(to_minute=1441)]), "minute"),
    ],
)
def test_what_is_no_entry_says_why(entry: HotlistEntry, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        checked_entry(entry)


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("Mon-Fri 22:00-06:00", [1, 2, 3, 4, 5], 1320, 360),
        ("sat, SUN 0:00-24:00", [6, 7], 0, 1440),
        ("Fri-Mon 08:30 - 09:00", [1, 5, 6, 7], 510, 540),
        ("00:00-00:00", [], 0, 0),
    ],
)
def test_hours_as_people_write_them(text: str, days: list[int], start: int, end: int) -> None:
    (found,) = parse_hours(text)
    assert (list(found.weekdays), found.from_minute, found.to_minute) == (days, start, end)
    assert parse_hours(show_hours([found])) == [found]


@pytest.mark.parametrize(
    "text", ["", "Mon", "Mon 8-9", "Xyz 08:00-09:00", "24:00-25:00", "08:60-09:00", "08:00-09:00 |"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours|day"):
        parse_hours(text)
