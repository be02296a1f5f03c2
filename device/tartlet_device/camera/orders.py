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


class Order:
    """Consecutive frames for one caller."""

    def __init__(self, count: int, *, full: bool) -> None:
        self.since_ns = time.monotonic_ns()
        self.full = full
        self.remaining = count
        self.last_number: int | None = None
        self.results: queue.Queue[Frame | errors.TartletError] = queue.Queue(BUFFERED_FRAMES)
        self.cancelled = False

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
        try:
            result = self._order.results.get(timeout=self._timeout_s)
        except queue.Empty:
            raise errors.CameraTimeout(
                f"no frame within {self._timeout_s:.1f} s",
                where="camera",
                hint="is its cable seated? `tartlet-device doctor` looks further",
            ) from None
        if isinstance(result, errors.TartletError):
            self._left = 0
            raise result
        self._left -= 1
        return result

    def close(self) -> None:
        """No more frames are wanted."""
        self._order.cancelled = True
