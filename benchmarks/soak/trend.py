"""Whether a series of samples grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCKS = 12


@dataclass(frozen=True)
class Trend:
    """A straight line through a series.

    Attributes:
        slope: per hour, in the series' unit.
        error: the slope's standard error.
        hours: that the series spans.
    """

    slope: float
    error: float
    hours: float

    def grows(self, allowance: float) -> bool:
        """Whether it surely grew by more than ``allowance`` in all: by two standard errors."""
        return (self.slope - 2 * self.error) * self.hours > allowance

    def __str__(self) -> str:
        return f"{self.slope:+.2f} ± {self.error:.2f} per hour"


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line by least squares through the means of `BLOCKS` blocks.

    Neighbouring samples of a process's memory are nearly equal, so their number says nothing about
    how well the slope is known; means of long blocks are nearly independent.
    """
    hours = np.array(seconds, np.float64) / 3600
    blocks = min(BLOCKS, len(hours))
    if blocks < 3:
        return Trend(0.0, float("inf"), 0.0)
    x = np.array([each.mean() for each in np.array_split(hours, blocks)])
    y = np.array([each.mean() for each in np.array_split(np.array(values, np.float64), blocks)])
    x0 = x - x.mean()
    slope = float(x0 @ y / (x0 @ x0))
    rest = y - y.mean() - slope * x0
    error = float(np.sqrt(rest @ rest / (blocks - 2) / (x0 @ x0)))
    return Trend(slope, error, float(hours[-1] - hours[0]))
