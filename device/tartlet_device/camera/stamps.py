"""When a frame was taken, and how many there were before it."""

from __future__ import annotations

import time


def monotonic_ns(boot_ns: int | None) -> int:
    """A sensor's time stamp, which counts suspended time as well, on the monotonic clock.

    Args:
        boot_ns: nanoseconds of CLOCK_BOOTTIME; None if the camera does not tell: then it is now.
    """
    now = time.monotonic_ns()
    if boot_ns is None:
        return now
    return min(now, boot_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now))


class FrameCounter:
    """Numbers frames from 1 by the sensor's clock, so that a lost frame leaves its number out.

    Sequence numbers would not do: on a Pi they count the frames that the image processor made.
    """

    def __init__(self) -> None:
        self._number = 0
        self._taken_ns = 0
        self._duration_ns = 0

    def number(self, taken_ns: int, duration_us: int | None) -> int:
        """Number of the next frame.

        Args:
            taken_ns: when.
            duration_us: how long the sensor takes for such a frame, until the next begins; None if
                it does not tell: then no frame counts as lost.
        """
        passed = 1
        if self._number and self._duration_ns:
            # The time since the last frame is that one's duration, which the exposure may change.
            passed = max(1, round((taken_ns - self._taken_ns) / self._duration_ns))
        self._number += passed
        self._taken_ns = taken_ns
        self._duration_ns = (duration_us or 0) * 1000
        return self._number
