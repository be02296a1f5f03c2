"""The pictures of a run, from the recipe's ``[data]``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tartlet_host.dataset import check as checks
from tartlet_host.dataset.check import TRAIN, VALIDATION, CheckReport
from tartlet_host.dataset.from_motion import DESCRIPTION, label_from_motion, save
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.refine import refine
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.split import split_dataset
from tartlet_host.evaluate.predictor import Predictor
from tartlet_host.progress import Report
from tartlet_host.recipe import DataRecipe, Recipe
from tartlet_shared.errors import ConfigError, DatasetError


@dataclass(frozen=True, eq=False)
class RunData:
    """Pictures by what they are for.

    Attributes:
        train: to learn from.
        validation: decides everything that is to be decided: when to stop, what to keep.
        test: decides nothing; None where there are no such pictures.
        unlabelled: the unpruned network teaches the pruned one on them; None where there are none.
        origin: where the labels come from, in words; "" where the pictures came with them.
        sheets: contact sheets of labels that were made here.
    """

    train: Dataset
    validation: Dataset
    test: Dataset | None = None
    unlabelled: Dataset | None = None
    origin: str = ""
    sheets: tuple[Path, ...] = ()

    def parts(self) -> Mapping[str, Dataset]:
        """The labelled ones by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


def gather(recipe: Recipe, base: Path, folder: Path, report: Report) -> RunData:
    """Read, label and split what the recipe names.

    Args:
        recipe: its paths count from `base`.
        base: the recipe's folder.
        folder: where labels that are made here go.
        report: progress of the labelling.

    Raises:
        ConfigError: the recipe names no data.
        DatasetError: see `tartlet_host.dataset.read.read_dataset`.
        FootageUnreadable: footage to label is missing or damaged.
    """
    data = recipe.data
    if not data.train:
        raise ConfigError(
            "the recipe does not say where the pictures are",
            where="recipe: data.train",
            hint='add [data] with train = "FOLDER"; docs/recipe.md lists the keys',
        )
    train, origin, sheets = _training(recipe, base, folder, report)
    if data.validation:
        validation = read_dataset(base / data.validation, labels=recipe.labels)
    else:
        train, validation = split_dataset(train, data)
    test = read_dataset(base / data.test, labels=recipe.labels) if data.test else None
    unlabelled = None
    if data.unlabelled:
        unlabelled = read_dataset(base / data.unlabelled, labels=recipe.labels, unlabelled=True)
    return RunData(train, validation, test, unlabelled, origin, sheets)


def look(data: RunData, recipe: Recipe, report: Report, *, thumbnails: int) -> CheckReport:
    """Check the pictures as `tartlet data check` does.

    Raises:
        DatasetError: an error was found, which training would only hide.
    """
    found = checks.check(
        {TRAIN: data.train, VALIDATION: data.validation},
        canvas=recipe.input,
        strides=recipe.model.strides,
        thumbnails=thumbnails,
        progress=report,
    )
    worst = [finding for finding in found.findings if finding.level == "error"]
    if worst:
        more = found.number_of("error") - 1
        raise DatasetError(
            worst[0].text + (f" (and {more} more errors)" if more else ""),
            where=worst[0].where or recipe.data.train,
            hint=worst[0].hint + "; `tartlet data check` shows all",
        )
    return found


def refined(data: RunData, predictor: Predictor, folder: Path, report: Report) -> RunData:
    """The labels from motion once more, with what a trained network sees merged in."""
    parts = []
    total = len(data.train.samples) + len(data.validation.samples)
    done = 0
    for part in (data.train, data.validation):
        samples: list[Sample] = []
        for sample in part.samples:
            samples.append(refine(sample, predictor.predict(read_picture(sample))))
            done += 1
            report(done, total)
        parts.append(dataclasses.replace(part, samples=tuple(samples)))
    train, validation = parts
    made = save(train, folder, f"{DESCRIPTION} Refined with a trained network.")
    return dataclasses.replace(
        data,
        train=train,
        validation=validation,
        origin=f"{data.origin}, refined with a trained network",
        sheets=made.sheets,
    )


def _training(
    recipe: Recipe, base: Path, folder: Path, report: Report
) -> tuple[Dataset, str, tuple[Path, ...]]:
    path = base / recipe.data.train
    if not recipe.data.motion:
        return read_dataset(path, labels=recipe.labels), "", ()
    labelled = label_from_motion(path, folder / "motion", recipe.labels[0], progress=report)
    return labelled.dataset, "from motion", labelled.sheets


def of_footage(dataset: Dataset, origin: str, sheets: tuple[Path, ...], test: Dataset) -> RunData:
    """Frames that were labelled from motion already: the last part of them is for validation."""
    settings = msgspec.structs.replace(DataRecipe(), split="time", validation_share=0.09)
    train, validation = split_dataset(dataset, settings)
    return RunData(train, validation, test, None, origin, sheets)
