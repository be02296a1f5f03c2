"""Still frames need no model: a look at how much of the picture changed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_device.continuous.settings import MotionSettings
from tartlet_device.image import Picture

ADAPTS_S = 10.0
"""Time constant of the background: a cloud becomes part of it, somebody who walks by does not."""
_SHRINK = 4  # brightness is averaged over so many pixels each way: noise is not movement


class MotionGate:
    """Open while something moves, and for a while after."""

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        self._background: NDArray[np.float32] | None = None
        self._seen_s = 0.0
        self._open_until_s = 0.0

    def is_open(self, canvas: Picture, now_s: float) -> bool:
        """Whether this frame is worth a look.

        Args:
            canvas: what the model would see, RGB uint8 ``(height, width, 3)``.
            now_s: when it was taken, monotonic.
        """
        brightness = self._brightness(canvas)
        before = self._background
        if before is None or before.shape != brightness.shape:  # the first, or for another model
            self._background, self._seen_s = brightness, now_s
            self._open_until_s = now_s + self._settings.hold_s
            return True
        changed = np.abs(brightness - before) >= self._settings.level
        if float(changed.mean()) >= max(self._settings.share, 1 / changed.size):
            self._open_until_s = now_s + self._settings.hold_s
        weight = 1.0 - np.exp(-max(0.0, now_s - self._seen_s) / ADAPTS_S)
        self._background = before + np.float32(weight) * (brightness - before)
        self._seen_s = now_s
        return now_s <= self._open_until_s

    @staticmethod
    def _brightness(canvas: Picture) -> NDArray[np.float32]:
        rows, columns = canvas.shape[:2]
        size = (max(1, columns // _SHRINK), max(1, rows // _SHRINK))
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
