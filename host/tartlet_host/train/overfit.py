"""Learning one batch by heart.

A network that cannot learn a handful of pictures will not learn thousands. It takes a minute and
tells wrong labels, a wrong canvas and broken code from data that are merely hard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tartlet_host.dataset.loader import PictureStore, plain_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.validation import map50_of_network
from tartlet_host.model.detector import Detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.freezing import set_mode
from tartlet_host.train.optimizer import set_rate
from tartlet_host.train.rehearsal import rehearsing
from tartlet_host.train.step import take_step
from tartlet_shared.errors import DatasetError

STEPS = 200
NEAR_ZERO = 0.1  # of the first loss
LEARNT = 0.9  # mAP50
SMALL_BOX = 8.0  # pixels: one cell of the finest level


@dataclass(frozen=True)
class Overfit:
    """How well a batch was learnt.

    Attributes:
        losses: of every step.
        map50: on the batch itself, afterwards.
        pictures, boxes: in the batch.
        smallest: side of the smallest box on the canvas, in pixels: the geometric mean of width
            and height.
        passed: the loss is near zero and the boxes are found.
    """

    losses: tuple[float, ...]
    map50: float
    pictures: int
    boxes: int
    smallest: float

    @property
    def left(self) -> float:
        """What is left of the loss: the last tenth of the steps against the first step."""
        tail = self.losses[-max(1, len(self.losses) // 10) :]
        return sum(tail) / len(tail) / self.losses[0]

    @property
    def passed(self) -> bool:
        return self.left <= NEAR_ZERO and self.map50 >= LEARNT


def overfit_batch(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> Overfit:
    """Train on the first pictures with boxes, as they are; the network gets its weights back.

    Raises:
        DatasetError: no picture has a box.
        PictureUnreadable: a picture is missing or damaged.
        ModelError: the loss is no longer a number, or there is too little memory.
    """
    few = _few(dataset, recipe.train.batch_size)
    # Cells assigned by geometry all along: goals that follow the network would make the loss of an
    # untrained one small as well.
    run = msgspec.structs.replace(
        recipe.train,
        steps=steps,
        batch_size=len(few.samples),
        assignment_warmup=1.0,
        weight_decay=0.0,
        ema_decay=0.9,
    )
    batch = next(plain_batches(few, PictureStore(recipe.input, 0), recipe.input, run.batch_size))
    with rehearsing(detector, dataset, run) as (training, plan):
        for step in range(steps):
            set_mode(detector, run, step)
            set_rate(training.optimizer, run, step)
            training.losses.append(float(take_step(training, batch, plan).total))
            if progress is not None:
                progress(step + 1, steps)
        losses = tuple(training.losses)
        map50 = map50_of_network(training.average.network, recipe, few)
    boxes = batch.targets.boxes[batch.targets.present]
    sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    return Overfit(losses, map50, len(few.samples), len(boxes), float(sides.min()))


def advice(found: Overfit) -> tuple[str, ...]:
    """What to look at where the batch was not learnt, the likeliest first; empty where it was."""
    if found.passed:
        return ()
    lines = []
    if found.smallest < SMALL_BOX:
        lines.append(
            f"the smallest box is {found.smallest:.0f} px on the canvas: make `input` larger"
        )
    if found.left <= NEAR_ZERO:
        lines.append("the loss is low, yet boxes are missed: objects too close together or small?")
    elif found.left > 0.5:
        lines.append("the loss hardly fell: a learning rate far too low or high (--find-rate)?")
    lines.append("do the boxes lie on their objects? look at the pictures with their labels")
    lines.append("is one object labelled twice, or one of two equal ones not at all?")
    return tuple(lines)


def _few(dataset: Dataset, count: int) -> Dataset:
    samples = [sample for sample in dataset.samples if (~sample.ignore).any()][:count]
    if not samples:
        raise DatasetError("the data set has no box to learn from", hint="label some pictures")
    return Dataset(dataset.labels, tuple(samples))
