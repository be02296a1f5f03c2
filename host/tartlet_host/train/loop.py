"""The training loop."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tartlet_device import allocator
from tartlet_host.dataset.loader import training_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.validation import map50_of_network
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.model.layers import set_folded
from tartlet_host.model.loss import Loss
from tartlet_host.recipe import Recipe, TrainRecipe
from tartlet_host.train import distributed, early_stopping, state
from tartlet_host.train.distributed import ALONE, Processes
from tartlet_host.train.freezing import set_mode
from tartlet_host.train.log import TrainingLog, logging_to
from tartlet_host.train.optimizer import set_rate
from tartlet_host.train.precision import is_mixed
from tartlet_host.train.step import Plan, take_step
from tartlet_host.train.training import Stop, Training, Weights, begin, copied
from tartlet_shared.errors import DatasetError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainProgress:
    """Where a run stands.

    Attributes:
        step, steps: done, and in all.
        loss: of the last step.
        seconds: so far, earlier sittings included.
        rate: learning rate of the last step.
        map50: of the last look at the validation set; None before the first.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    rate: float = 0.0
    map50: float | None = None


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a run did.

    Attributes:
        losses: total loss of every step.
        seconds: wall-clock time of the whole run.
        pictures: pictures seen, repeats counted.
        looks: (step, mAP50 on the validation set) for every look, the last at the end.
        best_step: the step whose averaged weights are the result.
        map50: of the result on the validation set; None where there is no such set.
        last: averaged weights of the last step, where the result is an earlier one.
    """

    losses: tuple[float, ...]
    seconds: float
    pictures: int
    looks: tuple[early_stopping.Look, ...] = ()
    best_step: int = 0
    map50: float | None = None
    last: Weights | None = None


@dataclass(frozen=True)
class _Watch:
    """Who follows a run and may end it; see `fit`."""

    progress: Callable[[TrainProgress], None] | None = None
    on_validation: Callable[[int, float], None] | None = None
    stop: Stop | None = None
    log: TrainingLog | None = None


@dataclass(frozen=True)
class _Run:
    """All there is to a run; only `training` changes."""

    training: Training
    dataset: Dataset
    validation: Dataset | None
    recipe: Recipe
    plan: Plan
    watch: _Watch
    states: Path | None
    origin: state.Origin
    started: float

    def seconds(self) -> float:
        return self.training.seconds + time.monotonic() - self.started


def fit(
    detector: Detector,
    dataset: Dataset,
    recipe: Recipe,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
    validation: Dataset | None = None,
    teacher: Detector | None = None,
    settings: TrainRecipe | None = None,
    on_validation: Callable[[int, float], None] | None = None,
    states: Path | None = None,
    resume: bool = False,
    stop: Stop | None = None,
    log: Path | None = None,
    processes: Processes = ALONE,
) -> FitResult:
    """Train `detector` in place; it ends on the CPU, in evaluation mode, with averaged weights.

    The weights are those of the best look at the validation set, or without one of the last step.
    It runs on CUDA where there is CUDA.

    Args:
        detector: the network; if this raises, Ctrl-C included, its weights are undefined.
        dataset: what to learn, with the recipe's labels.
        recipe: canvas and, unless `settings` is given, the run's settings.
        progress: called after every step.
        validation: a set whose mAP50 is measured every `validate_every` steps and at the end.
        teacher: a trained network of the same strides and labels to imitate as well.
        settings: another run's settings, for fine-tuning.
        on_validation: called with the steps done and the mAP50 after every look; what it raises
            ends the run.
        states: a folder of its own for this run's states, written every `checkpoint_every` steps.
        resume: go on from the newest state in `states`.
        stop: asked after every step; true writes a state and raises `KeyboardInterrupt`.
        log: a folder for TensorBoard.
        processes: those that train together; each calls this with the same arguments, and the
            first alone writes, looks and reports.

    Raises:
        DatasetError: the set is empty, has other labels, or nothing to learn.
        PictureUnreadable: a picture is missing or damaged.
        ModelError: the loss is no longer a number, or there is too little memory; states stay.
        ConfigError: the device cannot compute as the recipe asks.
        CheckpointCorrupt: there is no whole state to go on from.
        UsageError: the state belongs to another run.
        TartletError: a state cannot be written; the earlier ones stay.
    """
    settings = settings or recipe.train
    _check(dataset, recipe)
    allocator.keep_freed_memory()
    device = distributed.device_of(processes)
    mixed = is_mixed(settings, device)
    started = time.monotonic()
    networks = [detector] if teacher is None else [detector, teacher]
    try:
        for network in networks:
            set_folded(network, True)
            channels_last(network).to(device)
        if teacher is not None:
            teacher.eval().requires_grad_(False)
        plan = Plan(settings, dataset.labels, device, mixed, teacher, processes)
        origin = state.origin_of(dataset, validation, recipe, settings, teacher, processes.size)
        torch.manual_seed(settings.seed)
        training = begin(detector, settings, mixed=mixed)
        if resume and states is not None:
            state.read(states, training, origin)
        watch = _Watch()
        with contextlib.ExitStack() as stack:
            if processes.first:
                shown = stack.enter_context(logging_to(log, training.step)) if log else None
                watch = _Watch(progress, on_validation, stop, shown)
            run = _Run(
                training,
                dataset,
                validation,
                recipe,
                plan,
                watch,
                states if processes.first else None,
                origin,
                started,
            )
            _train(run)
            return _finish(run)
    finally:
        for network in networks:
            set_folded(network, False)
            network.cpu().eval().requires_grad_(True)


def _train(run: _Run) -> None:
    training, settings, processes = run.training, run.plan.run, run.plan.processes
    batches = training_batches(
        run.dataset,
        run.recipe.input,
        settings,
        first_step=training.step,
        rank=processes.rank,
        world_size=processes.size,
    )
    with contextlib.closing(batches):  # ends the loader's workers, whatever happens here
        for batch in batches:
            if early_stopping.is_over(training.looks, settings.patience):
                logger.info("stopped early after %d steps", training.step)
                return
            set_mode(training.detector, settings, training.step)
            rate = set_rate(training.optimizer, settings, training.step)
            loss = take_step(training, batch, run.plan)
            training.losses.append(float(loss.total))
            if early_stopping.is_due(training.step, settings.steps, settings.validate_every):
                _look(run)
            _tell(run, loss, rate)
            _keep(run)


def _look(run: _Run) -> None:
    """Measure the averaged weights, and keep them where they are the best so far."""
    if run.validation is None:
        return
    training, processes = run.training, run.plan.processes
    network = training.average.network
    value = 0.0
    if processes.first:
        value = map50_of_network(network, run.recipe, run.validation)
    value = distributed.from_first(processes, value)
    training.looks.append((training.step, value))
    if early_stopping.best_look(training.looks)[0] == training.step:
        training.best = copied(network)
    if run.watch.log is not None:
        run.watch.log.look(training.step, value, network, run.recipe, run.validation)
    if run.watch.on_validation is not None:
        run.watch.on_validation(training.step, value)


def _tell(run: _Run, loss: Loss, rate: float) -> None:
    training = run.training
    if run.watch.log is not None:
        run.watch.log.step(training.step, loss, rate)
    if run.watch.progress is not None:
        map50 = training.looks[-1][1] if training.looks else None
        run.watch.progress(
            TrainProgress(
                training.step,
                run.plan.run.steps,
                training.losses[-1],
                run.seconds(),
                rate,
                map50,
            )
        )


def _keep(run: _Run) -> None:
    """Write a state where one is due, and stop where somebody wishes so."""
    every, step = run.plan.run.checkpoint_every, run.training.step
    wish = run.watch.stop is not None and run.watch.stop()
    stopping = distributed.any_of(run.plan.processes, wish)
    due = stopping or (every > 0 and step % every == 0)
    if due and run.states is not None:
        state.write(run.states, run.training, run.origin, seconds=run.seconds())
    if stopping:
        raise KeyboardInterrupt


def _finish(run: _Run) -> FitResult:
    """Leave the best weights in the network."""
    training = run.training
    last = training.average.network.state_dict()
    best_step, map50 = training.step, None
    if training.looks:
        best_step, map50 = early_stopping.best_look(training.looks)
    training.detector.load_state_dict(training.best or last)
    earlier = best_step != training.step
    return FitResult(
        losses=tuple(training.losses),
        seconds=run.seconds(),
        pictures=training.step * run.plan.run.batch_size,
        looks=tuple(training.looks),
        best_step=best_step,
        map50=map50,
        last={name: value.cpu() for name, value in last.items()} if earlier else None,
    )


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
