"""The model of what an OCR takes for what."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.confusion import CHARACTERS, Confusions, measured

COUNTS = {
    ("0", "0"): 90, ("0", "O"): 10, ("O", "O"): 100, ("B", "B"): 99, ("B", "8"): 5,
    ("8", "8"): 100, ("A", "A"): 100, ("", "1"): 3, ("I", "I"): 100, ("I", ""): 4,
}  # fmt: skip
MODEL = Confusions.of(COUNTS)
MODEL_RIGHT = 90 + 100 + 99 + 100 + 100 + 100 + len(CHARACTERS)
PLATES = st.text(alphabet="0OB8A", min_size=2, max_size=4)


def test_what_was_confused_is_likelier_than_what_was_not_and_both_ways() -> None:
    assert MODEL.likelihood("AB0", "AB0") == 1
    assert MODEL.likelihood("AB0", "ABO") == pytest.approx(10.05 / 91)
    assert MODEL.likelihood("ABO", "AB0") == pytest.approx(5.05 / 101)
    assert MODEL.likelihood("ABO", "ABA") < MODEL.likelihood("ABO", "AB0") / 50
    assert MODEL.likelihood("AB0", "A8O") == pytest.approx(5.05 / 100 * 10.05 / 91)
    assert MODEL.likelihood("AIA", "AA") > MODEL.likelihood("ABA", "AA")


@given(true=PLATES, read=PLATES)
def test_a_likelihood_is_that_of_the_likeliest_way(true: str, read: str) -> None:
    # Every way of laying one against the other, tried out.
    def best(t: str, r: str) -> float:
        if not t and not r:
            return 1.0
        ways = []
        if t:
            ways.append(MODEL.missed[t[0]] * best(t[1:], r))
        if r:
            ways.append(MODEL.added[r[0]] * best(t, r[1:]))
        if t and r:
            ways.append((1 if t[0] == r[0] else MODEL.taken[t[0]][r[0]]) * best(t[1:], r[1:]))
        return max(ways)

    assert MODEL.likelihood(true, read) == pytest.approx(best(true, read))


def test_what_is_behind_a_character_follows_from_the_counts_of_those_read_as_it() -> None:
    # Of what was read as O, 100 were, 10 were a 0, and none was seen the other way round.
    assert MODEL.behind["O"]["0"] == pytest.approx(10.05 / 101)
    assert MODEL.behind["0"]["O"] == pytest.approx(5.05 / 91)
    assert MODEL.behind["1"][""] == 1.0  # three were there for no reason, and none for one
    assert MODEL.behind[""]["I"] == pytest.approx(4.05 / MODEL_RIGHT)
    assert all("" in behind for read, behind in MODEL.behind.items() if read)


@given(true=PLATES, read=PLATES)
def test_the_changes_are_those_of_the_likeliest_way(true: str, read: str) -> None:
    likelihood, text, gone = 1.0, list(read), 0
    for place, was, is_ in MODEL.changes(true, read):
        if not is_:
            likelihood *= MODEL.added[was]
            assert text[place - 1 + gone] == was
            del text[place - 1 + gone]
            gone -= 1
        elif not was:
            likelihood *= MODEL.missed[is_]
            text.insert(place + gone, is_)
            gone += 1
        else:
            likelihood *= MODEL.taken[is_][was]
            assert text[place - 1 + gone] == was
            text[place - 1 + gone] = is_
    assert "".join(text) == true
    assert likelihood == pytest.approx(MODEL.likelihood(true, read))


def test_the_likely_are_all_and_only_those_above_the_bound() -> None:
    likely = MODEL.likely("B0", 1e-3)
    assert likely["B0"] == 1
    same_length = ["".join(c) for c in itertools.product(CHARACTERS, repeat=2)]
    expected = {t for t in same_length if MODEL.likelihood("B0", t) >= 1e-3}
    assert {t for t in likely if len(t) == 2} == expected
    for text, likelihood in likely.items():
        assert likelihood == pytest.approx(MODEL.likelihood("B0", text))


def test_the_likely_have_characters_that_were_added_beside_one_that_was_confused() -> None:
    likely = MODEL.likely("B0", 1e-5)
    longer = ["".join(c) for n in (3, 4) for c in itertools.product("0OB81", repeat=n)]
    expected = {t for t in longer if MODEL.likelihood("B0", t) >= 1e-5}
    assert {t for t in likely if t in longer} == expected
    assert expected >= {"BO1", "B1O", "1BO", "81O", "B101"}


def test_a_pattern_gives_patterns() -> None:
    likely = MODEL.likely("B?*0", 0.01, "?*")
    assert set(likely) == {"B?*0", "8?*0", "B?*O"}


def test_the_measured_table_knows_what_looks_alike() -> None:
    model = measured()
    assert model.likelihood("AB120", "AB12O") > 10 * model.likelihood("AB120", "AB12K")
    assert model.likelihood("AB123", "A8123") > 10 * model.likelihood("AB123", "AX123")
    assert max(model.likely("AB123CD", 1e-3).items(), key=lambda i: i[1]) == ("AB123CD", 1.0)
