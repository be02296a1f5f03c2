"""What goes into each training picture: chosen here, drawn in `training_picture`.

A plan is a function of (data set, recipe, seed, step, slot) alone, so that any process can draw any
picture of any step, and a run that goes on after a break draws the same as one without.

An echo uses a decoded picture again in another view before the next is read (D. Choi et al.,
"Faster Neural Network Training with Data Echoing", 2019). Its uses are spread: with B pictures a
step, the second comes B reads after the first, so that a step never shows the same picture twice
and every step reads as many new ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tartlet_host.dataset.copy_paste import Donor, donors_of
from tartlet_host.dataset.order import picture_order, repeat_factors
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import AugmentRecipe, TrainRecipe

PLAN_STREAM, VIEW_STREAM = 1, 2
WINDOW_STEPS = 4
"""Pictures to mix with and to paste from are of the last so many steps' reads: those are still in
memory, where a picture from anywhere would have to be read."""

Mix = Literal["none", "mosaic", "mixup", "cutmix"]


@dataclass(frozen=True, eq=False)
class Plan:
    """One training picture.

    Attributes:
        place: the picture's place in the data set.
        sample: the picture itself.
        mix: how others come into it.
        others: three for a mosaic, one for mixup and cutmix.
        donors: objects to paste into it.
        seed: (seed, step, slot), of the views it is drawn in.
    """

    place: int
    sample: Sample
    mix: Mix
    others: tuple[Sample, ...]
    donors: tuple[Donor, ...]
    seed: tuple[int, int, int]

    def generator(self) -> np.random.Generator:
        """Decides everything that the plan leaves open."""
        return _generator(VIEW_STREAM, self.seed)


def reads_in_use(run: TrainRecipe) -> int:
    """How many pictures, the last ones read, may be wanted again in a moment."""
    recipe = run.augment
    mixes = recipe.mosaic + recipe.mixup + recipe.cutmix > 0 or recipe.paste > 0
    return max(
        WINDOW_STEPS * run.batch_size if mixes else 0,
        run.echo * (run.batch_size + 1) if run.echo > 1 else 0,
    )


Planner = Callable[[int, int], Plan]
"""From (step, slot of the step) to what is drawn there."""


def planner(dataset: Dataset, run: TrainRecipe) -> Planner:
    """The plans of a run.

    Raises:
        DatasetNotFound: the data set is empty.
    """
    factors = repeat_factors(dataset) if run.sampling == "balanced" else None
    order = picture_order(len(dataset.samples), run.seed, factors)
    window = WINDOW_STEPS * run.batch_size

    # Finding a sample's donors costs a fraction of a millisecond; windows overlap.
    @functools.lru_cache(maxsize=2 * window)
    def donors_at(place: int) -> tuple[Donor, ...]:
        return donors_of(dataset.samples[place])

    def plan(step: int, slot: int) -> Plan:
        rng = _generator(PLAN_STREAM, (run.seed, step, slot))
        use = step * run.batch_size + slot
        # Negative in the first steps, where echoes and windows reach back before the start.
        read = use // run.echo - use % run.echo * run.batch_size
        mix, count = _mix(rng, run.augment)
        back = rng.choice(window, count, replace=False) if count else ()
        earlier = [order(read - 1 - int(reads)) for reads in back]
        pasted = int(rng.integers(run.augment.paste + 1))
        donors: list[Donor] = []
        if pasted:
            places = [order(number) for number in range(read - window, read)]
            there = [donor for other in places for donor in donors_at(other)]
            if there:
                donors = [there[int(rng.integers(len(there)))] for _ in range(pasted)]
        place = order(read)
        return Plan(
            place,
            dataset.samples[place],
            mix,
            tuple(dataset.samples[other] for other in earlier),
            tuple(donors),
            (run.seed, step, slot),
        )

    return plan


def _mix(rng: np.random.Generator, recipe: AugmentRecipe) -> tuple[Mix, int]:
    drawn = rng.uniform()
    if drawn < recipe.mosaic:
        return "mosaic", 3
    if drawn < recipe.mosaic + recipe.mixup:
        return "mixup", 1
    if drawn < recipe.mosaic + recipe.mixup + recipe.cutmix:
        return "cutmix", 1
    return "none", 0


def _generator(stream: int, seed: tuple[int, int, int]) -> np.random.Generator:
    run_seed, step, slot = seed
    return np.random.default_rng([run_seed % 2**64, stream, step, slot])
