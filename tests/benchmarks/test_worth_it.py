"""The benchmark of what matching is worth: its arithmetic, and a small run on real pictures."""

import itertools
from pathlib import Path

import pytest

from lpr.evaluation import distance, load_manifest
from lpr.session import make_eye
from lpr.settings import Settings
from proto.ring.v1.ingest_pb2 import CharacterCandidates, PlateRead
from ring.confusion import CHARACTERS
from ring.policy import Policy
from tests.benchmarks.listed_city import City, pattern_of, plates_of, simulated
from tests.benchmarks.passages import Passage, misses, near, passages
from tests.benchmarks.worth_it import MORE, Matched, curve, longest_list, worth

LISTED = 1_000


def doubted(plate: str, other: str, share: float) -> PlateRead:
    """A read that gives another character at one place a share."""
    rows = []
    for best, rival in zip(plate, other, strict=True):
        said = {best: 1.0} if best == rival else {best: 1.0 - share, rival: share}
        rows.append(CharacterCandidates(characters="".join(said), probabilities=said.values()))
    return PlateRead(plate=plate, confidence=1.0 - share, posterior=rows)


SURE = Passage("sure", "ar", 0, "AB123CD", doubted("AB123CD", "AB123CD", 0.0))
SWAPPED = Passage("swapped", "ar", 0, "AB123CD", doubted("AB128CD", "AB123CD", 0.412))
OTHER = Passage("other", "ar", 0, "AB123CD", doubted("AB123CD", "AB128CD", 0.3))
POOR = Passage("poor", "ar", 0, "AB123CD", doubted("AB123CD", "AB128CD", 0.55))
UNSEEN = Passage("unseen", "ar", 0, "AB123CD", None)
ALL = [SURE, SWAPPED, OTHER, UNSEEN]


def test_near_is_every_text_one_character_away() -> None:
    texts = map(
        "".join, itertools.chain(*(itertools.product(CHARACTERS, repeat=n) for n in (1, 2, 3)))
    )
    assert near("A7") == {text for text in texts if distance(text, "A7") <= 1}


def test_a_city_has_plates_like_the_ones_given() -> None:
    city = City(["AB123CD", "AB124CD", "XYZ123", "XYZ"], vehicles=1_000_000)
    assert city.density("QQ000QQ") == pytest.approx(500_000 / (26**4 * 1000))
    assert city.density("QQQ000") == pytest.approx(250_000 / (26**3 * 1000))
    assert city.density("QQQ") == 1.0, "no more vehicles than plates"
    assert city.density("QQQQ") == 0.0
    assert City(["AB123CD"], crowded=True).density("QQ000QQ") == 1.0


def test_what_is_found_and_what_is_false_are_counted_as_they_are_defined() -> None:
    city = City([one.plate for one in ALL])
    row = worth(Matched(ALL, city, floor=0.0), LISTED)
    # One wrong plate in three reads, each listed as often as plates of its kind are.
    listed = LISTED / plates_of("AA999AA")
    assert row["exact"]["found"] == 2 / 4
    assert row["exact"]["false_per_million"] == pytest.approx(1e6 * listed / 3, rel=0.01)
    assert row["edit_distance_1"]["found"] == 3 / 4
    neighbours = sum(pattern_of(plate) == "AA999AA" for plate in near("AB123CD"))
    false = (3 * neighbours - 2) * 1e6 * listed / 3
    assert row["edit_distance_1"]["false_per_million"] == pytest.approx(false, rel=0.01)
    ours = row["ours_by_default"]
    assert ours["found"] == 3 / 4
    assert ours["false_per_million"] == pytest.approx(2 * 1e6 * listed / 3, rel=0.01)
    assert ours["avoided"]["share"] == 1 / 2
    assert ours["avoided_of_reads"]["share"] == 1.0
    assert row["ours"]["threshold"] == pytest.approx(0.41), "the highest that finds as many"
    assert row["ours"]["false_per_million"] == row["exact"]["false_per_million"]


def test_the_floor_holds_for_exact_matches_in_both_ways() -> None:
    city = City([POOR.plate])
    low, high = (worth(Matched([SURE, POOR], city, floor), LISTED) for floor in (0.0, 0.5))
    assert (low["exact"]["found"], high["exact"]["found"]) == (1.0, 0.5)
    assert high["ours"]["found"] == 0.5
    assert misses([POOR], 0.2) == {"right, but under the default floor": 1}


def test_the_longest_list_is_the_one_at_which_the_allowance_is_used_up() -> None:
    # What finds the misread plate at any threshold finds a wrong one in the other read.
    seen = [Passage("swapped", "ar", 0, "AB123CD", doubted("AB128CD", "AB123CD", 0.3)), OTHER]
    matched = Matched(seen, City(["AB123CD"]), floor=0.0)
    longest = longest_list(matched)
    assert longest == pytest.approx(MORE * 2 / 1e6 * plates_of("AA999AA"), rel=0.01)
    assert worth(matched, longest)["ours"]["avoided"]["share"] == 1.0
    assert worth(matched, longest + 2)["ours"]["avoided"]["share"] == 0.0


def test_the_index_raises_what_is_expected() -> None:
    read = doubted("AB18", "AB13", 0.4)
    seen = [
        Passage("swapped", "ar", 0, "AB13", read),
        Passage("other", "ar", 0, "AB18", read),
        Passage("unseen", "ar", 0, "AB18", None),
    ]
    result = simulated(seen, entries=plates_of("AA99") // 10, reads=4_000, common="AA99")
    for way, wrong in (("exact", 0.5), ("ours", 1.0)):
        expected = result["expected"][way]
        assert expected == pytest.approx(wrong * 4_000 / 10, rel=0.1)
        assert result["false"][way] == pytest.approx(expected, abs=4 * expected**0.5)
    assert result["found"] == result["found_expected"] == result["listed_passed"] == 400
    assert 0 < result["found_exactly"] < 400


def test_on_real_pictures_ours_finds_more_than_exact_for_one_false_alert_in_a_million(
    shared_data: Path,
) -> None:
    labelled = load_manifest(shared_data / "plates" / "manifest.csv")
    eye = make_eye(Settings(ocr_model="rapidocr+ours"), video=False)
    night = [one for one in labelled if one.path.name.startswith("night")][14:24]
    seen = list(passages(eye, night, states=1, seed=1))
    matched = Matched(seen, City([one.plate for one in labelled]), Policy().confidence_floor)
    row = worth(matched, LISTED)
    exact, ours, edit = row["exact"], row["ours"], row["edit_distance_1"]
    assert exact["found"] < ours["found"] <= edit["found"]
    assert ours["false_per_million"] <= exact["false_per_million"] + MORE
    assert edit["false_per_million"] > 50 * ours["false_per_million"]
    found = [share for _, share in curve(matched, eye.model, LISTED).ours]
    assert found == sorted(found, reverse=True), "a higher threshold finds no more"
