"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from tartlet_host.dataset.loader import Batch, PictureStore, plain_batches, training_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.model.layers import set_folded
from tartlet_host.model.loss import Loss, detection_loss, flatten
from tartlet_host.recipe import InputRecipe, Recipe, TrainRecipe
from tartlet_host.train.ema import MovingAverage
from tartlet_host.train.schedule import learning_rate
from tartlet_shared.errors import DatasetError, ModelError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainProgress:
    """Where a run stands: `step` of `steps` done, the last step's loss, seconds so far."""

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """What a run did.

    Attributes:
        losses: total loss of every step.
        seconds: wall-clock time of the whole run.
        pictures: pictures seen, repeats counted.
        validation_loss: of the result on the validation set, without augmentation; None where
            there is no such set.
    """

    losses: tuple[float, ...]
    seconds: float
    pictures: int
    validation_loss: float | None = None


def fit(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
    validation: Dataset | None = None,
    teacher: Detector | None = None,
    settings: TrainRecipe | None = None,
) -> FitResult:
    """Train `detector` in place; it ends in evaluation mode with the averaged weights.

    Args:
        detector: the network; if this raises, Ctrl-C included, its weights are undefined.
        dataset: what to learn, with the recipe's labels.
        recipe: canvas and, unless `settings` is given, the run's settings.
        progress: called after every step.
        validation: a set the loss is measured on at the end.
        teacher: a trained network of the same strides and labels to imitate as well.
        settings: another run's settings, for fine-tuning.

    Raises:
        DatasetError: the set is empty, has other labels, or nothing to learn.
        PictureUnreadable: a picture is missing or damaged.
        ModelError: the loss is no longer a number.
    """
    run = settings or recipe.train
    _check(dataset, recipe)
    started = time.monotonic()
    networks = [detector] if teacher is None else [detector, teacher]
    try:
        for network in networks:
            set_folded(network, True)
        losses = _train(detector, dataset, recipe.input, run, teacher, progress, started)
    finally:
        for network in networks:
            set_folded(network, False)
            network.eval().requires_grad_(True)
    return FitResult(
        losses=tuple(losses),
        seconds=time.monotonic() - started,
        pictures=run.steps * run.batch_size,
        validation_loss=None
        if validation is None
        else validation_loss(detector, validation, recipe.input, run),
    )


def _train(
    detector: Detector,
    dataset: Dataset,
    canvas: InputRecipe,
    run: TrainRecipe,
    teacher: Detector | None,
    progress: Callable[[TrainProgress], None] | None,
    started: float,
) -> list[float]:
    torch.manual_seed(run.seed)
    channels_last(detector).requires_grad_(True)
    _set_mode(detector, run, step=0)
    if teacher is not None:
        teacher.eval().requires_grad_(False)
    average = MovingAverage(detector, run.ema_decay)
    optimizer = _optimizer(detector, run)
    losses: list[float] = []
    for step, batch in enumerate(training_batches(dataset, canvas, run)):
        _set_mode(detector, run, step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, run.steps, group["peak"], run.warmup)
        loss = _loss_of(detector, batch, dataset.labels, run, step, teacher)
        value = float(loss.total.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss is {value} after {step} steps",
                where="train",
                hint="lower train.learning_rate",
            )
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(detector.parameters(), run.gradient_clip)
        optimizer.step()
        average.update(detector)
        losses.append(value)
        if progress is not None:
            progress(TrainProgress(step + 1, run.steps, value, time.monotonic() - started))
    detector.load_state_dict(average.network.state_dict())
    return losses


@torch.no_grad()
def validation_loss(
    detector: Detector, dataset: Dataset, canvas: InputRecipe, run: TrainRecipe
) -> float:
    """Mean loss of `detector`, in evaluation mode, on letterboxed pictures."""
    store = PictureStore(canvas, 0)
    total = 0.0
    for batch in plain_batches(dataset, store, canvas, run.batch_size):
        flat = flatten(detector(batch.pictures), detector.strides)
        loss = detection_loss(flat, batch.targets, run.loss, dataset.labels, by_geometry=False)
        total += float(loss.total) * len(batch.pictures)
    return total / max(1, len(dataset.samples))


def _loss_of(
    detector: Detector,
    batch: Batch,
    labels: tuple[str, ...],
    run: TrainRecipe,
    step: int,
    teacher: Detector | None,
) -> Loss:
    imitated = None
    if teacher is not None and run.distillation > 0:
        with torch.no_grad():
            levels = len(detector.strides)  # a pruned network may have lost the coarsest
            imitated = flatten(teacher(batch.pictures)[:levels], teacher.strides[:levels])
    return detection_loss(
        flatten(detector(batch.pictures), detector.strides),
        batch.targets,
        run.loss,
        labels,
        by_geometry=step < round(run.steps * run.assignment_warmup),
        teacher=imitated,
        imitation_weight=run.distillation,
    )


def _optimizer(detector: Detector, run: TrainRecipe) -> torch.optim.AdamW:
    """AdamW; the backbone has a smaller rate, vectors (biases, norms) decay nothing."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("backbone."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "peak": run.learning_rate * (run.backbone_rate if backbone else 1.0),
                "weight_decay": run.weight_decay if matrix else 0.0,
            }
            for (backbone, matrix), parameters in groups.items()
        ],
        lr=run.learning_rate,
        foreach=True,
    )


def _set_mode(detector: Detector, run: TrainRecipe, step: int) -> None:
    """Training mode, but for frozen stages and batch norms whose time is over."""
    detector.train()
    if step >= round(run.steps * run.freeze_backbone_normalization_after):
        _freeze_normalization(detector.backbone)
    if step >= round(run.steps * run.freeze_normalization_after):
        _freeze_normalization(detector.neck)
        _freeze_normalization(detector.heads)
    for stage in detector.backbone.first_stages(run.frozen_stages):
        stage.eval().requires_grad_(False)


def _freeze_normalization(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _check(dataset: Dataset, recipe: Recipe) -> None:
    if dataset.labels != recipe.labels:
        raise DatasetError(
            f"the data set's classes are {list(dataset.labels)}, "
            f"the recipe's {list(recipe.labels)}",
            where="recipe: labels",
            hint="give both the same names in the same order",
        )
    if not any((~sample.ignore).any() for sample in dataset.samples):
        raise DatasetError("the data set has no box to learn from", hint="label some pictures")
