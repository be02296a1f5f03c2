"""One optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from tartlet_host.dataset.augment import PAD_VALUE as PAD_PIXEL
from tartlet_host.dataset.loader import NORMALIZATION_MEAN, NORMALIZATION_SCALE, Batch
from tartlet_host.model.assigner import Targets
from tartlet_host.model.detector import Detector, HeadOutput
from tartlet_host.model.loss import Flat, Loss, detection_loss, flatten
from tartlet_host.recipe import TrainRecipe
from tartlet_host.train import distributed
from tartlet_host.train.distributed import ALONE, Processes
from tartlet_host.train.gradients import add_gradients
from tartlet_host.train.out_of_memory import in_parts
from tartlet_host.train.training import Training
from tartlet_shared.errors import ModelError

PAD_VALUE = (PAD_PIXEL - NORMALIZATION_MEAN) / NORMALIZATION_SCALE


@dataclass(frozen=True)
class Plan:
    """What stays the same for all steps of a run.

    Attributes:
        run: the recipe's settings.
        labels: class names.
        device: where the network is.
        mixed: compute in 16 bits.
        teacher: a network to imitate, on the same device.
        processes: that train together.
    """

    run: TrainRecipe
    labels: tuple[str, ...]
    device: torch.device
    mixed: bool = False
    teacher: Detector | None = None
    processes: Processes = ALONE


def take_step(training: Training, batch: Batch, plan: Plan) -> Loss:
    """Gradients of one batch, averaged over all processes, and one step with them.

    The network must be in its mode and the optimizer at its rate. Nothing is changed where the
    gradients are no numbers.

    Raises:
        ModelError: the loss or its gradient is not finite, or the memory does not suffice.
    """
    optimizer, scaler = training.optimizer, training.scaler
    moved = batch_on(batch, plan.device)

    def clear() -> None:
        optimizer.zero_grad(set_to_none=True)

    def compute(parts: int) -> Loss:
        return add_gradients(
            training.detector,
            moved.pictures,
            loss_of(training.detector, moved, plan, training.step),
            scale=scaler.scale,
            mixed=plan.mixed,
            parts=parts,
        )

    clear()
    # A lone process may compute a batch again in parts; of several, the others would wait in vain.
    most = len(batch.pictures) if plan.processes.size == 1 else 1
    loss, training.parts = in_parts(compute, clear, parts=training.parts, most=most)
    total = loss.total.detach()
    if plan.processes.size > 1:
        distributed.average(plan.processes, [total, *_shared(training.detector)])
    _refuse_nonsense(float(total), "loss", training.step)
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(training.detector.parameters(), plan.run.gradient_clip)
    if not plan.mixed:  # else the scaler leaves such a step out and scales less from then on
        _refuse_nonsense(float(norm), "gradient", training.step)
    scaler.step(optimizer)
    scaler.update()
    training.average.update(training.detector)
    return Loss(total, loss.score, loss.box, loss.imitation)


def loss_of(
    detector: Detector, batch: Batch, plan: Plan, step: int
) -> Callable[[list[HeadOutput]], Loss]:
    """The loss of the network's outputs for `batch` at `step`, as a function of those outputs."""
    run = plan.run
    imitated = _imitated(detector, batch, plan)
    mean = None if plan.processes.size == 1 else _mean_over(plan.processes)

    def compute(outputs: list[HeadOutput]) -> Loss:
        return detection_loss(
            flatten(outputs, detector.strides),
            batch.targets,
            run.loss,
            plan.labels,
            by_geometry=step < round(run.steps * run.assignment_warmup),
            teacher=imitated,
            imitation_weight=run.distillation,
            mean=mean,
        )

    return compute


def batch_on(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device."""
    if device.type == "cpu":
        return batch
    targets = batch.targets
    return Batch(
        batch.pictures.to(device, non_blocking=True, memory_format=torch.channels_last),
        Targets(
            targets.boxes.to(device),
            targets.class_ids.to(device),
            targets.present.to(device),
            targets.ignore.to(device),
        ),
    )


@torch.no_grad()
def _imitated(detector: Detector, batch: Batch, plan: Plan) -> Flat | None:
    teacher = plan.teacher
    if teacher is None or plan.run.distillation == 0:
        return None
    height, width = batch.pictures.shape[2:]
    # A pruned network may have lost the coarsest level, and its canvas fit the others only: the
    # teacher sees that canvas with a border, and its cells there are left out.
    coarsest = teacher.strides[-1]
    border = (0, -width % coarsest, 0, -height % coarsest)
    pictures = nn.functional.pad(batch.pictures, border, value=PAD_VALUE)
    with torch.autocast(plan.device.type, torch.float16, enabled=plan.mixed):
        outputs = teacher(pictures)
    strides = detector.strides
    shared = [
        (
            scores[..., : height // stride, : width // stride],
            boxes[..., : height // stride, : width // stride],
        )
        for (scores, boxes), stride in zip(outputs, strides, strict=False)
    ]
    return flatten(shared, strides)


def _mean_over(processes: Processes) -> Callable[[torch.Tensor], torch.Tensor]:
    def mean(value: torch.Tensor) -> torch.Tensor:
        shared = value.detach().clone()
        distributed.average(processes, [shared])
        return shared

    return mean


def _shared(detector: Detector) -> list[torch.Tensor]:
    """What the processes average: gradients, and the statistics of norms that still learn."""
    shared = [each.grad for each in detector.parameters() if each.grad is not None]
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d) and module.training:
            assert module.running_mean is not None
            assert module.running_var is not None
            shared += [module.running_mean, module.running_var]
    return shared


def _refuse_nonsense(value: float, name: str, step: int) -> None:
    if not math.isfinite(value):
        raise ModelError(
            f"the {name} is {value} in step {step + 1}",
            where="train",
            hint="lower train.learning_rate (tartlet train --find-rate suggests one)",
        )
