"""A track's score: the median of its last ones, so that one odd frame changes nothing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def appended(scores: tuple[float, ...], score: float, *, window: int) -> tuple[float, ...]:
    """The last ``window`` scores with a new one; the oldest first."""
    return (*scores, score)[-window:]


def median_score(scores: Sequence[float]) -> float:
    """The median; of an even number the mean of the middle two.

    Raises:
        ValueError: there are none.
    """
    if not scores:
        raise ValueError("no scores")
    return float(statistics.median(scores))
