"""From a checkpoint to model files of several precisions, of which int8 holds the gate."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate import mean_average_precision as precision_of
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.evaluate.validation import map50_of_network
from tartlet_host.quantize import aware, calibration, conversion, gate
from tartlet_host.quantize.conversion import USUAL, Precision, RuntimeName
from tartlet_host.quantize.gate import Gated
from tartlet_host.recipe import QuantizeRecipe, Recipe
from tartlet_host.train import checkpoint as checkpoints
from tartlet_shared import errors

Report = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[Report]]
"""Opens the progress of one stage, by its name for people; see `tartlet_host.progress.bar`."""


@dataclass(frozen=True)
class Candidates:
    """What came of a checkpoint.

    Attributes:
        checkpoint: what the files were made from: the given one, or the one trained aware of int8.
        reference: mAP50 of the given float network on the validation pictures, in ``[0, 1]``.
        gated: the files, what was measured of them and which int8 file of each runtime holds.
    """

    checkpoint: Path
    reference: float
    gated: Gated


def _silent(name: str) -> AbstractContextManager[Report]:
    return nullcontext(lambda done, total: None)


def make(
    checkpoint: Path,
    folder: Path,
    dataset: Dataset,
    validation: Dataset,
    *,
    runtimes: Sequence[RuntimeName],
    precisions: Sequence[Precision] = USUAL,
    quantize: QuantizeRecipe | None = None,
    stage: Stage = _silent,
) -> Candidates:
    """Convert, quantize, measure, and keep layers float where int8 loses too much.

    Args:
        checkpoint: as `tartlet_host.train.checkpoint` writes it.
        folder: where the files go.
        dataset: training pictures, to calibrate with and for training aware of int8.
        validation: pictures to measure the loss on.
        runtimes, precisions: as in `conversion.convert`.
        quantize: instead of the recipe's inside the checkpoint.
        stage: shows progress.

    Raises:
        ParityFailed: int8 loses more than the recipe allows, for every runtime.
        CheckpointCorrupt, ConversionFailed, DatasetError, PictureUnreadable: as the parts do.
    """
    loaded = checkpoints.load(checkpoint)
    settings = quantize or loaded.recipe.quantize
    recipe = msgspec.structs.replace(loaded.recipe, quantize=settings)
    with stage("Measuring the float network"):
        reference = map50_of_network(loaded.detector, recipe, validation)
    if settings.aware_steps:
        with stage("Training with simulated int8") as report:
            checkpoint = _train_aware(checkpoint, folder, loaded, recipe, dataset, report)
    with stage("Reading calibration pictures") as report:
        pictures = calibration.collect(dataset, recipe, progress=report)
    with tempfile.TemporaryDirectory(prefix="tartlet-quantize-") as scratch:
        with stage("Converting and quantizing"):
            made = conversion.convert(
                checkpoint,
                folder,
                runtimes=runtimes,
                calibration=pictures,
                precisions=precisions,
                quantize=settings,
                scratch=Path(scratch),
            )
        with stage("Measuring int8") as report:
            gated = gate.hold(
                made,
                settings,
                reference=reference,
                measure=lambda path: map50(path, validation, recipe.labels, report),
                keep_more_float=lambda current: conversion.keep_more_float(
                    checkpoint,
                    current,
                    calibration=pictures,
                    quantize=settings,
                    scratch=Path(scratch),
                ),
            )
    return Candidates(checkpoint, reference, gated)


def map50(
    path: Path, dataset: Dataset, labels: tuple[str, ...], progress: Report | None = None
) -> float:
    """Mean average precision at IoU 0.5 of a model file, in ``[0, 1]``, as the device computes."""
    aligned = precision_of.align(dataset, labels)
    predictor = open_predictor(path, labels=labels)
    found = precision_of.predict_all(predictor, aligned, progress=progress)
    return precision_of.measure(aligned, found).map50


def _train_aware(
    checkpoint: Path,
    folder: Path,
    loaded: checkpoints.Checkpoint,
    recipe: Recipe,
    dataset: Dataset,
    report: Report,
) -> Path:
    fitted = aware.train_aware(
        loaded.detector, dataset, recipe, progress=lambda now: report(now.step, now.steps)
    )
    path = folder / f"{checkpoint.stem}-aware.safetensors"
    checkpoints.save(
        path,
        loaded.detector,
        loaded.recipe,
        metrics={"seconds": fitted.seconds},
        parent=loaded.digest,
        pruning_history=loaded.pruning_history,
    )
    return path


def validation_part(dataset: Dataset, most: int) -> Dataset:
    """Pictures of the training set to measure on where there are no others; too kind by nature.

    Raises:
        DatasetError: none of them has a box.
    """
    labelled = tuple(each for each in dataset.samples if each.labelled)
    chosen = calibration.spread(labelled, most)
    if not any((~each.ignore).any() for each in chosen):
        raise errors.DatasetError(
            "no picture has a box to measure the loss on",
            hint="name labelled pictures with --validation",
        )
    return Dataset(dataset.labels, chosen)
