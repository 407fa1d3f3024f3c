"""Who may see and change a hotlist, against the rule written out in another way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ring.access import (
    Caller,
    Right,
    check_grant_of_looking_back,
    check_maker,
    check_right,
    granted_right,
    may_look_back,
    right_of,
)
from ring.errors import InvalidRequest, NotAllowed, NotFound

AGENCIES = ["police", "customs", "toll"]
callers = st.sampled_from(["", *AGENCIES]).map(Caller)
owners = st.sampled_from(AGENCIES)
grants = st.dictionaries(owners, st.sampled_from([Right.SEE, Right.CHANGE]))


@settings(max_examples=300)
@given(callers, owners, grants, st.sampled_from([Right.SEE, Right.CHANGE, Right.OWN]))
def test_a_list_is_its_owners_and_whose_it_lets(caller, owner, granted, needed) -> None:
    if caller.agency in ("", owner):
        allowed = {Right.SEE, Right.CHANGE, Right.OWN}
    else:
        allowed = {
            None: set(),
            Right.SEE: {Right.SEE},
            Right.CHANGE: {Right.SEE, Right.CHANGE},
        }[granted.get(caller.agency)]
    held = right_of(caller, owner, granted)
    if needed in allowed:
        check_right(held, needed, owner, "stolen")
    else:
        with pytest.raises(NotAllowed if Right.SEE in allowed else NotFound):
            check_right(held, needed, owner, "stolen")


@given(callers, owners, grants, owners)
def test_a_grant_is_the_grantees_alone(caller, owner, granted, other) -> None:
    without = {agency: right for agency, right in granted.items() if agency != other}
    if caller.agency != other:
        assert right_of(caller, owner, granted) is right_of(caller, owner, without)


@given(callers, owners, st.sets(owners))
def test_who_looks_back_is_the_owner_or_was_let(caller, owner, granted) -> None:
    assert may_look_back(caller, owner, granted) is (
        caller.agency == "" or caller.agency == owner or caller.agency in granted
    )


def test_who_can_not_import_is_not_let_look_back() -> None:
    check_grant_of_looking_back(Right.CHANGE, True)
    check_grant_of_looking_back(Right.SEE, False)
    with pytest.raises(InvalidRequest, match="--right change"):
        check_grant_of_looking_back(Right.SEE, True)


@given(callers, owners)
def test_a_list_is_made_for_oneself(caller, owner) -> None:
    assert caller.owner("") == (caller.agency or "default")
    if caller.agency in ("", owner):
        check_maker(caller, owner)
    else:
        with pytest.raises(NotAllowed, match=caller.agency):
            check_maker(caller, owner)


@pytest.mark.parametrize("number", [-1, 0, 3, 4])
def test_only_seeing_and_changing_are_granted(number: int) -> None:
    with pytest.raises(InvalidRequest):
        granted_right(number)
