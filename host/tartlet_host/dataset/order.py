"""Which picture is read when: each epoch in an order of its own, found without replaying the last.

"Even" sampling shows every picture once before any comes up again. "Balanced" sampling shows
pictures with rare classes more often, by repeat factors (A. Gupta et al., "LVIS", CVPR 2019).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.sample import Dataset
from tartlet_shared.errors import DatasetNotFound

Factors = NDArray[np.float64]
Order = Callable[[int], int]
"""The place in the data set of the n-th picture that is read; n may be negative."""

ORDER_STREAM = 0
"""Apart from the streams that draw views, so that both may use the same seed."""


def repeat_factors(dataset: Dataset) -> Factors:
    """How often each picture comes up in an epoch, ``(samples,)``, at least 1.

    A class that is in a part ``f`` of the pictures asks for ``sqrt(most / f)``, where ``most`` is
    the commonest class's part; a picture gets the largest factor of its classes. (LVIS has a fixed
    threshold in the place of ``most``; it fits its 1200 classes, not a handful.)
    """
    count = len(dataset.samples)
    seen = np.zeros((count, len(dataset.labels)), np.bool_)
    for row, sample in enumerate(dataset.samples):
        seen[row, sample.class_ids[~sample.ignore]] = True
    pictures = seen.sum(axis=0)
    wanted = np.sqrt(pictures.max(initial=0) / np.maximum(pictures, 1))
    factors: Factors = np.where(seen, wanted, 1.0).max(axis=1, initial=1.0)
    return factors


def picture_order(count: int, seed: int, factors: Factors | None = None) -> Order:
    """The order in which ``count`` pictures are read, a function of its arguments alone.

    Args:
        count: pictures in the data set.
        seed: any integer.
        factors: from `repeat_factors`; without them every picture comes up once an epoch.

    Raises:
        DatasetNotFound: there are no pictures.
    """
    if count == 0:
        raise DatasetNotFound("the data set has no pictures", hint="tartlet label makes one")
    ends = None if factors is None else np.cumsum(factors)
    # All epochs are equally long, so that the epoch of a number is a division away.
    length = count if ends is None else max(1, math.floor(ends[-1]))

    # A handful of pictures makes for many epochs in one batch, a large set for one or two.
    @functools.lru_cache(maxsize=2 + 4096 // length)
    def epoch(number: int) -> NDArray[np.int32]:
        rng = np.random.default_rng([seed % 2**64, ORDER_STREAM, number % 2**64])
        if ends is None:
            shown = np.arange(count, dtype=np.int32)
        else:
            # Systematic sampling: a factor of 2.3 gives two copies or three, 2.3 on average.
            points = (rng.uniform() + np.arange(length)) * (ends[-1] / length)
            shown = np.searchsorted(ends, points, side="right").clip(max=count - 1).astype(np.int32)
        return rng.permutation(shown)

    def at(number: int) -> int:
        return int(epoch(number // length)[number % length])

    return at
