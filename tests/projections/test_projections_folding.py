"""Misreads fold into the read beside them, and what is odd about a timeline is said."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from projections.folding import Read, folds, one_apart
from projections.movements import timeline_of
from projections.search import page_of, search
from proto.ring.v1.events_pb2 import CheckpointPlaced
from proto.ring.v1.investigation_pb2 import GetTimelineResponse, SearchPlatesRequest
from ring.confusion import measured
from ring.errors import InvalidRequest
from ring.values import from_micros, micros
from tests.projections import reference
from tests.projections.conftest import embedded_alone
from tests.projections.test_projections_timelines import Filled
from tests.projections.world import ENTRY, EXIT, HOUR, SECOND, T0, UNKNOWN, Seen, World

_examples = itertools.count(1)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> Iterator[Filled]:
    filled = Filled(make_world())
    for code, latitude in (("A", -34.5), ("B", -34.6)):
        place = CheckpointPlaced(
            code=code, name=code, latitude=latitude, longitude=-58.5, at=from_micros(T0)
        )
        filled.world.happen("ring.checkpoint.registered", place, f"checkpoint-{code}")
    yield filled
    filled.client.close()


def timeline(filled: Filled, plate: str) -> GetTimelineResponse:
    filled.apply()
    return timeline_of(filled.client, filled.world.log, plate)


def slowly(reads: list[Read]) -> dict[Read, Read]:
    """The rule as it is written."""
    found = {}
    for read in reads:
        near = [
            other
            for other in reads
            if (other.checkpoint, other.lane) == (read.checkpoint, read.lane)
            and abs(other.at - read.at) <= 2 * SECOND
            and other.confidence < 0.9
            and read.confidence < 0.9
            and other.plate in APART[read.plate]
        ]
        best = min([read, *near], key=lambda r: (-r.confidence, r.order))
        if best != read:
            found[read] = best
    return found


PLATES = ["AB12", "AB13", "AB1", "AC13", "XY99"]
APART = {
    "AB12": {"AB13", "AB1"}, "AB13": {"AB12", "AB1", "AC13"}, "AB1": {"AB12", "AB13"},
    "AC13": {"AB13"}, "XY99": set(),
}  # fmt: skip
READS = st.lists(
    st.tuples(
        st.sampled_from(PLATES),
        st.sampled_from([0, SECOND, 2 * SECOND, 2 * SECOND + 1, 4 * SECOND]),
        st.sampled_from(["1", "2"]),
        st.sampled_from([0.3, 0.5, 0.89, 0.9]),
    ),
    max_size=12,
)


@given(drawn=READS, rng=st.randoms(use_true_random=False))
def test_folds_are_those_of_the_rule_in_any_order(
    drawn: list[tuple[str, int, str, float]], rng: random.Random
) -> None:
    reads = [
        Read(plate, "A", lane, ENTRY, at, confidence, "log", i, f"{i:04}")
        for i, (plate, at, lane, confidence) in enumerate(drawn)
    ]
    expected = slowly(reads)
    rng.shuffle(reads)
    assert folds(reads) == expected


SIGHTINGS = st.lists(
    st.tuples(
        st.sampled_from(["AA11", "AA12", "AA1", "AB12"]),
        # Beside each other, in one passage, in the next.
        st.sampled_from([0, 0, SECOND, 2 * SECOND, 2 * SECOND + 1, 30 * SECOND, 61 * SECOND]),
        st.sampled_from([*[("A", "1", d) for d in (ENTRY, EXIT, UNKNOWN)], ("A", "2", ENTRY)]),
        st.sampled_from([0.3, 0.5, 0.75, 0.75, 0.95]),
    ),
    min_size=2,
    max_size=16,
)
# Read in two lanes at once, and misread in each.
TWO_LANES: list[tuple[str, int, tuple[str, str, Any], float]] = [
    (plate, 0, ("A", lane, ENTRY), confidence)
    for lane, right in (("1", "AA12"), ("2", "AA1"))
    for plate, confidence in ((right, 0.75), ("AA11", 0.5))
]


@embedded_alone
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=SIGHTINGS, rng=st.randoms(use_true_random=False))
@example(drawn=TWO_LANES, rng=random.Random(1))
@example(drawn=TWO_LANES, rng=random.Random(2))
@example(drawn=TWO_LANES, rng=random.Random(3))
def test_timelines_with_folds_are_those_of_the_rule_in_any_arrival_order(
    filled: Filled,
    drawn: list[tuple[str, int, tuple[str, str, Any], float]],
    rng: random.Random,
) -> None:
    # Every example has plates and days of its own: nothing of another lies beside it.
    number = next(_examples)
    at, reads = T0 + number * 10 * 24 * HOUR, []
    for plate, gap, (checkpoint, lane, direction), confidence in drawn:
        at += gap
        plate = f"{plate}P{number:03}"
        reads.append(Seen(plate, at, checkpoint, direction, lane=lane, confidence=confidence))
    # The same ids in every example, so that a failure repeats; each in a stream of its own.
    reads = [replace(read, sequence=i) for i, read in enumerate(reads, 1)]
    stored = [replace(r.stored(), originator_id=uuid4()) for r in reads]
    rng.shuffle(stored)
    late = rng.randrange(1, len(stored))
    for part in (stored[:late], stored[late:]):
        filled.world.insert(part)
        filled.apply(rng.randint(1, 14))
    for plate in {r.plate for r in reads}:
        assert shown(timeline(filled, plate)) == expected(reads, plate)


def shown(answer: GetTimelineResponse) -> tuple[list[Any], list[Any]]:
    """What there is to say of folds, passages and visits; times in microseconds."""
    return [
        (
            micros(p.at), p.checkpoint, p.direction, p.reads, micros(p.until), list(p.anomalies),
            sorted((f.read_id, f.plate) for f in p.folds), p.folded_into.read_id,
        )
        for p in answer.passages
    ], [
        (
            micros(v.entered_at) if v.HasField("entered_at") else None,
            micros(v.exited_at) if v.HasField("exited_at") else None,
        )
        for v in answer.visits
    ]  # fmt: skip


def expected(reads: list[Seen], plate: str) -> tuple[list[Any], list[Any]]:
    """The same, as slowly and plainly as it can be told."""
    folded = reference.folds(reads)
    own = [r for r in reads if r.plate == plate]
    passages = []
    for p in reference.passages(own, folded):
        taken = [r for r in reads if r.read_id in folded and folded[r.read_id] in p.reads]
        if max(r.confidence for r in p.reads) < 0.6:
            p.anomalies.append("low-confidence")
        misread = all(r.read_id in folded for r in p.reads)
        first = min(p.reads, key=lambda r: (r.at, r.lane))
        passages.append(
            (
                p.first.at, p.first.checkpoint, p.first.direction, len(p.reads) + len(taken),
                p.reads[-1].at, p.anomalies, sorted((r.read_id, r.plate) for r in taken),
                folded[first.read_id].read_id if misread else "",
            )
        )  # fmt: skip
    return passages, [
        (v.entry.at if v.entry else None, v.exit.at if v.exit else None)
        for v in reference.visits(own, folded)
    ]


def test_one_character_apart_is_one_more_one_less_or_another() -> None:
    for a in PLATES:
        assert {b for b in PLATES if one_apart(a, b)} == APART[a]
        assert {b for b in PLATES if one_apart(b, a)} == APART[a]
    assert not one_apart("AB12", "BA12")


def test_a_misread_is_shown_with_the_read_that_it_folds_into(filled: Filled) -> None:
    right = Seen("FD123AA", T0, "A", ENTRY, confidence=0.85)
    misread = Seen("FD123A4", T0 + SECOND, "A", ENTRY, confidence=0.5)
    right, misread, _, _ = filled.world.numbered(
        [
            right,
            misread,
            # The misread's plate is also somebody's: it entered before, and leaves later.
            Seen("FD123A4", T0 - HOUR, "B", ENTRY),
            Seen("FD123A4", T0 + HOUR, "B", EXIT),
        ]
    )
    rest = [
        Seen("FD123A4", T0 - HOUR, "B", ENTRY),
        Seen("FD123A4", T0 + HOUR, "B", EXIT),
        # Another lane, too late, sure: none of them folds.
        Seen("FD123AB", T0, "A", ENTRY, confidence=0.5, lane="2"),
        Seen("FD123AC", T0 + 4 * SECOND, "A", ENTRY, confidence=0.5),
        Seen("FD123AD", T0, "A", ENTRY, confidence=0.9),
    ]
    filled.world.store([misread, right, *filled.world.numbered(rest)])

    (passage,) = timeline(filled, "FD123AA").passages
    assert (passage.reads, passage.at) == (2, from_micros(T0))
    (fold,) = passage.folds
    assert (fold.plate, fold.read_id, fold.captured_at) == (
        "FD123A4", misread.read_id, from_micros(T0 + SECOND),
    )  # fmt: skip
    assert fold.confidence == 0.5

    own = timeline(filled, "FD123A4")
    assert [p.folded_into.plate for p in own.passages] == ["", "FD123AA", ""]
    assert own.passages[1].folded_into.read_id == right.read_id
    assert not any("missed-exit" in p.anomalies for p in own.passages)
    (visit,) = own.visits
    assert (micros(visit.entered_at), micros(visit.exited_at)) == (T0 - HOUR, T0 + HOUR)
    found = search(
        filled.client, filled.world.log, page_of(SearchPlatesRequest(pattern="FD123A4"))
    ).plates
    assert [p.reads for p in found] == [3], "searching the misread still finds it"
    for plate in ("FD123AB", "FD123AC", "FD123AD"):
        (alone,) = timeline(filled, plate).passages
        assert not alone.HasField("folded_into")
        assert not alone.folds


def test_equally_sure_reads_go_by_their_ids_and_a_fold_is_one_hop(filled: Filled) -> None:
    chain = [
        Seen("HP123AA", T0, "B", ENTRY, confidence=0.75),
        Seen("HP123AB", T0, "B", ENTRY, confidence=0.625),
        Seen("HP123BB", T0, "B", ENTRY, confidence=0.5),
    ]
    filled.world.see(*chain)
    (first,) = timeline(filled, "HP123AA").passages
    assert [f.plate for f in first.folds] == ["HP123AB"]
    (second,) = timeline(filled, "HP123AB").passages
    assert second.folded_into.plate == "HP123AA"
    assert [f.plate for f in second.folds] == ["HP123BB"]
    (third,) = timeline(filled, "HP123BB").passages
    assert third.folded_into.plate == "HP123AB"

    ties = filled.world.numbered(
        [Seen(f"TI123A{n}", T0 + n, "B", EXIT, confidence=0.5) for n in range(4)]
    )
    filled.world.store(ties)
    best = min(ties, key=lambda r: r.read_id)
    for read in ties:
        (passage,) = timeline(filled, read.plate).passages
        into = passage.folded_into.plate
        assert into == ("" if read is best else best.plate)


def test_what_is_odd_is_said(filled: Filled) -> None:
    p = "OD123AA"
    filled.world.see(
        Seen(p, T0, "A", ENTRY, received_at=T0 + 61 * SECOND),
        Seen(p, T0 + 90 * SECOND, "B", EXIT, confidence=0.5),
        Seen(p, T0 + 2 * HOUR, "A", ENTRY, received_at=T0 + HOUR),
        Seen(p, T0 + 9 * HOUR, "B", EXIT),
        Seen(p, 0, "A", ENTRY, suspect=True, received_at=T0 + 20 * HOUR),
    )
    found = [list(q.anomalies) for q in timeline(filled, p).passages]
    assert found == [
        ["late-arrival"],
        ["impossible-travel", "low-confidence"],
        ["clock-skew"],
        [],
        ["clock-skew"],
    ]


def test_a_place_that_is_not_known_hides_no_impossible_travel(filled: Filled) -> None:
    p = "OD124AA"
    filled.world.stand({"LOST": (0.0, 0.0)})
    filled.world.see(
        Seen(p, T0, "A", ENTRY),
        Seen(p, T0 + 80 * SECOND, "LOST", EXIT),
        Seen(p, T0 + 90 * SECOND, "B", EXIT),
    )
    found = [list(q.anomalies) for q in timeline(filled, p).passages]
    assert found == [[], [], ["missed-entry", "impossible-travel"]]


def test_a_clock_that_fell_behind_is_told_from_a_spool_that_came_late(filled: Filled) -> None:
    day = 24 * HOUR
    # A whole spool, two days late; among it one read that its clock puts ten days earlier.
    spool = [Seen(f"SP{i:03}AA", T0 + i * 300 * SECOND, reader="spooler") for i in range(30)]
    spool[20] = replace(spool[20], plate="BH123AA", at=T0 - 10 * day)
    spool[21] = replace(spool[21], plate="BH123AB")
    filled.world.see(*(replace(r, received_at=T0 + 2 * day) for r in spool))
    (behind,) = timeline(filled, "BH123AA").passages
    assert list(behind.anomalies) == ["clock-skew", "late-arrival"]
    (late,) = timeline(filled, "BH123AB").passages
    assert list(late.anomalies) == ["late-arrival"]


def test_a_quiet_reader_whose_spool_came_late_has_a_right_clock(filled: Filled) -> None:
    day = 24 * HOUR
    # Nothing was read before these; a car every two hours.
    quiet = [
        Seen(f"QT{i:03}AA", T0 + i * 2 * HOUR, reader="quiet", received_at=T0 + 3 * day)
        for i in range(12)
    ]
    # Before the first of these the clock was set, from ten days behind.
    fresh = [
        Seen(f"FR{i:03}AA", T0 + i * 300 * SECOND, reader="fresh", received_at=T0 + day)
        for i in range(12)
    ]
    fresh[0] = replace(fresh[0], at=T0 - 10 * day)
    filled.world.see(*quiet, *fresh)
    for read in (*quiet, *fresh):
        (passage,) = timeline(filled, read.plate).passages
        assert ("clock-skew" in passage.anomalies) == (read is fresh[0]), read


def test_neighbours_whose_time_can_not_be_right_tell_nothing_of_a_clock(filled: Filled) -> None:
    day = 24 * HOUR
    # A clock without power: it had no time, then began at the year 2000, then was set.
    set_late = [
        Seen(f"NP{i:03}AA", T0 + i * 300 * SECOND, reader="no power", received_at=T0 + day)
        for i in range(12)
    ]
    set_late[:7] = [replace(r, at=0, suspect=True) for r in set_late[:7]]
    set_late[7] = replace(set_late[7], at=946_684_800 * SECOND)
    # A clock that was decades ahead but for two reads, which came late and are right.
    ahead = [
        Seen(f"AH{i:03}AA", T0 * 2, reader="ahead", suspect=True, received_at=T0 + day)
        for i in range(12)
    ]
    ahead[5:7] = [replace(r, at=T0 + n, suspect=False) for n, r in enumerate(ahead[5:7])]
    filled.world.see(*set_late, *ahead)
    for read in (*set_late, *ahead):
        (passage,) = timeline(filled, read.plate).passages
        behind = read is set_late[7]
        assert ("clock-skew" in passage.anomalies) == (read.suspect or behind), read


def found_by(filled: Filled, **question: object) -> list[str]:
    filled.apply()
    asked = page_of(SearchPlatesRequest(**question))  # type: ignore[arg-type]
    return [p.plate for p in search(filled.client, filled.world.log, asked).plates]


def test_a_fuzzy_search_ranks_by_what_the_ocr_confuses(filled: Filled) -> None:
    filled.world.see(
        *(Seen(p, T0) for p in ("FZ120BK", "FZ12OBK", "FZ1208K", "FZ12KBK", "XX120XX"))
    )
    asked = page_of(SearchPlatesRequest(pattern="fz 120-bk", fuzzy=True))
    filled.apply()
    plates = search(filled.client, filled.world.log, asked).plates
    assert [p.plate for p in plates] == ["FZ120BK", "FZ12OBK", "FZ1208K", "FZ12KBK"]
    scores = [p.score for p in plates]
    assert scores[0] == 1
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert found_by(filled, pattern="FZ?20BK", fuzzy=True)[:2] == ["FZ120BK", "FZ12OBK"]
    with pytest.raises(InvalidRequest, match="fuzzy"):
        page_of(SearchPlatesRequest(pattern="F", fuzzy=True))


def test_a_reads_own_posterior_says_how_near_it_came(filled: Filled) -> None:
    def seen(plate: str, doubt: dict[int, tuple[str, float]]) -> Seen:
        """`doubt`: by position, a second character and its probability."""
        return Seen(plate, T0, posterior=[
            (c + d[0], [1 - d[1] - 0.01, d[1]]) if (d := doubt.get(i)) else (c, [0.99])
            for i, c in enumerate(plate)
        ])  # fmt: skip

    filled.world.see(
        # By the table an O for a 0 is likely, a K hardly: these two reads knew better.
        seen("PO12OAA", {3: ("Z", 0.3)}),
        seen("PO12KAA", {4: ("0", 0.45)}),
        Seen("PO12DAA", T0),
    )
    filled.apply()
    asked = page_of(SearchPlatesRequest(pattern="PO120AA", fuzzy=True))
    plates = search(filled.client, filled.world.log, asked).plates
    assert [p.plate for p in plates] == ["PO12KAA", "PO12DAA", "PO12OAA"]
    assert plates[0].score == pytest.approx(0.45 / 0.54, rel=1e-4)
    assert plates[2].score <= 0.01 / 0.99 * 1.01


def test_a_plate_whose_posterior_names_another_character_was_near_to_that_one(
    filled: Filled,
) -> None:
    # The reader read an O, and put a 0 where the format has a digit.
    corrected = [(c, [0.99]) for c in "XW12OAA"]
    filled.world.see(Seen("XW120AA", T0, posterior=corrected))
    for wanted, score in (
        ("XW12OAA", 1.0),
        # The posterior says nothing of a D, nor of the 0 itself.
        ("XW12DAA", measured().taken["D"]["0"]),
    ):
        filled.apply()
        asked = page_of(SearchPlatesRequest(pattern=wanted, fuzzy=True))
        (plate,) = search(filled.client, filled.world.log, asked).plates
        assert (plate.plate, plate.score) == ("XW120AA", pytest.approx(score)), wanted


def test_the_plate_asked_for_comes_before_one_that_was_as_near_to_it(filled: Filled) -> None:
    filled.world.see(
        Seen("YW120AA", T0, posterior=[(c, [0.99]) for c in "YW12OAA"]), Seen("YW12OAA", T0 + 1)
    )
    filled.apply()
    asked = page_of(SearchPlatesRequest(pattern="YW12OAA", fuzzy=True))
    found = search(filled.client, filled.world.log, asked).plates
    assert [(p.plate, p.score) for p in found][:2] == [("YW12OAA", 1.0), ("YW120AA", 1.0)]


def test_pages_of_a_fuzzy_search_stay_the_same_while_reads_arrive(filled: Filled) -> None:
    plates = ["PB120OB", "PB12OOB", "PB1200B", "PB12008", "P8120OB", "PB120O8"]
    filled.world.see(*(Seen(p, T0) for p in plates[::2]))
    filled.apply()
    request = SearchPlatesRequest(pattern="PB120OB", fuzzy=True, page_size=1)
    found = []
    while True:
        page = search(filled.client, filled.world.log, page_of(request))
        found += [p.plate for p in page.plates]
        filled.world.see(*(Seen(p, T0) for p in plates))
        filled.apply()
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found[0] == "PB120OB"
    assert sorted(found) == sorted(plates[::2])


def test_a_search_counts_what_the_filters_leave(filled: Filled) -> None:
    filled.world.see(
        Seen("FI123AA", T0, "A", ENTRY, confidence=0.75, region="AR"),
        Seen("FI123AB", T0, "A", EXIT, confidence=0.5, region="BR"),
        # No region was read; the format is Argentine.
        Seen("FI123AC", T0, "B", EXIT, confidence=0.95),
        # Nor here, and the format is Uruguayan.
        Seen("FIA1234", T0, "B", EXIT, confidence=0.95),
    )
    assert found_by(filled, pattern="FI*", direction=EXIT) == ["FI123AB", "FI123AC", "FIA1234"]
    assert found_by(filled, pattern="FI*", min_confidence=0.75) == [
        "FI123AA", "FI123AC", "FIA1234",
    ]  # fmt: skip
    assert found_by(filled, pattern="FI*", region="ar") == ["FI123AA", "FI123AC"]
    assert found_by(filled, pattern="FI*", region="UY") == ["FIA1234"]
    assert found_by(filled, pattern="FI123AA", fuzzy=True, region="BR") == ["FI123AB"]
    for wrong in ({"region": "ARG"}, {"min_confidence": 1.5}):
        with pytest.raises(InvalidRequest):
            page_of(SearchPlatesRequest(pattern="FI*", **wrong))  # type: ignore[arg-type]
