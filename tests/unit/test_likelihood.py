"""What a vehicle's plate may be, beside every plate of a small alphabet tried out."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import CHARACTERS, measured
from ring.likelihood import LEAST, plausible, probability, weight
from ring.reads import judge

ALPHABET = "O0B8_"


def read(plate: str, confidence: float, *rows: dict[str, float]) -> PlateRead:
    return PlateRead(
        plate=plate,
        confidence=confidence,
        posterior=[
            CharacterCandidates(characters="".join(row), probabilities=list(row.values()))
            for row in rows
        ],
    )


def row_of(parts: list[int]) -> dict[str, float]:
    return {c: n / sum(parts) for c, n in zip(ALPHABET, parts, strict=True) if n}


ROWS = st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(any).map(row_of)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(ROWS, min_size=2, max_size=4), confidence=st.floats(0, 1, width=32))
def test_it_is_what_every_plate_tried_out_gives(
    rows: list[dict[str, float]], confidence: float
) -> None:
    # The reader names the likeliest way through its rows; all others share what that leaves.
    best = [max(row, key=row.__getitem__) for row in rows]
    plate = "".join(best).replace("_", "")
    if not plate or (len(plate) < len(rows) and "_" not in "".join(best)):
        return
    ways: dict[tuple[str, ...], float] = {}
    for way in itertools.product(*rows):
        ways[way] = 1.0
        for row, symbol in zip(rows, way, strict=True):
            ways[way] *= row[symbol]
    whole = ways[tuple(best)]
    found = plausible(read(plate, confidence, *rows))
    own = found.pop(plate)
    if whole > 0.999999:
        return  # the posterior says nothing of others: see below
    assert own == confidence
    rivals = [likelihood for way, likelihood in ways.items() if list(way) != best]
    share = min(own / max(rivals), (1 - own) / (1 - whole))
    expected: dict[str, float] = {}
    for way, likelihood in ways.items():
        text = "".join(way).replace("_", "")
        if text != plate:
            expected[text] = max(expected.get(text, 0.0), likelihood * share)
    for text in expected.keys() | found.keys():
        if expected.get(text, 0.0) > LEAST * 1.0001:
            assert found[text] == pytest.approx(expected[text], rel=1e-3)
        elif text in found:
            assert found[text] == pytest.approx(LEAST, rel=1e-3)
    assert sum(found.values()) <= 1 - own + 1e-5
    assert all(likelihood <= own + 1e-6 for likelihood in found.values())


def test_a_read_without_a_posterior_is_taken_apart_as_the_model_of_confusions_has_it() -> None:
    plate, behind = "O8", measured().behind
    places = ["", "O", "", "8", ""]
    whole = math.prod(1 + sum(behind[symbol].values()) for symbol in places)
    # Every plate that the places can be, but for what is too rare to count in any of them.
    options = [[(s, 1.0), *(o for o in behind[s].items() if o[1] > 1e-3)] for s in places]
    weights: dict[str, float] = {}
    for way in itertools.product(*options):
        text = "".join(symbol for symbol, _ in way)
        likelihood = math.prod(ratio for _, ratio in way)
        weights[text] = max(weights.get(text, 0.0), likelihood)
    confidence = 0.4
    found = plausible(read(plate, confidence))
    assert found.pop(plate) == pytest.approx(confidence)
    expected = {
        text: confidence_of(likelihood, whole, confidence)
        for text, likelihood in weights.items()
        if text != plate and confidence_of(likelihood, whole, confidence) >= LEAST
    }
    assert found == pytest.approx(expected, rel=1e-3)
    assert {"08", "D8"} <= set(found)


def confidence_of(likelihood: float, whole: float, confidence: float) -> float:
    """Share of what the confidence leaves."""
    return (1 - confidence) / (whole - 1) * likelihood


def test_missed_and_added_characters_are_thought_of() -> None:
    # Of the counts, these two are the commonest of their kind.
    model = measured()
    missed = max(CHARACTERS, key=model.behind[""].__getitem__)
    added = max(CHARACTERS, key=lambda c: model.behind[c][""])
    assert f"V{missed}V" not in plausible(read("VV", 0.5))  # too rare beside what differs
    assert "VV" in plausible(read(f"V{added}V", 0.5))


def test_a_posterior_may_hold_places_without_a_character() -> None:
    rows = [{"A": 1.0}, {"B": 0.9, "8": 0.1}, {"1": 0.6, "_": 0.4}, {"2": 1.0}]
    found = plausible(read("AB12", 0.54, *rows))
    assert found == pytest.approx({"AB12": 0.54, "A812": 0.06, "AB2": 0.36, "A82": 0.04}, abs=1e-6)
    # The reader chose no character there, so nothing is likelier: both have half of the 0.9.
    found = plausible(read("AB2", 0.45, *rows))
    assert next(iter(found)) == "AB2"
    assert found["AB12"] == pytest.approx(found["AB2"])


def test_what_a_place_leaves_goes_where_the_model_of_confusions_has_it() -> None:
    rows = [{c: 1.0} for c in "AB12"] + [{"O": 0.6}, {"C": 1.0}]
    found = plausible(read("AB12OC", 0.6, *rows))
    behind = measured().behind["O"]
    assert found["AB12OC"] == pytest.approx(0.6)
    assert found["AB120C"] == pytest.approx(0.4 * behind["0"] / sum(behind.values()), rel=1e-3)


def test_an_unsure_confidence_holds_over_a_sure_posterior() -> None:
    rows = [{"A": 0.96, "4": 0.04}, {"B": 0.94, "8": 0.06}]
    sure = plausible(read("AB", 0.96 * 0.94, *rows))
    unsure = plausible(read("AB", 0.7, *rows))
    assert unsure["AB"] == pytest.approx(0.7)
    assert unsure["A8"] / unsure["4B"] == pytest.approx(sure["A8"] / sure["4B"], rel=0.01)
    # One that says nothing at all is as good as none.
    said_nothing = plausible(read("8O", 0.5, {"8": 1.0}, {"O": 1.0}))
    assert said_nothing == plausible(read("8O", 0.5))
    assert "80" in said_nothing
    # And one that does not reach around the plate as well.
    assert plausible(read("8O1", 0.5, {"8": 1.0}, {"O": 1.0})) == plausible(read("8O1", 0.5))


def test_a_sure_confidence_holds_over_an_unsure_posterior() -> None:
    rows = [{"A": 0.5, "4": 0.5}, {"B": 0.6, "8": 0.4}]
    unsure = plausible(read("AB", 0.3, *rows))
    sure = plausible(read("AB", 0.79, *rows))
    assert sure["AB"] == pytest.approx(0.79)
    assert sum(sure.values()) == pytest.approx(1)
    for text in ("4B", "A8", "48"):
        assert sure[text] == pytest.approx(unsure[text] * 0.3)
    assert plausible(read("AB", 0.99, *rows)) == {"AB": pytest.approx(0.99)}


def test_a_poor_exact_match_scores_lower_than_a_near_one_of_a_sharp_read() -> None:
    poor = plausible(read("AB123CD", 0.8**7, *[{c: 0.8, "K": 0.1} for c in "AB123CD"]))
    sharp = [{c: 1.0} for c in "AB12"] + [{"8": 0.52, "3": 0.48}] + [{c: 1.0} for c in "CD"]
    near = plausible(read("AB128CD", 0.52, *sharp))
    assert near["AB123CD"] == pytest.approx(0.48)
    assert near["AB123CD"] > 2 * poor["AB123CD"]


@given(
    said=st.floats(0.01, 0.9),
    others=st.floats(0, 1),
    share=st.floats(1e-4, 1),
    plates=st.integers(1, 10**8),
)
def test_bayes_over_what_is_listed_and_what_is_not(
    said: float, others: float, share: float, plates: int
) -> None:
    listed = said + others * (1 - said)
    ours = weight(share, plates)
    # Plate by plate: this one, the others of the list, and all that are on no list.
    odds = [said * ours, (listed - said) * ours, 1 - listed]
    assert probability(said, listed, ours) == pytest.approx(min(said, odds[0] / sum(odds)))
    assert 0 < ours <= 1
    assert probability(said, listed, ours) <= said


def test_a_list_of_more_plates_than_pass_is_believed_less() -> None:
    assert weight(0.002, 1) == weight(0.002, 200_000) == 1
    assert weight(0.002, 1_000_000) == pytest.approx(0.2)
    assert weight(0.02, 1_000_000) == 1
    assert probability(0.3, 0.3, 1.0) == 0.3
    assert probability(0.3, 0.3, 0.2) == pytest.approx(0.06 / 0.76)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(ROWS, max_size=4),
    own=st.text(alphabet=ALPHABET[:-1], max_size=4),
    confidence=st.floats(0, 1, width=32),
    more=st.floats(1, 1.0099),
)
def test_what_is_likely_differs_in_few_characters_of_an_unsure_read(
    rows: list[dict[str, float]], own: str, confidence: float, more: float
) -> None:
    # Whatever the confidence says beside the posterior; a row may sum to a little more than 1.
    best = "".join(max(row, key=row.__getitem__) for row in rows)
    plate = own or best.replace("_", "")
    if not plate:
        return
    more_rows = [{c: min(1.0, p * more) for c, p in row.items()} for row in rows]
    likely = list(plausible(read(plate, confidence, *more_rows)).items())[1:]
    assert sum(likelihood for _, likelihood in likely) <= 1 - confidence + 1e-12
    for text, likelihood in likely:
        changed = len(measured().changes(text, plate))
        # At each place the character read is at least as likely as any other. So of the 2^k plates
        # that k changes lead through, the one read among them, none is less likely than the last.
        assert (2**changed - 1) * likelihood <= 1 - confidence + 1e-12
        assert likelihood <= confidence + 1e-12


ANY_ROW = st.dictionaries(
    st.sampled_from(CHARACTERS + "_"), st.integers(0, 9), min_size=1, max_size=36
)


@settings(max_examples=200, deadline=None)
@given(
    plate=st.text(alphabet=CHARACTERS, min_size=2, max_size=12),
    rows=st.lists(st.tuples(ANY_ROW, st.integers(0, 40)), max_size=16),
    confidence=st.floats(0, 1, width=32),
)
def test_whatever_a_reader_sends_gives_probabilities_and_the_plate_read_first(
    plate: str, rows: list[tuple[dict[str, int], int]], confidence: float
) -> None:
    shares = [
        {c: n / max(1, sum(row.values()) + left) for c, n in row.items()} for row, left in rows
    ]
    message = read(plate, confidence, *shares)
    assert judge(message) is None
    found = plausible(message)
    assert next(iter(found)) == plate
    assert found[plate] == confidence
    assert all(LEAST <= p <= found[plate] + 1e-6 for x, p in found.items() if x != plate)
    assert len(found) <= 1 + 1 / LEAST


@settings(max_examples=500, deadline=None)
@given(
    plate=st.text(alphabet=CHARACTERS, min_size=2, max_size=8),
    rows=st.lists(st.tuples(ANY_ROW, st.integers(0, 40)), max_size=8),
    first=st.lists(st.integers(0, 400), min_size=8, max_size=8),
    confidence=st.floats(0, 1, width=32),
    above=st.floats(0, 0.6),
)
def test_others_are_left_out_only_where_none_is_likelier_than_asked_for(
    plate: str,
    rows: list[tuple[dict[str, int], int]],
    first: list[int],
    confidence: float,
    above: float,
) -> None:
    named = [
        {c: more} | {o: n for o, n in row.items() if o != c}
        for c, more, (row, _) in zip(plate, first, rows, strict=False)
    ]
    shares = [
        {c: n / max(1, sum(row.values()) + left) for c, n in row.items()}
        for row, (_, left) in zip(named, rows, strict=False)
    ]
    message = read(plate, confidence, *shares)
    every = plausible(message)
    some = plausible(message, above)
    if some != every:
        assert some == {plate: confidence}
        assert max(p for x, p in every.items() if x != plate) <= above


def test_the_likeliest_other_plate_is_kept_up_to_what_it_has() -> None:
    rows = [{c: 1.0} for c in "AB12"] + [{"8": 0.6, "3": 0.4}, {"C": 1.0}]
    asked = read("AB128C", 0.6, *rows)
    assert plausible(asked, 0.395)["AB123C"] == pytest.approx(0.4)
    assert plausible(asked, 0.41) == {"AB128C": pytest.approx(0.6)}
    bare = read("O8", 0.4)
    most = max(p for plate, p in plausible(bare).items() if plate != "O8")
    assert plausible(bare, most - 0.001) == plausible(bare)
    assert plausible(bare, most + 0.2) == {"O8": pytest.approx(0.4)}
