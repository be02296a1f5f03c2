from __future__ import annotations

import time

import pytest

from tartlet_device.camera.stamps import (
    MOST_ODD_STAMPS,
    FrameCounter,
    StampCheck,
    monotonic_ns,
)
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

FRAME_US = 33_333


def count(steps, duration_us=FRAME_US):
    """Numbers of frames whose times are so many frame durations apart."""
    counter, now, numbers = FrameCounter(), 5_000_000_000, []
    for step in (0, *steps):
        now += round(step * FRAME_US * 1000)
        numbers.append(counter.number(now, duration_us))
    return numbers


@pytest.mark.parametrize(
    ("steps", "numbers"),
    [
        ((1, 1, 1), [1, 2, 3, 4]),
        ((0.9, 1.2, 1.05), [1, 2, 3, 4]),  # jitter
        ((1, 2, 1, 4), [1, 2, 4, 5, 9]),
        ((0.1, 0), [1, 2, 3]),  # two frames are never one
    ],
)
def test_lost_frames_leave_their_numbers_out(steps, numbers):
    assert count(steps) == numbers


def test_without_a_duration_nothing_counts_as_lost():
    assert count((1, 5, 1), duration_us=None) == [1, 2, 3, 4]


def test_a_long_exposure_is_no_lost_frame():
    counter = FrameCounter()
    assert counter.number(0, 33_333) == 1
    assert counter.number(33_333_000, 100_000) == 2  # the next frame begins 100 ms later
    assert counter.number(133_333_000, 33_333) == 3
    assert counter.number(166_666_000, 33_333) == 4


def test_stamps_are_on_the_monotonic_clock_and_never_in_the_future():
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    before = time.monotonic_ns()
    assert before - 2e7 <= monotonic_ns(boot - 10_000_000) <= time.monotonic_ns() - 9e6
    assert monotonic_ns(boot + 10**12) <= time.monotonic_ns()
    assert monotonic_ns(None) >= before


def test_stamps_that_are_odd_now_and_then_are_mended() -> None:
    check = StampCheck(counts_up=True)
    begun = time.monotonic_ns() - 10**9
    given = []
    for number in range(1, 101):
        odd = {10: -(10**12), 20: 10**12, 30: 0}.get(number)
        taken = begun + number * 1000
        info = FrameInfo(number=number, monotonic_ns=taken if odd is None else taken + odd)
        given.append(check(info).monotonic_ns)
    assert given == sorted(set(given))
    assert given[0] == begun + 1000


@pytest.mark.parametrize("step_ns", [0, -1])
def test_stamps_that_never_go_on_are_a_fault(step_ns: int) -> None:
    check = StampCheck(counts_up=True)
    begun = time.monotonic_ns() - 10**9
    infos = [
        FrameInfo(number=number, monotonic_ns=begun + step_ns * number)
        for number in range(1, MOST_ODD_STAMPS + 2)
    ]
    with pytest.raises(errors.DeviceError, match="cannot have been taken"):
        list(map(check, infos))


@pytest.mark.parametrize(("counts_up", "second"), [(True, 5), (True, 4), (True, 0), (False, 0)])
def test_a_number_that_no_frame_can_have_is_a_fault(counts_up: bool, second: int) -> None:
    check = StampCheck(counts_up=counts_up)
    check(FrameInfo(number=5, monotonic_ns=time.monotonic_ns()))
    with pytest.raises(errors.DeviceError, match="came after"):
        check(FrameInfo(number=second, monotonic_ns=time.monotonic_ns()))


def test_footage_begins_again() -> None:
    check = StampCheck(counts_up=False)
    for number in (1, 2, 1, 2):
        check(FrameInfo(number=number, monotonic_ns=time.monotonic_ns()))
