"""Frames that callers ordered, on their way from the camera's thread."""

from __future__ import annotations

import queue
import time
from typing import Self

from tartlet_device.camera.base import Frame
from tartlet_shared import errors

BUFFERED_FRAMES = 8
BUFFERED_BYTES = 64_000_000
"""So much waits for a slow caller. A live camera gives up on a caller that falls further behind;
footage waits for it."""
_LARGE_FRAMES_WAIT_S = 0.05
OPENING_S = 20.0
"""A camera that is being opened is waited for so long: its process starts, and loads libraries."""
_LOOK_S = 0.1


class Order:
    """Consecutive frames for one caller."""

    def __init__(self, count: int, *, full: bool, fresh: bool = True) -> None:
        self.since_ns = time.monotonic_ns() if fresh else 0
        self.full = full
        self.remaining = count
        self.last_number: int | None = None
        self.results: queue.Queue[Frame | errors.TartletError] = queue.Queue(BUFFERED_FRAMES)
        self.cancelled = False
        self.open_since_s: float | None = None  # None until the camera is open

    def put(self, frame: Frame, *, timeout_s: float) -> bool:
        """Hand a frame over; false if too many wait already."""
        waiting = self.results.qsize()
        if waiting and (waiting + 1) * frame.image.nbytes > BUFFERED_BYTES:
            time.sleep(min(timeout_s, _LARGE_FRAMES_WAIT_S))
            return False
        try:
            self.results.put(frame, timeout=timeout_s)
        except queue.Full:
            return False
        return True


class FrameStream:
    """Frames that were ordered, to be iterated over; a context that ends the order."""

    def __init__(self, order: Order, timeout_s: float) -> None:
        self._order = order
        self._timeout_s = timeout_s
        self._left = order.remaining

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            CameraTimeout: it did not come in time.
            TartletError: the camera does not work any more, or frames were lost; says why.
        """
        if self._left == 0:
            raise StopIteration
        result = self._wait()
        if isinstance(result, errors.TartletError):
            self._left = 0
            raise result
        self._left -= 1
        return result

    def _wait(self) -> Frame | errors.TartletError:
        asked_s = time.monotonic()
        while True:
            left_s = max(0.0, self._due_s(asked_s) - time.monotonic())
            try:
                return self._order.results.get(timeout=min(left_s, _LOOK_S))
            except queue.Empty:
                if left_s == 0:
                    raise self._timed_out() from None

    def _due_s(self, asked_s: float) -> float:
        since_s = self._order.open_since_s
        if since_s is None:
            return asked_s + OPENING_S
        return max(asked_s, since_s) + self._timeout_s

    def _timed_out(self) -> errors.CameraTimeout:
        what = f"no frame within {self._timeout_s:.1f} s"
        if self._order.open_since_s is None:
            what = f"it is still being opened after {OPENING_S:.0f} s"
        return errors.CameraTimeout(
            what,
            where="camera",
            hint="try again in a few seconds; if it goes on, check its cable: "
            "`tartlet-device doctor` looks further",
        )

    def close(self) -> None:
        """No more frames are wanted."""
        self._order.cancelled = True
