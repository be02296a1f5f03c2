"""What a loop did lately: rates and latencies."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WINDOW = 300  # frames


@dataclass(frozen=True)
class Figures:
    """Of the last frames, at most `WINDOW`.

    Attributes:
        frames: that were looked at since the start.
        still: that were left out because nothing moved.
        rate: frames per second.
        latency_p50_ms, latency_p95_ms: from when a frame was taken to when its boxes were there;
            None before the first.
        inference_p50_ms, inference_p95_ms: of the model alone; None before the first.
    """

    frames: int = 0
    still: int = 0
    rate: float = 0.0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    inference_p50_ms: float | None = None
    inference_p95_ms: float | None = None


class Meter:
    """Counts frames; safe to use from several threads.

    Attributes:
        skipped: frames that the camera gave between those that were taken.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._done: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._inferences_s: deque[float] = deque(maxlen=WINDOW)
        self._frames = self._still = 0
        self.skipped = 0
        self._last_number: int | None = None

    def took(self, number: int) -> None:
        """The camera's frame of this number was taken."""
        with self._lock:
            if self._last_number is not None:
                # A camera that was opened again counts from the start.
                self.skipped += max(0, number - self._last_number - 1)
            self._last_number = number

    def inferred(self, seconds: float) -> None:
        """The model ran for so long."""
        with self._lock:
            self._inferences_s.append(seconds)

    def done(self, taken_s: float) -> None:
        """A frame that was taken at ``taken_s`` has its boxes now."""
        now = self._clock_s()
        with self._lock:
            self._frames += 1
            self._done.append((now, now - taken_s))

    def left_out(self) -> None:
        """A frame in which nothing moved."""
        with self._lock:
            self._still += 1

    def figures(self) -> Figures:
        """How it went lately."""
        with self._lock:
            done, inferences_s = list(self._done), list(self._inferences_s)
            frames, still = self._frames, self._still
        if not done:
            return Figures(frames=frames, still=still)
        # Up to now, so that the rate of a loop that hangs falls.
        span = self._clock_s() - done[0][0]
        rate = (len(done) - 1) / span if span > 0 and len(done) > 1 else 0.0
        latency_p50_ms, latency_p95_ms = _percentiles_ms([latency for _, latency in done])
        inference_p50_ms, inference_p95_ms = _percentiles_ms(inferences_s)
        return Figures(
            frames=frames,
            still=still,
            rate=rate,
            latency_p50_ms=latency_p50_ms,
            latency_p95_ms=latency_p95_ms,
            inference_p50_ms=inference_p50_ms,
            inference_p95_ms=inference_p95_ms,
        )


def _percentiles_ms(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    if not seconds:
        return None, None
    middle, high = np.percentile(seconds, [50, 95]) * 1e3
    return float(middle), float(high)
