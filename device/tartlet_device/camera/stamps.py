"""When a frame was taken, and how many there were before it."""

from __future__ import annotations

import time

from tartlet_device.camera.process_messages import TRY_AGAIN
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

MOST_ODD_STAMPS = 20
_MOST_FRAME_AGE_NS = 60 * 10**9


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


class StampCheck:
    """Looks at the stamps of frame after frame, as drivers give them."""

    def __init__(self, *, counts_up: bool) -> None:
        """
        Args:
            counts_up: numbers never go back, as those of footage do.
        """
        self._counts_up = counts_up
        self._number = 0
        self._taken_ns = 0  # the last one that could be true
        self._given_ns = 0
        self._odd = 0

    def __call__(self, info: FrameInfo) -> FrameInfo:
        """The stamp; with the time of arrival where it cannot have been taken then.

        Raises:
            DeviceError: the number makes no sense; or frame after frame has such a time, as from a
                driver that gives the same frame again and again.
        """
        if info.number < 1 or (self._counts_up and info.number <= self._number):
            raise _odd(f"frame {info.number} came after frame {self._number}")
        self._number = info.number
        now = time.monotonic_ns()
        if max(self._taken_ns, now - _MOST_FRAME_AGE_NS) < info.monotonic_ns <= now:
            self._odd = 0
            self._taken_ns = info.monotonic_ns
        else:
            self._odd += 1
        if self._odd >= MOST_ODD_STAMPS:
            raise _odd(f"{self._odd} frames in a row cannot have been taken when they say")
        taken = now if self._odd else info.monotonic_ns
        self._given_ns = max(taken, self._given_ns + 1)
        return FrameInfo(number=info.number, monotonic_ns=self._given_ns)


def _odd(what: str) -> errors.DeviceError:
    return errors.DeviceError(what, where="camera", hint=TRY_AGAIN)
