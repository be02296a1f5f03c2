"""From the values that an activation takes to the range that its integers cover.

A range that covers every value has coarse steps; one that cuts the rarest off has finer steps for
all others. Which is better depends on the network, so the recipe chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_host.recipe import QuantizeRecipe

BINS = 2048
LEVELS = 256
"""What 8 bits keep of a histogram; the source has 128, for ranges that are symmetric."""

WINDOWS = 64
"""Candidates for an entropy range, from all values to an eighth of them."""

MOST_VALUES = 1 << 16
"""Per tensor and picture: the distribution of a large map shows in every n-th of its values."""

Activations = Mapping[str, NDArray[Any]]


class Range(msgspec.Struct, frozen=True):
    """Smallest and largest value that has an integer of its own."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values fall into `BINS` equal parts of ``[low, high]``."""

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def edges(self) -> NDArray[np.float64]:
        """``BINS + 1`` ends of the bins."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)


def ranges(
    activations: Callable[[], Iterable[Activations]], recipe: QuantizeRecipe
) -> dict[str, Range]:
    """The range of every activation.

    Args:
        activations: starts a walk over the calibration pictures that gives each one's tensors by
            name; called twice where a histogram is needed, since its ends come first.
        recipe: chooses the method.
    """
    widest: dict[str, Range] = {}
    for tensors in activations():
        for name, values in tensors.items():
            low, high = float(values.min()), float(values.max())
            before = widest.get(name, Range(low, high))
            widest[name] = Range(min(low, before.low), max(high, before.high))
    if recipe.calibration == "min-max":
        return widest
    counts = {name: np.zeros(BINS, np.int64) for name in widest}
    for tensors in activations():
        for name, values in tensors.items():
            ends = widest[name]
            flat = values.reshape(-1)[:: max(1, values.size // MOST_VALUES)]
            counts[name] += np.histogram(flat, BINS, (ends.low, ends.high))[0]
    found = {}
    for name, ends in widest.items():
        histogram = Histogram(ends.low, ends.high, counts[name])
        found[name] = (
            percentile(histogram, recipe.percentile)
            if recipe.calibration == "percentile"
            else entropy(histogram)
        )
    return found


def percentile(histogram: Histogram, percent: float) -> Range:
    """The range that holds ``percent`` of the values; as many are cut off at either end."""
    total = int(histogram.counts.sum())
    if total == 0:
        return Range(histogram.low, histogram.high)
    share = np.concatenate([[0.0], np.cumsum(histogram.counts) / total])
    outside = (1 - percent / 100) / 2
    edges = histogram.edges
    first = int(np.searchsorted(share, outside, side="right")) - 1
    last = int(np.searchsorted(share, 1 - outside, side="left"))
    return Range(float(edges[max(0, first)]), float(edges[min(last, len(edges) - 1)]))


def entropy(histogram: Histogram) -> Range:
    """The range whose integers tell most about the values: least Kullback-Leibler divergence.

    Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017. There ranges are symmetric; here
    bins are taken off the end that is farther from zero, so that the zero of an activation after a
    rectifier stays where it is. Zeros themselves are exact in every range and are not counted: half
    of the values behind a rectifier are zeros, and with them the best range would shrink to a
    sixteenth, which cost a detector two thirds of its mAP50.
    """
    edges = histogram.edges
    counts = _without_zeros(histogram.counts.astype(np.float64), edges)
    if counts.sum() == 0:
        return Range(histogram.low, histogram.high)
    best, least = (0, len(counts)), np.inf
    for first, last in _windows(edges):
        divergence = _divergence(counts, first, last)
        if divergence < least:
            best, least = (first, last), divergence
    return Range(float(edges[best[0]]), float(edges[best[1]]))


def _without_zeros(counts: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bin that holds zero has no more than the fuller one beside it."""
    place = int(np.searchsorted(edges, 0.0, side="right")) - 1
    if not 0 <= place < len(counts):
        return counts
    beside = np.concatenate([counts[max(0, place - 1) : place], counts[place + 1 : place + 2]])
    counts = counts.copy()
    counts[place] = min(counts[place], beside.max())
    return counts


def _windows(edges: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Bins (first, last) of smaller and smaller ranges around zero, the whole one first."""
    farthest = float(np.abs(edges).max())
    found = []
    for kept in np.linspace(1.0, LEVELS / BINS, WINDOWS):
        first = int(np.searchsorted(edges, -farthest * kept, side="left"))
        last = int(np.searchsorted(edges, farthest * kept, side="right")) - 1
        if last - first >= LEVELS and (first, last) not in found:
            found.append((first, last))
    return found


def _divergence(counts: NDArray[np.float64], first: int, last: int) -> float:
    """Of the values, those outside moved to the ends, from what 8 bits keep of those inside."""
    inside = counts[first:last]
    reference = inside.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    # Each level stands for its bins; a bin that was empty stays empty.
    level = np.minimum(np.arange(len(inside)) * LEVELS // len(inside), LEVELS - 1)
    sums = np.bincount(level, weights=inside, minlength=LEVELS)
    filled = np.bincount(level, weights=inside > 0, minlength=LEVELS)
    kept = np.where(inside > 0, (sums / np.maximum(filled, 1))[level], 0.0)
    if kept.sum() == 0:
        return float(np.inf)
    p, q = reference / reference.sum(), kept / kept.sum()
    # Values moved to an end whose own bin was empty would make the divergence infinite.
    q = np.where((p > 0) & (q == 0), 1e-12, q)
    mask = p > 0
    return float(np.sum(p[mask] * np.log(p[mask] / q[mask])))
