"""What an alert says about how the plate read becomes the entry's."""

import pytest

from ring.alert import explanation


@pytest.mark.parametrize(
    ("read", "plate", "said"),
    [
        ("AB123CD", "AB123CD", []),
        ("AB12OCD", "AB120CD", ["O→0 at 5"]),
        ("A812OCD", "AB120CD", ["8→B at 2", "O→0 at 5"]),
        ("AB12CD", "AB123CD", ["3 missing after 4"]),
        ("B123CD", "AB123CD", ["A missing at the beginning"]),
        ("AB123CDW", "AB123CD", ["W too many at 8"]),
        ("AB1W23CD", "AB123CO", ["W too many at 4", "D→O at 8"]),
        ("", "AB", ["A missing at the beginning", "B missing at the beginning"]),
    ],
)
def test_changes_are_named_with_their_place_in_the_plate_read(
    read: str, plate: str, said: list[str]
) -> None:
    assert explanation(read, plate) == said


def test_of_two_alike_either_may_be_too_many() -> None:
    assert explanation("AB1123", "AB123") in (["1 too many at 3"], ["1 too many at 4"])
