"""The judge of a read's posterior, beside the rules one by one."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import CHARACTERS
from ring.reads import _judge_places, _Named, judge

SAID = st.one_of(
    st.floats(0, 1, width=32),
    st.sampled_from([0.0, -0.0, 0.005, 0.01, 0.5, 1.0, -0.001, math.inf, -math.inf, math.nan]),
)
GOOD = st.lists(st.sampled_from(CHARACTERS + "_"), min_size=1, max_size=5, unique=True)
ANY = st.lists(st.sampled_from(CHARACTERS + "_" + "a-Ñ"), max_size=38)


@st.composite
def places(draw: st.DrawFn) -> CharacterCandidates:
    if draw(st.integers(0, 5)):
        characters = draw(GOOD)
        parts = [draw(st.integers(0, 20)) for _ in characters]
        whole = draw(st.sampled_from([0.6, 1.0, 1.0, 1.009, 1.02]))
        said = [whole * part / max(1, sum(parts)) for part in parts]
    else:
        characters = draw(ANY)
        said = draw(st.lists(SAID, min_size=len(characters), max_size=len(characters)))
    if not draw(st.integers(0, 9)):
        said = draw(st.lists(SAID, max_size=5))
    return CharacterCandidates(characters="".join(characters), probabilities=said)


@settings(max_examples=1000, deadline=None)
@given(posterior=st.lists(places(), min_size=1, max_size=18))
def test_a_posterior_is_judged_as_the_rules_have_it_one_by_one(
    posterior: list[CharacterCandidates],
) -> None:
    read = PlateRead(plate="AB123CD", confidence=0.9, posterior=posterior)
    for _ in range(2):  # not known, then known
        assert judge(read) == _judge_places(read.posterior)


@pytest.mark.parametrize(
    ("characters", "said", "wrong"),
    [
        ("", [], "position 2 needs 1 to 36 characters"),
        ("".join(CHARACTERS) + "_", [0.02] * 37, "position 2 needs 1 to 36 characters"),
        ("AB", [0.5], "position 2 lacks a probability for each character"),
        ("Ab", [0.5, 0.5], "position 2 has characters outside A-Z, 0-9 and _"),
        ("AA", [0.5, 0.5], "position 2 has a character twice"),
        ("AB", [0.5, math.nan], "position 2 has no probabilities"),
        ("AB", [0.5, -0.1], "position 2 has no probabilities"),
        ("AB", [-math.inf, math.inf], "position 2 has no probabilities"),
        ("AB", [1.001, 0.0], "position 2 has no probabilities"),
        ("AB", [0.9, 0.12], "position 2 has no probabilities"),
        ("AB", [0.9, 0.1], None),
        ("AB", [1.0, 0.009], None),
        ("_", [0.0], None),
    ],
)
def test_what_is_wrong_with_a_place_is_told(
    characters: str, said: list[float], wrong: str | None
) -> None:
    one = CharacterCandidates(characters="A", probabilities=[1.0])
    other = CharacterCandidates(characters=characters, probabilities=said)
    read = PlateRead(plate="AB", confidence=0.9, posterior=[one, other])
    assert judge(read) == (wrong and f"malformed posterior: {wrong}")


def test_a_posterior_has_16_places_at_most() -> None:
    one = CharacterCandidates(characters="A", probabilities=[1.0])
    assert judge(PlateRead(plate="AB", confidence=0.9, posterior=[one] * 16)) is None
    reason = judge(PlateRead(plate="AB", confidence=0.9, posterior=[one] * 17))
    assert reason == "malformed posterior: more than 16 positions"


def test_what_places_name_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Named, "MOST", 3)
    named = _Named()
    for characters in ("A", "AB", "ABC", "AA", "", "a", "ABCD", "A"):
        good = characters.isupper() and len(set(characters)) == len(characters)
        assert named[characters] == (len(characters) if good else -1)
        assert len(named) <= 3
    assert set(named) == {"ABCD", "A"}
