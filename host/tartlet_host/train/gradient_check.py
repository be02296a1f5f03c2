"""Gradients against finite differences.

The derivative that autograd gives is compared with (L(w + h) - L(w - h)) / 2h for a few weights of
each part of the network, in float64. It tells a broken layer or loss from one that is merely hard
to train. Cells are assigned by geometry: the alignment chooses cells by the network's own outputs,
and that choice, being discrete, has no derivative.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tartlet_host.dataset.loader import Batch, PictureStore, plain_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.assigner import Targets
from tartlet_host.model.detector import Detector
from tartlet_host.model.loss import detection_loss, flatten
from tartlet_host.recipe import InputRecipe, Recipe
from tartlet_shared.errors import DatasetError

CANVAS = InputRecipe(64, 64)  # small: the arithmetic is the same at every size
PICTURES = 2
WEIGHTS = 2  # of each part
STEP = 1e-6
# Differences in float64 agree to about 1e-7; a kink of ReLU6 or of the box loss between w - h and
# w + h can cost more.
LIMIT = 1e-3
# Below this a derivative is rounding noise of the loss and is compared absolutely.
SMALL = 1e-5


@dataclass(frozen=True)
class Part:
    """A part of the network.

    Attributes:
        name: "backbone.stem", "neck", "heads.0".
        checked: weights that were moved.
        error: largest relative difference between autograd and finite differences.
    """

    name: str
    checked: int
    error: float


@dataclass(frozen=True)
class GradientCheck:
    """All parts, and the parameters that get no gradient at all."""

    parts: tuple[Part, ...]
    without: tuple[str, ...]

    @property
    def error(self) -> float:
        return max(part.error for part in self.parts)

    @property
    def passed(self) -> bool:
        return self.error <= LIMIT and not self.without


def check_gradients(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> GradientCheck:
    """Check a copy of `detector` on the first pictures with boxes, on a small canvas.

    Raises:
        DatasetError: no picture has a box.
        PictureUnreadable: a picture is missing or damaged.
    """
    samples = [sample for sample in dataset.samples if (~sample.ignore).any()][:PICTURES]
    if not samples:
        raise DatasetError("the data set has no box to learn from", hint="label some pictures")
    few = Dataset(dataset.labels, tuple(samples))
    batch = _in_double(next(plain_batches(few, PictureStore(CANVAS, 0), CANVAS, PICTURES)))
    # Evaluation mode: the statistics of two pictures would tie all weights together.
    network = copy.deepcopy(detector).double().eval().requires_grad_(True)

    def loss() -> torch.Tensor:
        flat = flatten(network(batch.pictures), network.strides)
        return detection_loss(
            flat, batch.targets, recipe.train.loss, dataset.labels, by_geometry=True
        ).total

    loss().backward()  # type: ignore[no-untyped-call]
    parameters = dict(network.named_parameters())
    without = [name for name, each in parameters.items() if each.grad is None]
    names: dict[str, list[str]] = {}
    for name in parameters:
        if name not in without:
            names.setdefault(_part(name), []).append(name)
    rng = np.random.default_rng(recipe.train.seed)
    parts = []
    for done, (part, members) in enumerate(names.items()):
        chosen = rng.choice(members, WEIGHTS)
        errors = [_error(parameters[name], loss, rng) for name in chosen]
        parts.append(Part(part, len(errors), max(errors)))
        if progress is not None:
            progress(done + 1, len(names))
    return GradientCheck(tuple(parts), tuple(without))


@torch.no_grad()
def _error(
    parameter: nn.Parameter, loss: Callable[[], torch.Tensor], rng: np.random.Generator
) -> float:
    """Relative difference for one weight of a parameter, drawn among the larger gradients."""
    assert parameter.grad is not None
    gradients = parameter.grad
    strong = torch.topk(gradients.abs().flatten(), max(1, gradients.numel() // 4)).indices
    flat = int(strong[int(rng.integers(len(strong)))])
    place = np.unravel_index(flat, gradients.shape)
    before = float(parameter.data[place])
    losses = []
    for moved in (before + STEP, before - STEP):
        parameter.data[place] = moved
        losses.append(float(loss()))
    parameter.data[place] = before
    measured = (losses[0] - losses[1]) / (2 * STEP)
    computed = float(gradients[place])
    return abs(measured - computed) / max(abs(measured), abs(computed), SMALL)


def _part(name: str) -> str:
    """ "backbone.stages.2.0.expand.conv.weight" -> "backbone.stages.2"."""
    pieces = name.split(".")
    length = {"backbone": 3 if pieces[1] == "stages" else 2, "heads": 2}.get(pieces[0], 1)
    return ".".join(pieces[:length])


def _in_double(batch: Batch) -> Batch:
    targets = batch.targets
    doubled = Targets(targets.boxes.double(), targets.class_ids, targets.present, targets.ignore)
    return Batch(batch.pictures.double(), doubled)
