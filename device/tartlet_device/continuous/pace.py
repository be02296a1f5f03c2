"""When to take the next frame: ready just before the model is, so that it is new."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_LAST = 10
_MARGIN = 2.0
"""Of the time that a frame takes: one that comes late costs more than one that waits a little."""


class Pace:
    """Looks at how long inference and frames took lately.

    A frame that is taken as soon as there is room for it waits for a whole inference. On a small
    Pi that is most of the time from the world to its boxes.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._begun_s = float("-inf")
        self._inferences: deque[float] = deque(maxlen=_LAST)
        self._frames: deque[float] = deque(maxlen=_LAST)

    def inference_begins(self) -> None:
        """The model is busy from now on."""
        self._begun_s = self._clock_s()

    def inference_ends(self) -> None:
        """It is free again."""
        self._inferences.append(self._clock_s() - self._begun_s)

    def frame_took(self, seconds: float) -> None:
        """From asking for a frame until it was ready for the model."""
        self._frames.append(seconds)

    def spare_s(self, ahead: int = 0) -> float:
        """So long the next frame need not be asked for; 0 where nothing is known.

        Args:
            ahead: frames that wait for the model already.
        """
        if not self._inferences or not self._frames:
            return 0.0
        ends_s = self._begun_s + (1 + ahead) * min(self._inferences)
        return max(0.0, ends_s - _MARGIN * max(self._frames) - self._clock_s())
