"""An evaluation as one HTML page that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_host import page
from tartlet_host.evaluate import plots
from tartlet_host.evaluate.evaluation import Evaluation
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.remarks import remarks
from tartlet_host.evaluate.samples import TestPicture

MOST_CURVES = 8
"""Curves that one plot can show; of more classes those with the lowest AP50 are drawn."""
MOST_CLASSES = 20
"""Classes up to which the whole confusion matrix is shown."""


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """A model and what was measured of it.

    Attributes:
        name: for people.
        runtime: what ran it.
        size: bytes of the model file.
        evaluation: on the data set.
        latency: of the inference on this machine, in milliseconds.
    """

    name: str
    runtime: str
    size: int
    evaluation: Evaluation
    latency: Latency


@dataclass(frozen=True, eq=False)
class EvaluationPage:
    """All that the page shows.

    Attributes:
        title: of the page.
        data: the data set, in words.
        created: local time, as people write it.
        models: the first one is shown in detail, the others are compared with it.
        pictures: the first model's worst.
        note: how the models looked, if not plainly (test-time augmentation).
    """

    title: str
    data: str
    created: str
    models: Sequence[EvaluatedModel]
    pictures: Sequence[TestPicture] = ()
    note: str = ""


def render(shown: EvaluationPage) -> str:
    """The page as HTML."""
    first = shown.models[0]
    evaluation = first.evaluation
    metrics = evaluation.metrics
    weakest = sorted((each for each in metrics.classes if each.boxes), key=lambda each: each.ap50)[
        :MOST_CURVES
    ]
    curves = {each.label: each.curve for each in weakest} if len(metrics.classes) > 1 else {}
    confusion = evaluation.confusion
    return page.render(
        "evaluation.html",
        shown=shown,
        first=first,
        metrics=metrics,
        remarks=remarks(evaluation),
        front=plots.front({each.name: _point(each) for each in shown.models}, first.name)
        if len(shown.models) > 1
        else "",
        curves=plots.precision_recall(curves or {"all classes": metrics.curve}),
        drawn=len(weakest),
        thresholds=plots.by_threshold(
            metrics.curve,
            {"now": metrics.at_threshold.threshold, "best F1": metrics.best.threshold},
        ),
        sizes=plots.by_size(
            {each.band.name: (each.ap50, each.boxes) for each in evaluation.canvas_sizes}
        ),
        matrix=_matrix(evaluation) if len(confusion.labels) <= MOST_CLASSES else [],
        mistakes=_mistakes(evaluation),
    )


def _point(model: EvaluatedModel) -> tuple[float, float]:
    return model.latency.p50, model.evaluation.metrics.map50


def _matrix(evaluation: Evaluation) -> list[tuple[str, list[tuple[int, float]]]]:
    """Rows of the confusion matrix: name, and of each cell the count and its part of the row."""
    confusion = evaluation.confusion
    rows = []
    for name, counts in zip(confusion.names, confusion.counts, strict=True):
        total = max(int(counts.sum()), 1)
        rows.append((name, [(int(each), float(each) / total) for each in counts]))
    return rows


def _mistakes(evaluation: Evaluation, most: int = 10) -> list[tuple[str, str, int]]:
    """What is there, what was seen, how often: the most frequent mistakes first."""
    confusion = evaluation.confusion
    rows = [
        (there, seen, int(confusion.counts[row, column]))
        for row, there in enumerate(confusion.names)
        for column, seen in enumerate(confusion.names)
        if row != column and confusion.counts[row, column]
    ]
    return sorted(rows, key=lambda each: -each[2])[:most]
