"""Learning rate over a run."""

from __future__ import annotations

import math

FLOOR = 0.02  # of the peak, at the end: the last steps still move


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Rate of `step` (0-based) of `steps`: rises in a line over the first `warmup` part, then
    falls along half a cosine to `FLOOR` times the peak (I. Loshchilov, F. Hutter, "SGDR",
    ICLR 2017).
    """
    rising = max(1, round(steps * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    progress = (step - rising) / max(1, steps - rising)
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress)))
