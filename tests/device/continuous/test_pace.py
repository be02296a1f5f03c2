from __future__ import annotations

import pytest

from tartlet_device.continuous.pace import Pace


def pace(*, inferences: list[float], frames: list[float], begun_s: float, now_s: float) -> Pace:
    times: list[float] = []
    made = Pace(lambda: times.pop(0))
    for seconds in inferences:
        times += [0.0, seconds]
        made.inference_begins()
        made.inference_ends()
    for seconds in frames:
        made.frame_took(seconds)
    times += [begun_s, now_s]
    made.inference_begins()
    return made


@pytest.mark.parametrize(
    ("inferences", "frames", "now_s", "spare_s"),
    [
        ([1.0], [0.2], 100.0, 0.6),  # a frame is asked for in time, and not earlier
        ([1.0], [0.2], 100.5, 0.1),
        ([1.0], [0.2], 102.0, 0.0),  # late already
        ([0.1], [0.2], 100.0, 0.0),  # the camera is what everything waits for
        ([1.0, 0.5, 1.0], [0.1, 0.2, 0.1], 100.0, 0.1),  # the shortest, and the longest
        ([0.5, *[1.0] * 10], [0.2], 100.0, 0.6),  # what was long ago does not count
        ([], [0.2], 100.0, 0.0),
        ([1.0], [], 100.0, 0.0),
    ],
)
def test_the_time_to_spare(
    inferences: list[float], frames: list[float], now_s: float, spare_s: float
) -> None:
    made = pace(inferences=inferences, frames=frames, begun_s=100.0, now_s=now_s)
    assert made.spare_s() == pytest.approx(spare_s)


def test_frames_that_wait_already_have_their_turn_first() -> None:
    made = pace(inferences=[1.0], frames=[0.2], begun_s=100.0, now_s=100.0)
    assert made.spare_s(1) == pytest.approx(1.6)
