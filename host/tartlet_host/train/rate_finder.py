"""Which learning rate suits a network and its data.

The range test: a short training whose rate grows by a constant factor with each step. The loss
stands still while the rate is too small, falls, and rises when it is too large. Source: L. Smith,
"Cyclical Learning Rates for Training Neural Networks" (WACV 2017, arXiv:1506.01186), section 3.3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from tartlet_host.dataset.loader import training_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.freezing import set_mode
from tartlet_host.train.rehearsal import rehearsing
from tartlet_host.train.step import take_step
from tartlet_shared.errors import ModelError

LOWEST, HIGHEST = 1e-5, 1.0
STEPS = 100
# Smoothing of the losses: a median takes single hard batches out, a Gaussian the rest of the noise.
MEDIAN_OF = 5
SIGMA = 3.0  # steps
# The loss may rise to this many times its lowest value before the test has seen enough.
DIVERGED = 2.0
FELL = 0.9  # of the first loss: less of a fall is noise


@dataclass(frozen=True)
class RateCurve:
    """Loss against learning rate.

    Attributes:
        rates: of the steps taken, rising by a constant factor.
        losses: of those steps.
        smoothed: the losses without their noise; see `smooth`.
        suggestion: for train.learning_rate: the rate at which the loss falls fastest; None where
            it never fell.
        lowest_at: the rate at which the smoothed loss was lowest.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    lowest_at: float


def find_rate(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> RateCurve:
    """Take up to `steps` steps with a rising rate; the network gets its weights back.

    The test ends early where the loss has risen well above its lowest value.

    Raises:
        DatasetError, PictureUnreadable: see `tartlet_host.train.loop.fit`.
        ModelError: there is too little memory, or the very first loss is no number.
    """
    # As the first steps of the training will be: cells assigned by geometry, no early stopping.
    run = msgspec.structs.replace(recipe.train, steps=steps, assignment_warmup=1.0)
    factors = np.geomspace(LOWEST, HIGHEST, steps)
    losses: list[float] = []
    with (
        rehearsing(detector, dataset, run) as (training, plan),
        contextlib.closing(training_batches(dataset, recipe.input, run)) as batches,
    ):
        for step, batch in enumerate(batches):
            set_mode(detector, run, 0)
            for group in training.optimizer.param_groups:
                group["lr"] = factors[step] * group["peak"] / run.learning_rate
            try:
                losses.append(float(take_step(training, batch, plan).total))
            except ModelError:
                if not losses:
                    raise
                break  # no number any more: the far end of the curve
            if progress is not None:
                progress(step + 1, steps)
            smoothed = smooth(losses)
            if step > steps // 5 and smoothed[-1] > DIVERGED * min(smoothed):
                break
    return curve(tuple(factors[: len(losses)].tolist()), tuple(losses))


def curve(rates: tuple[float, ...], losses: tuple[float, ...]) -> RateCurve:
    """What losses at rising rates say."""
    smoothed = smooth(losses)
    lowest = int(np.argmin(smoothed))
    fell = lowest > 0 and smoothed[lowest] < FELL * smoothed[0]
    steepest = int(np.argmin(np.gradient(smoothed)[: lowest + 1])) if fell else 0
    return RateCurve(
        rates=rates,
        losses=losses,
        smoothed=tuple(smoothed),
        suggestion=rounded(rates[steepest]) if fell else None,
        lowest_at=rates[lowest],
    )


def smooth(losses: Sequence[float]) -> list[float]:
    """Median of `MEDIAN_OF` neighbours, then a Gaussian of `SIGMA` steps; no shift to the right."""
    reach = MEDIAN_OF // 2
    padded = np.pad(np.asarray(losses, np.float64), reach, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_OF), axis=1)
    places = np.arange(len(calm))
    weights = np.exp(-0.5 * ((places[:, None] - places) / SIGMA) ** 2)
    smoothed: list[float] = (weights @ calm / weights.sum(axis=1)).tolist()
    return smoothed


def rounded(rate: float) -> float:
    """To one significant digit: the test is no finer."""
    return float(f"{rate:.0e}")
