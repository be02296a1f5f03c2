"""What the looks at the validation set decide: which weights are the best, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence

Look = tuple[int, float]
"""A step (as many were done) and the mAP50 that the averaged weights had there."""


def is_due(step: int, steps: int, every: int) -> bool:
    """Whether one looks after `step` (1-based): at the end, and after each `every` steps if any."""
    return step == steps or (every > 0 and step % every == 0)


def best_look(looks: Sequence[Look]) -> Look:
    """The highest mAP50; of equal ones the latest, whose weights have seen more."""
    return max(looks, key=lambda look: (look[1], look[0]))


def is_over(looks: Sequence[Look], patience: int) -> bool:
    """Whether the last `patience` looks all brought nothing above what was there before."""
    if patience == 0 or len(looks) <= patience:
        return False
    before = max(value for _, value in looks[:-patience])
    return all(value <= before for _, value in looks[-patience:])
