"""Learning rate and momentum over a run.

Two shapes. A cosine: a linear rise, then half a cosine down (I. Loshchilov, F. Hutter, "SGDR",
ICLR 2017). One cycle: up along half a cosine from a small rate, down to almost nothing, and
momentum the other way round, so that steps with a large rate forget sooner (L. Smith, "A
disciplined approach to neural network hyper-parameters", 2018).
"""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "one-cycle"]

FLOOR = 0.02  # of the peak, at a cosine's end: the last steps still move
CYCLE_START = 1 / 25  # of the peak
CYCLE_END = CYCLE_START / 1e4
MOMENTUM_SWING = 0.1  # so much lower at the highest rate


def learning_rate(
    step: int, steps: int, peak: float, warmup: float, schedule: Schedule = "cosine"
) -> float:
    """Rate of `step` (0-based) of `steps`; it rises over the first `warmup` part of the steps."""
    rising = max(1, round(steps * warmup))
    if schedule == "one-cycle":
        low = CYCLE_END if step >= rising else CYCLE_START
        return peak * (low + (1 - low) * _height(step, steps, rising))
    if step < rising:
        return peak * (step + 1) / rising
    progress = (step - rising) / max(1, steps - rising)
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress)))


def momentum(step: int, steps: int, highest: float, warmup: float, schedule: Schedule) -> float:
    """Momentum of `step`: `highest`, or in one cycle falling and rising against the rate."""
    if schedule == "cosine":
        return highest
    rising = max(1, round(steps * warmup))
    return max(0.0, highest - MOMENTUM_SWING * _height(step, steps, rising))


def _height(step: int, steps: int, rising: int) -> float:
    """0..1: up to 1 at the last of the `rising` steps, back to 0 at the last of all."""
    top = rising - 1
    if step <= top:
        part = step / top if top else 1.0
        return 0.5 * (1 - math.cos(math.pi * part))
    return 0.5 * (1 + math.cos(math.pi * (step - top) / max(1, steps - 1 - top)))
