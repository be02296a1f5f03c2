from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.fleet.engine import Limits, State, Verdict, decide, plan_waves

LETTERS = {
    ".": State.PENDING,
    "p": State.PUSHING,
    "d": State.DONE,
    "f": State.FAILED,
    "a": State.AWAY,
}


def asked(picture: str, **limits: int) -> tuple[Verdict, tuple[str, ...]]:
    """Decide about waves drawn as letters, ``"d .."``; devices are called 0, 1, ..."""
    names = iter(range(100))
    states: dict[str, State] = {}
    waves = []
    for word in picture.split():
        wave = [str(next(names)) for _ in word]
        states.update(zip(wave, (LETTERS[letter] for letter in word), strict=True))
        waves.append(wave)
    decision = decide(waves, states, Limits(**limits))
    assert bool(decision.reason) == (decision.verdict in (Verdict.WAITING, Verdict.STOPPED))
    return decision.verdict, decision.start


@pytest.mark.parametrize(
    ("picture", "limits", "verdict", "start"),
    [
        (". ..", {}, "running", "0"),  # the canary alone
        ("p ..", {}, "running", ""),
        ("d ..", {}, "running", "12"),
        ("f ..", {}, "stopped", ""),
        ("a ..", {}, "waiting", ""),
        ("a ..", {"success": 0}, "running", "12"),
        ("f ..", {"success": 0, "errors": 100}, "running", "12"),
        ("f ..", {"errors": 100}, "stopped", ""),  # the limit of errors holds, success cannot
        ("....", {"parallel": 3}, "running", "012"),
        ("pp..", {"parallel": 3}, "running", "2"),
        ("ppp.", {"parallel": 3}, "running", ""),
        ("dddddddddp ..", {"success": 50}, "running", ""),  # an outcome may still be a failure
        ("ddddddddda ..", {"success": 90}, "running", "ab"),
        ("ddddddddaa ..", {"success": 90}, "waiting", ""),
        ("ddddddddfa ..", {"success": 90, "errors": 10}, "waiting", ""),
        ("ddddddddff ..", {"success": 90, "errors": 20}, "stopped", ""),
        ("d......f.. ..", {"errors": 10}, "running", "12345689"),
        ("d.....ff.. ..", {"errors": 10}, "stopped", ""),
        ("ppp...ff.. ..", {"errors": 10}, "stopped", ""),  # those in flight end
        ("d ddf", {"errors": 34}, "ended", ""),
        ("d dda", {}, "waiting", ""),
        ("d ddd", {}, "ended", ""),
        ("d d.f", {"errors": 33}, "stopped", ""),
        (". pp", {}, "running", ""),  # an earlier wave's device is tried again, on its own
    ],
)
def test_decisions(picture: str, limits: dict[str, int], verdict: str, start: str) -> None:
    found, started = asked(picture, **limits)
    assert found == verdict
    assert [int(name) for name in started] == [int(letter, 16) for letter in start]


@pytest.mark.parametrize(
    ("groups", "canary", "size", "waves"),
    [
        (["abc"], 0, None, "abc"),
        (["abc"], 1, None, "a bc"),
        (["abc"], 5, None, "abc"),
        (["abc", "cde"], 0, None, "abc de"),
        (["abc", "cde"], 1, None, "a bc de"),
        (["abc", "cde"], 1, 1, "a b c d e"),
        (["abcde"], 0, 2, "ab cd e"),
        (["aab", "ab", "c"], 0, None, "ab c"),
    ],
)
def test_waves(groups: list[str], canary: int, size: int | None, waves: str) -> None:
    assert [tuple(word) for word in waves.split()] == list(
        plan_waves(groups, canary=canary, size=size)
    )


@given(
    st.lists(st.lists(st.text("abcdefgh", min_size=1, max_size=1), min_size=1), min_size=1),
    st.integers(0, 4),
    st.none() | st.integers(1, 4),
)
def test_every_device_is_in_exactly_one_wave(
    groups: list[list[str]], canary: int, size: int | None
) -> None:
    waves = plan_waves(groups, canary=canary, size=size)
    flat = [name for wave in waves for name in wave]
    assert sorted(flat) == sorted({name for group in groups for name in group})
    assert all(waves)
    if size is not None:
        assert all(len(wave) <= size for wave in waves[1 if canary else 0 :])


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    success=st.integers(0, 100),
    errors=st.integers(0, 100),
    parallel=st.integers(1, 8),
    rounds=st.integers(0, 3),
    chance=st.randoms(use_true_random=False),
)
def test_a_rollout_keeps_its_limits_and_always_ends(
    sizes: list[int], success: int, errors: int, parallel: int, rounds: int, chance: random.Random
) -> None:
    """Outcomes come in any order; devices that are away are tried again ``rounds`` times."""
    waves = [[f"{wave}.{index}" for index in range(size)] for wave, size in enumerate(sizes)]
    states = {name: State.PENDING for wave in waves for name in wave}
    limits = Limits(success=success, errors=errors, parallel=parallel)
    steps, most = 0, 2 * len(states) * (rounds + 1) + 2
    while True:
        steps += 1
        assert steps <= most
        before = dict(states)
        decision = decide(waves, states, limits)
        assert states == before
        over = any(
            sum(states[name] is State.FAILED for name in wave) * 100 > errors * len(wave)
            for wave in waves
        )
        if over:
            assert decision.verdict is Verdict.STOPPED
        assert not decision.start or decision.verdict is Verdict.RUNNING
        for name in decision.start:
            assert states[name] is State.PENDING
            states[name] = State.PUSHING
        flying = [name for name, state in states.items() if state is State.PUSHING]
        assert len(flying) <= parallel
        assert len({name.partition(".")[0] for name in flying}) <= 1
        for name in decision.start:
            for earlier in waves[: int(name.partition(".")[0])]:
                found = [states[each] for each in earlier]
                assert found.count(State.DONE) * 100 >= success * len(earlier)
                assert not {State.PENDING, State.PUSHING} & set(found)
        if flying:
            states[chance.choice(flying)] = chance.choice([State.DONE, State.FAILED, State.AWAY])
        elif decision.verdict is Verdict.WAITING and rounds:
            rounds -= 1
            for name, state in states.items():
                if state is State.AWAY:
                    states[name] = State.PENDING
        elif decision.verdict is not Verdict.RUNNING:
            break
    if decision.verdict is Verdict.ENDED:
        assert set(states.values()) <= {State.DONE, State.FAILED}
    if decision.verdict is Verdict.WAITING:
        assert State.AWAY in states.values()
