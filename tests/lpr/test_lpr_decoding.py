"""What the formats make of a model's rows, against sums over every string there is."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpr import formats
from lpr.decoding import Prior
from lpr.errors import LprError
from lpr.formats import CLASSES, Format
from lpr.interpretation import agreeing
from lpr.reading import ALPHABET, NOTHING, Posterior

SEEN = "018BOA"
"""The only characters that the rows of these tests hold, so that every string can be listed."""
FORMATS = [
    Format("AR", "car", "A99", 3),
    Format("BR", "car", "AA9", 2),
    Format("AR", "car", "CA", 1),
    Format("", "any", "**", 1),
    Format("", "any", "***", 2),
    Format("", "any", "AAA", 1),
]
EVERY = Prior(formats.of(formats.countries()))


def rows_of(*texts: str, sure: float = 0.9) -> Posterior:
    """A row for each text: its first character is sure, the others share what is left."""
    rows = np.zeros((len(texts), len(ALPHABET)), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for character in text[1:]:
            row[ALPHABET.index(character)] = (1 - sure) / max(1, len(text) - 1)
        row[ALPHABET.index(text[0])] = 1 - row.sum()
    return rows


@st.composite
def small_rows(draw: st.DrawFn) -> Posterior:
    count = draw(st.integers(1, 4))
    columns = [ALPHABET.index(character) for character in SEEN] + [NOTHING]
    rows = np.zeros((count, len(ALPHABET)), np.float32)
    for row in rows:
        row[columns] = draw(
            st.lists(st.integers(1, 1000), min_size=len(columns), max_size=len(columns))
        )
        row /= row.sum()
    return rows


def weight_of_prior(text: str, prior_formats: list[Format]) -> float:
    """A string's prior relative to strings drawn at random, written out plainly."""
    whole = 0.0
    for one in prior_formats:
        same = [other for other in prior_formats if other.country == one.country]
        share = (0.7 / 2 if one.country else 0.3) * one.weight / sum(x.weight for x in same)
        if len(one.pattern) != len(text):
            continue
        if "*" in one.pattern:
            kinds = ["A" if character.isalpha() else "9" for character in text]
            runs = {
                spelled: np.prod([0.7 if a == b else 0.3 for a, b in pairwise(spelled)])
                for spelled in product("A9", repeat=len(text))
                if len(set(spelled)) == 2
            }
            if tuple(kinds) not in runs:
                continue
            share *= runs[tuple(kinds)] / sum(runs.values())
        else:
            kinds = list(one.pattern)
            if any(c not in CLASSES[kind] for kind, c in zip(kinds, text, strict=True)):
                continue
        whole += share * float(np.prod([36 / len(CLASSES[kind]) for kind in kinds]))
    return whole


@settings(max_examples=40, deadline=None)
@given(small_rows())
def test_probability_and_rows_are_sums_over_every_string(rows: Posterior) -> None:
    strings: dict[str, float] = {}
    for path in product([*SEEN, "_"], repeat=len(rows)):
        chance = float(np.prod([row[ALPHABET.index(c)] for row, c in zip(rows, path, strict=True)]))
        text = "".join(path).replace("_", "")
        strings[text] = strings.get(text, 0.0) + chance
    weights = {text: p * weight_of_prior(text, FORMATS) for text, p in strings.items()}
    total = sum(weights.values())
    decoded = Prior(FORMATS).decode(rows)
    if not total:
        assert decoded.plate == ""
        return
    assert decoded.probability == pytest.approx(weights[decoded.plate] / total, rel=1e-4)
    assert weights[decoded.plate] >= 0.5 * max(weights.values())
    same = {text: w for text, w in weights.items() if len(text) == len(decoded.plate)}
    for place, row in enumerate(decoded.rows):
        for character in SEEN:
            share = sum(w for text, w in same.items() if text[place] == character)
            expected = share / sum(same.values())
            assert row[ALPHABET.index(character)] == pytest.approx(expected, abs=2e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(small_rows(), min_size=1, max_size=5), st.floats(0.1, 5))
def test_plates_decoded_together_are_decoded_as_each_alone(
    several: list[Posterior], favour: float
) -> None:
    """However many rows each has, and whatever is told of the others' countries."""
    several = [*several, several[0][:0]]
    told = [{"AR": favour} if number % 2 else {} for number in range(len(several))]
    prior = Prior(FORMATS)
    alone = [prior.decode(rows, one) for rows, one in zip(several, told, strict=True)]
    for one, other in zip(prior.decode_all(several, told), alone, strict=True):
        assert one.plate == other.plate
        assert one.probability == pytest.approx(other.probability)
        assert one.rows == pytest.approx(other.rows, abs=1e-6)
        assert one.countries == pytest.approx(other.countries)


@pytest.mark.parametrize(
    ("seen", "plate"),
    [
        (["A", "B", "I1", "2", "3", "C", "D"], "AB123CD"),
        (["A", "0O", "D", "1", "B8", "8"], "AOD188"),
        (["A", "B", "C", "1", "D", "2", "3"], "ABC1D23"),
        (["B", "C", "D", "F", "1", "2"], "BCDF12"),
        (["1", "2", "3", "4", "A", "B", "C"], "1234ABC"),
    ],
)
def test_formats_say_which_of_two_alike_it_is(seen: list[str], plate: str) -> None:
    assert EVERY.decode(rows_of(*seen, sure=0.6)).plate == plate


@pytest.mark.parametrize("text", ["X1Y2Z3", "BIMMIAN", "75061H1", "4242", "AB", "A1B2C3D4E5F6"])
def test_no_plate_is_forbidden(text: str) -> None:
    decoded = EVERY.decode(rows_of(*text, sure=1.0))
    assert (decoded.plate, decoded.probability) == (text, pytest.approx(1))


def test_a_missed_place_and_one_too_many_are_weighed() -> None:
    rows = rows_of("A", "B", "1", "2", "3", "C", "D")
    extra = np.insert(rows, 3, rows_of("_8", sure=0.6)[0], axis=0)
    assert EVERY.decode(extra).plate == "AB123CD"


def test_a_models_say_on_the_country_tips_the_balance() -> None:
    rows = rows_of("A", "B", "C", "1I", "1", "2", "3", sure=0.5)
    assert EVERY.decode(rows).plate == "ABC1123"
    assert EVERY.decode(rows, {"AR": 0.1}).countries["AR"] < 0.2
    shares = EVERY.decode(rows, {"BR": 9.0, "UY": 0.1}).countries
    assert shares["BR"] > 5 * shares["UY"]


def test_formats_follow_the_countries_asked_for_and_an_unknown_one_is_named() -> None:
    assert {one.country for one in formats.of(["ar", "BR"])} == {"AR", "BR", ""}
    assert {"AR", "BR", "UY", "PY", "CL", "BO", "CO", "MX"} <= set(formats.countries())
    with pytest.raises(LprError, match=r"ZZ.*LPR_COUNTRIES takes AR"):
        formats.of(["ZZ"])


@settings(max_examples=40, deadline=None)
@given(small_rows(), st.floats(0.05, 0.999))
def test_rows_are_bent_until_they_say_the_confidence(rows: Posterior, confidence: float) -> None:
    rows[:, NOTHING] = 0
    rows /= rows.sum(axis=1, keepdims=True)
    bent = agreeing(rows, confidence)
    assert np.allclose(bent.sum(axis=1), 1, atol=1e-4)
    alike = np.sort(rows, axis=1)[:, -1] / np.sort(rows, axis=1)[:, -2]
    if np.all(alike > 1.05):
        assert bent.max(axis=1).prod() == pytest.approx(confidence, abs=0.01)
        assert np.array_equal(bent.argmax(axis=1), rows.argmax(axis=1))
