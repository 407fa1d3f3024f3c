"""Changes of a list against a plain model of it: what is live, and under which id."""

import itertools
from collections.abc import Iterator
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from proto.ring.v1.alert_pb2 import HotlistEntry
from proto.ring.v1.events_pb2 import EntriesStaged
from proto.ring.v1.hotlist_pb2 import HotlistPolicy
from ring.access import EVERY_ROLE, Right
from ring.application import Ring
from ring.errors import InvalidRequest
from ring.frequency import Frequencies
from ring.importing import EntriesImport, Summary, remove_entries
from ring.replay import position_at
from ring.rpc.clock import now
from ring.sharing import change_policy, grant
from ring.store import unseal
from ring.values import from_micros, micros
from ring.versions import as_of, live_entries, versions_of
from tests.conftest import NewStore

PLATES = ["AA111AA", "BB222BB", "CC333CC"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["replace", "add", "remove"]),
        st.lists(st.tuples(st.sampled_from([*PLATES, "!"]), st.sampled_from("xy")), max_size=5),
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def ring(new_store: NewStore) -> Iterator[Ring]:
    ring = Ring(new_store())
    yield ring
    ring.close()


def begin(ring: Ring, name: str, *, replace: bool = True) -> EntriesImport:
    return EntriesImport(ring, EVERY_ROLE, "", name, replace=replace, create=True, now=now)


def bring(ring: Ring, name: str, rows: list[tuple[str, str]], *, replace: bool = True) -> Summary:
    importing = begin(ring, name, replace=replace)
    importing.add([HotlistEntry(plate=plate, reason=reason) for plate, reason in rows])
    return importing.finish()


def live(ring: Ring, name: str, version: int | None = None) -> dict[tuple[str, str], str]:
    hotlist = ring.find_hotlist("default", name)
    assert hotlist is not None
    if version is not None:
        hotlist = as_of(ring, hotlist, version)
    found = list(live_entries(ring, hotlist).entries())
    assert hotlist.entries == len(found)
    return {(entry.plate, entry.reason): entry.entry_id for entry in found}


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_list_is_what_its_changes_made_it(ring: Ring, changes) -> None:
    name = f"model {uuid4()}"
    bring(ring, name, [])
    model: dict[tuple[str, str], str] = {}
    given_out: set[str] = set()
    after = {0: model}
    for how, rows in changes:
        good = {row for row in rows if row[0] != "!"}
        if how == "remove":
            plates = {plate for plate, _ in good}
            gone = {row for row in model if row[0] in plates}
            summary = remove_entries(ring, EVERY_ROLE, "", name, set(), plates, now)
            assert (summary.added, summary.removed) == (0, len(gone))
            new: set[tuple[str, str]] = set()
        else:
            gone = model.keys() - good if how == "replace" else set()
            new = good - model.keys()
            if gone and rows and not good:
                with pytest.raises(InvalidRequest, match="none of the entries can be used"):
                    bring(ring, name, rows)
                assert live(ring, name) == model
                continue
            summary = bring(ring, name, rows, replace=how == "replace")
            bad = [n for n, row in enumerate(rows, 1) if row[0] == "!"]
            assert [row for row, _ in summary.rejected] == bad
            counts = (summary.added, summary.removed, summary.unchanged)
            assert counts == (len(new), len(gone), len(good) - len(new))
        now_live = live(ring, name)
        assert now_live.keys() == (model.keys() - gone) | new
        # What stayed keeps its id; what is new has one that nothing had before.
        assert all(now_live[row] == model[row] for row in model.keys() - gone)
        fresh = {now_live[row] for row in new}
        assert len(fresh) == len(new)
        assert not fresh & given_out
        given_out |= fresh
        model = now_live
        after[summary.hotlist.changes] = model
    hotlist = ring.find_hotlist("default", name)
    assert hotlist is not None
    assert [v.version for v in versions_of(ring, hotlist)] == sorted(after)
    for version, then in after.items():
        if version:
            assert live(ring, name, version) == then


def test_rows_of_which_none_can_be_used_empty_a_list_only_where_that_is_allowed(ring: Ring) -> None:
    bring(ring, "kept", [(PLATES[0], "")])
    before = live(ring, "kept")
    often = Frequencies()
    often.patterns["A*"] = 101
    for plate, frequencies, why in (
        ("!", None, "row 1: '!' is not a plate"),
        ("A*", often, "A\\* would hit too often"),
    ):
        importing = EntriesImport(
            ring,
            EVERY_ROLE,
            "",
            "kept",
            replace=True,
            create=True,
            now=now,
            frequencies=frequencies,
        )
        importing.add([HotlistEntry(plate=plate)])
        with pytest.raises(InvalidRequest, match=why):
            importing.finish()
        assert live(ring, "kept") == before
    importing = EntriesImport(
        ring, EVERY_ROLE, "", "kept", replace=True, create=True, now=now, allow_empty=True
    )
    importing.add([HotlistEntry(plate="!")])
    assert importing.finish().removed == 1
    assert live(ring, "kept") == {}


def test_of_two_imports_at_a_time_the_later_changes_nothing(ring: Ring) -> None:
    name = f"race {uuid4()}"
    bring(ring, name, [("AA111AA", "x")])
    first, second = begin(ring, name), begin(ring, name)
    first.add([HotlistEntry(plate="BB222BB")])
    second.add([HotlistEntry(plate="CC333CC")])
    first.finish()
    with pytest.raises(IntegrityError):
        second.finish()
    assert {plate for plate, _ in live(ring, name)} == {"BB222BB"}


def test_an_import_during_which_the_list_was_granted_or_its_policy_changed_is_refused(
    ring: Ring,
) -> None:
    for name in ("granted meanwhile", "changed meanwhile"):
        bring(ring, name, [("AA111AA", "")])
        importing = begin(ring, name)
        importing.add([HotlistEntry(plate="BB222BB")])
        if name.startswith("granted"):
            grant(ring, EVERY_ROLE, "", name, "customs", Right.SEE, now())
        else:
            change_policy(ring, EVERY_ROLE, "", name, HotlistPolicy(threshold=0.5), now())
        with pytest.raises(IntegrityError):
            importing.finish()
        assert {plate for plate, _ in live(ring, name)} == {"AA111AA"}


def test_a_list_is_as_it_was_from_when_an_import_was_live_not_from_when_it_began(
    ring: Ring,
) -> None:
    clock = itertools.count(4_000_000_000_000_000, 1_000_000)

    def later() -> Timestamp:
        return from_micros(next(clock))

    def importing(name: str) -> EntriesImport:
        return EntriesImport(ring, EVERY_ROLE, "", name, replace=False, create=True, now=later)

    name = f"slow {uuid4()}"
    for plate in ("AA111AA", "BB222BB"):
        slow = importing(name)
        slow.add([HotlistEntry(plate=plate)])
        meanwhile = later()
        importing(f"quick {uuid4()}").finish()
        before = position_at(ring.event_log, later())
        position = slow.finish().position
        assert position_at(ring.event_log, meanwhile) < before < position
        assert position_at(ring.event_log, later()) == position
    remove_entries(ring, EVERY_ROLE, "", name, set(), {"AA111AA"}, later)
    hotlist = ring.find_hotlist("default", name)
    assert hotlist is not None
    times = [micros(version.at) for version in versions_of(ring, hotlist)]
    assert times == sorted(times)


def test_long_texts_make_more_events_not_longer_ones(ring: Ring) -> None:
    importing = begin(ring, f"long {uuid4()}")
    importing.add([HotlistEntry(plate=f"A{n:04d}", reason="x" * 15_000) for n in range(400)])
    summary = importing.finish()
    (staged,) = summary.hotlist.imports
    events = list(ring.event_log.select_events(staged))
    assert sum(len(EntriesStaged.FromString(unseal(e.state)).added) for e in events) == 400
    assert max(len(e.state) for e in events) < 3 << 20
