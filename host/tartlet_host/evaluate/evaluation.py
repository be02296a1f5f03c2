"""Everything that detections say about a model, measured at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.confusion import Confusion, confusion_matrix
from tartlet_host.evaluate.curves import OperatingPoint, operating_point
from tartlet_host.evaluate.mean_average_precision import ClassMetrics, Metrics
from tartlet_host.evaluate.sizes import CANVAS_BANDS, COCO_BANDS, SizeMetrics, by_size
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Preprocessing

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on a data set.

    Attributes:
        metrics: average precision, all together and by class, with suggested thresholds.
        thresholds: precision, recall and F1 at each of `THRESHOLDS`.
        sizes: by the objects' size in the pictures, in COCO's bands.
        canvas_sizes: by their size on the model's canvas.
        confusion: classes against classes and background.
    """

    metrics: Metrics
    thresholds: tuple[OperatingPoint, ...]
    sizes: tuple[SizeMetrics, ...]
    canvas_sizes: tuple[SizeMetrics, ...]
    confusion: Confusion


def evaluate(
    dataset: Dataset,
    found: Sequence[Detections],
    *,
    thresholds: Sequence[float],
    canvas: Preprocessing,
) -> Evaluation:
    """Measure what a model found.

    Args:
        dataset: the truth, with the model's labels (`mean_average_precision.align`).
        found: for each picture, down to a score near 0.
        thresholds: the model's own, one for each class.
        canvas: the model's.

    Raises:
        DatasetError: the data set has no box.
    """
    metrics = precision.measure(dataset, found, score_threshold=thresholds)
    return Evaluation(
        metrics=metrics,
        thresholds=tuple(operating_point(metrics.curve, each) for each in THRESHOLDS),
        sizes=by_size(dataset, found, bands=COCO_BANDS),
        canvas_sizes=by_size(dataset, found, bands=CANVAS_BANDS, canvas=canvas),
        confusion=confusion_matrix(dataset, found, thresholds),
    )


def as_data(evaluation: Evaluation) -> dict[str, Any]:
    """For JSON, which has no NaN: what a class or band without boxes does not have is None."""
    return {
        **evaluation.metrics.figures(),
        "classes": [_class_data(each) for each in evaluation.metrics.classes],
        "thresholds": [
            {
                "threshold": each.threshold,
                "precision": each.precision,
                "recall": each.recall,
                "f1": each.f1,
            }
            for each in evaluation.thresholds
        ],
        "sizes": [_size_data(each) for each in evaluation.sizes],
        "canvas_sizes": [_size_data(each) for each in evaluation.canvas_sizes],
        "confusion": {
            "names": list(evaluation.confusion.names),
            "counts": evaluation.confusion.counts.tolist(),
        },
    }


def _class_data(each: ClassMetrics) -> dict[str, Any]:
    point = each.at_threshold
    return {
        "label": each.label,
        "boxes": each.boxes,
        "ap30": _known(each.ap30),
        "ap50": _known(each.ap50),
        "ap50_95": _known(each.ap50_95),
        "threshold": point.threshold,
        "precision": point.precision,
        "recall": point.recall,
        "f1": point.f1,
        "best_threshold": each.best.threshold,
        "best_f1": each.best.f1,
    }


def _size_data(each: SizeMetrics) -> dict[str, Any]:
    return {
        "name": each.band.name,
        "low": each.band.low,
        "high": None if math.isinf(each.band.high) else each.band.high,
        "boxes": each.boxes,
        "ap50": _known(each.ap50),
        "ap50_95": _known(each.ap50_95),
        "recall": _known(each.recall),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
