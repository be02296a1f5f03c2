"""The record of what serves, as a state machine."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.serving import MOST_STARTS, GivenUp, Probation, Serving
from tartlet_shared import errors

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
SHORT = Probation(period_s=1.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Serving(), Serving(A, None, SHORT)),
        (Serving(B), Serving(A, B, SHORT)),
        (Serving(B, C), Serving(A, B, SHORT)),
        # What was never confirmed is nothing to return to, unless there is nothing else.
        (Serving(B, C, SHORT), Serving(A, C, SHORT)),
        (Serving(B, None, SHORT), Serving(A, B, SHORT)),
        (Serving(B, A, SHORT), Serving(A, B, SHORT)),
        (Serving(B, C, given_up=GivenUp(A, "x")), Serving(A, B, SHORT)),
        (Serving(A, B), Serving(A, B)),
        (Serving(A, B, Probation(period_s=9.0, starts=2)),) * 2,
    ],
)
def test_what_an_activation_makes_of_a_record(before, after):
    assert before.activated(A, SHORT) == after


def test_a_model_is_confirmed_once_and_only_while_it_serves():
    active = Serving(A, B, SHORT)
    assert active.confirmed(A) == active.confirmed(A).confirmed(A) == Serving(A, B)
    assert active.confirmed(B) == active


def test_a_model_that_is_left_is_not_what_a_rollback_returns_to():
    left = Serving(A, B, SHORT).left(A, "it crashed")
    assert left == Serving(B, given_up=GivenUp(A, "it crashed"))
    with pytest.raises(errors.NothingToRollBackTo):
        left.rolled_back()


@pytest.mark.parametrize("record", [Serving(A, B), Serving(B, A, SHORT), Serving(A, None, SHORT)])
def test_nothing_else_is_left(record):
    assert record.left(A, "x") == record


def test_a_rollback_swaps_and_ends_a_probation():
    assert Serving(A, B, SHORT).rolled_back() == Serving(B, A)


def test_starts_count_only_until_a_model_is_confirmed():
    record = Serving(A, B, SHORT)
    for _ in range(MOST_STARTS):
        record = record.started()
        assert not record.out_of_starts
    assert record.started().out_of_starts
    assert Serving(A, B).started() == Serving(A, B)


def test_a_confirmed_record_is_what_older_daemons_wrote():
    assert msgspec.json.encode(Serving(A, B)) == f'{{"current":"{A}","previous":"{B}"}}'.encode()


_STEPS = st.one_of(
    st.tuples(st.just("activated"), st.sampled_from([A, B, C]), st.sampled_from([None, SHORT])),
    st.tuples(st.just("confirmed"), st.sampled_from([A, B, C])),
    st.tuples(st.just("left"), st.sampled_from([A, B, C]), st.just("x")),
    st.tuples(st.sampled_from(["started", "rolled_back"])),
)


@given(st.lists(_STEPS, max_size=30))
def test_whatever_happens_a_model_serves_that_was_activated(steps):
    record, activated = Serving(), set()
    for name, *arguments in steps:
        try:
            record = getattr(record, name)(*arguments)
        except errors.NothingToRollBackTo:
            assert record.previous is None
        if name == "activated":
            activated.add(arguments[0])
        assert (record.current is not None) == bool(activated)
        assert {record.current, record.previous} <= activated | {None}
        assert record.current is None or record.current != record.previous
        assert msgspec.json.decode(msgspec.json.encode(record), type=Serving) == record
        if name != "rolled_back" and name != "started":  # done again, it changes nothing
            assert getattr(record, name)(*arguments) == record
