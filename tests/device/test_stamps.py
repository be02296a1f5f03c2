from __future__ import annotations

import time

import pytest

from tartlet_device.camera.stamps import FrameCounter, monotonic_ns

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
