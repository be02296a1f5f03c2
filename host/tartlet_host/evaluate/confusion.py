"""What is taken for what: classes against classes, and against nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate.parity import match
from tartlet_host.evaluate.samples import clear, excused
from tartlet_shared.detections import Detections

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class Confusion:
    """Objects against detections, at IoU 0.5 and the model's score thresholds.

    Attributes:
        labels: class names; rows and columns have one more place for the background.
        counts: int64 ``(classes + 1, classes + 1)``; row: what is there, column: what was seen.
            The last column counts missed objects, the last row detections of nothing.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows and columns."""
        return (*self.labels, BACKGROUND)


def confusion_matrix(
    dataset: Dataset, found: Sequence[Detections], thresholds: Sequence[float]
) -> Confusion:
    """Count who was taken for whom.

    An object is first matched with detections of its own class, so that the diagonal counts the
    objects found; only what is left over is matched across classes.

    Args:
        dataset: the truth; regions to ignore excuse what lies in them.
        found: for each picture.
        thresholds: of the score, one for each class.
    """
    classes = len(dataset.labels)
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for sample, detections in zip(dataset.samples, found, strict=True):
        seen = clear(detections, thresholds)
        there = _truth(sample)
        pairs = match(there, seen)
        np.add.at(counts, (there.class_id[pairs.first], seen.class_id[pairs.second]), 1)
        there, seen = _without(there, pairs.first), _without(seen, pairs.second)
        pairs = match(_one_class(there), _one_class(seen))
        np.add.at(counts, (there.class_id[pairs.first], seen.class_id[pairs.second]), 1)
        there, seen = _without(there, pairs.first), _without(seen, pairs.second)
        np.add.at(counts[:, -1], there.class_id, 1)
        np.add.at(counts[-1], seen[~excused(seen, sample)].class_id, 1)
    return Confusion(dataset.labels, counts)


def _truth(sample: Sample) -> Detections:
    real = ~sample.ignore
    return Detections(
        sample.boxes[real], np.ones(int(real.sum()), np.float32), sample.class_ids[real]
    )


def _without(detections: Detections, rows: NDArray[np.int64]) -> Detections:
    rest = np.ones(len(detections), np.bool_)
    rest[rows] = False
    return detections[rest]


def _one_class(detections: Detections) -> Detections:
    return Detections(detections.xyxy, detections.score, np.zeros_like(detections.class_id))
