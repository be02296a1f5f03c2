"""Look for what spoils training before time is spent on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tartlet_host.dataset import check_labels, check_leakage
from tartlet_host.dataset.check_labels import BoxTable, box_table
from tartlet_host.dataset.check_leakage import PictureTable, picture_table
from tartlet_host.dataset.findings import KINDS, Finding, Findings, Place
from tartlet_host.dataset.look import Look, Unreadable, look_at
from tartlet_host.dataset.sample import Dataset, count, count_pictures
from tartlet_host.progress import Report
from tartlet_host.recipe import InputRecipe
from tartlet_shared import errors

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True, eq=False)
class Part:
    """One data set that was checked.

    Attributes:
        dataset: its pictures and boxes, as far as they could be read.
        boxes: its boxes on the canvas.
        pictures: what was seen of its pictures.
        thumbnails: JPEGs of some of them, by place.
    """

    dataset: Dataset
    boxes: BoxTable
    pictures: PictureTable
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CheckReport:
    """All that a check found.

    Attributes:
        parts: "train", and "validation" if it was given.
        findings: errors first; of each kind at most `findings.KEPT`.
        counts: how many of each kind there are.
        canvas: of the network.
        strides: of its levels, the finest first.
    """

    parts: Mapping[str, Part]
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    canvas: InputRecipe
    strides: tuple[int, ...]

    def number_of(self, level: str) -> int:
        """How many errors, or warnings."""
        return sum(count for kind, count in self.counts.items() if KINDS[kind].level == level)


def check(
    datasets: Mapping[str, Dataset],
    *,
    canvas: InputRecipe | None = None,
    strides: Sequence[int] = (8, 16, 32),
    problems: Mapping[str, Sequence[errors.DatasetError]] | None = None,
    random_split: bool = True,
    thumbnails: int = 0,
    processes: int | None = None,
    progress: Report | None = None,
) -> CheckReport:
    """Check one data set, or two that a model is trained on and judged by.

    Each picture is decoded once.

    Args:
        datasets: "train" and, if there is one, "validation".
        canvas, strides: of the network that is to be trained.
        problems: what was wrong with the label files of each, from `read_dataset`.
        random_split: whether validation pictures will be chosen at random, where none were given.
        thumbnails: pictures of each data set that are kept small, evenly spread.
        processes: see `look.look_at`.
        progress: told after each picture.

    Raises:
        DatasetError: a process that decoded pictures was ended from outside.
    """
    canvas = canvas or InputRecipe()
    findings = Findings()
    total = sum(len(dataset.samples) for dataset in datasets.values())
    done = 0
    parts: dict[str, Part] = {}
    for name, dataset in datasets.items():
        for problem in (problems or {}).get(name, ()):
            findings.add(_from_problem(problem))
        wanted = _spread(len(dataset.samples), thumbnails)
        looks: list[Look | Unreadable] = []
        small: dict[int, bytes] = {}
        seen = look_at(dataset.samples, thumbnails=wanted, processes=processes)
        with contextlib.closing(seen):
            for look in seen:
                if isinstance(look, Unreadable):
                    findings.add(_from_unreadable(look, Place(name, len(looks))))
                elif look.thumbnail is not None:
                    small[len(looks)] = look.thumbnail
                    look = replace(look, thumbnail=None)
                looks.append(look)
                done += 1
                if progress is not None:
                    progress(done, total)
        table = picture_table(dataset, looks)
        parts[name] = Part(dataset, box_table(dataset, canvas), table, small)
        for finding in _of_part(name, parts[name], canvas, min(strides)):
            findings.add(finding)
    if VALIDATION in parts:
        tables = {name: part.pictures for name, part in parts.items()}
        for finding in check_leakage.check_between(datasets, tables):
            findings.add(finding)
    elif random_split:
        for finding in check_leakage.check_video(TRAIN, parts[TRAIN].pictures):
            findings.add(finding)
    return CheckReport(parts, findings.all(), findings.counts, canvas, tuple(strides))


def _of_part(name: str, part: Part, canvas: InputRecipe, stride: int) -> Iterator[Finding]:
    dataset = part.dataset
    yield from check_labels.check_samples(name, dataset)
    yield from check_labels.check_classes(name, dataset, part.boxes)
    yield from check_labels.check_unlabelled(name, dataset)
    yield from check_labels.check_canvas(name, dataset, part.boxes, canvas, stride)
    yield from check_leakage.check_within(name, dataset, part.pictures)


def _spread(total: int, most: int) -> frozenset[int]:
    """Places evenly spread, the first and the last among them."""
    return frozenset(np.linspace(0, total - 1, min(most, total)).round().astype(int).tolist())


def _from_problem(problem: errors.DatasetError) -> Finding:
    kinds = {
        errors.BoxInvalid: "box-invalid",
        errors.UnknownClass: "unknown-class",
        errors.PictureUnreadable: "picture-unreadable",
        errors.FootageUnreadable: "picture-unreadable",
    }
    kind = kinds.get(type(problem), "label-unreadable")
    return Finding(kind, problem.where, problem.what, problem.hint)


def _from_unreadable(look: Unreadable, place: Place) -> Finding:
    kind = "wrong-size" if look.code == "wrong-size" else "picture-unreadable"
    return Finding(kind, look.where, look.what, look.hint, (place,))


def as_data(report: CheckReport) -> dict[str, Any]:
    """The report for JSON."""
    return {
        "errors": report.number_of("error"),
        "warnings": report.number_of("warning"),
        "canvas": [report.canvas.width, report.canvas.height],
        "parts": {name: _part_as_data(part) for name, part in report.parts.items()},
        "counts": dict(report.counts),
        "findings": [
            {
                "level": finding.level,
                "kind": finding.kind,
                "where": finding.where,
                "text": finding.text,
                "hint": finding.hint,
            }
            for finding in report.findings
        ],
    }


def _part_as_data(part: Part) -> dict[str, Any]:
    dataset = part.dataset
    pictures = count_pictures(dataset)
    boxes, ignored = count(dataset)
    per_class = boxes_by_class(part)
    return {
        "pictures": len(dataset.samples),
        "with_boxes": pictures.with_boxes,
        "background": pictures.background,
        "unlabelled": pictures.unlabelled,
        "boxes": boxes,
        "ignored": ignored,
        "classes": dict(zip(dataset.labels, per_class, strict=True)),
    }


def boxes_by_class(part: Part) -> list[int]:
    """How many boxes each label has; regions to ignore do not count."""
    ids = part.boxes.class_ids
    known = ids[(ids >= 0) & (ids < len(part.dataset.labels))]
    counts: list[int] = np.bincount(known, minlength=len(part.dataset.labels)).tolist()
    return counts
