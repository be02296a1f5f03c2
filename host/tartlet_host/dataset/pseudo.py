"""Labels from a teacher: what a bigger detector sees in pictures that nobody labelled.

Source: D.-H. Lee, "Pseudo-Label" (ICML workshop 2013), with two thresholds: what is neither surely
an object nor surely none is taught as neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.curves import Curve
from tartlet_host.evaluate.predictor import Predictor
from tartlet_shared import errors
from tartlet_shared.detections import Detections

SURE, UNSURE = 0.6, 0.25
"""Where no labelled pictures tell better."""
NEARLY_ALL = 0.95
"""Part of the objects that a teacher finds at all which must score above `unsure`."""


@dataclass(frozen=True)
class Thresholds:
    """What a score means, for each class; `unsure` is never above `sure`.

    Attributes:
        sure: from here on a detection becomes a label.
        unsure: from here on it becomes a region to ignore; below, it is background.
    """

    sure: tuple[float, ...]
    unsure: tuple[float, ...]


def fixed(classes: int, sure: float = SURE, unsure: float = UNSURE) -> Thresholds:
    """The same thresholds for every class.

    Raises:
        UsageError: `unsure` is above `sure`.
    """
    if unsure > sure:
        raise errors.UsageError(
            f"the threshold for regions to ignore, {unsure:g}, is above that for labels, {sure:g}",
            hint="give --unsure a lower score than --sure",
        )
    return Thresholds((sure,) * classes, (unsure,) * classes)


def measured(
    teacher: Predictor,
    validation: Dataset,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Thresholds:
    """Thresholds from labelled pictures: `sure` has the best F1, `unsure` nearly all objects.

    A class without a box there takes those of all classes together.

    Raises:
        DatasetError: there is no box at all.
        UnknownClass: the pictures have a class that the teacher does not know.
    """
    aligned = precision.align(validation, teacher.labels)
    found = precision.predict_all(teacher, aligned, progress=progress)
    metrics = precision.measure(aligned, found)
    pairs = [
        (each.best.threshold, _nearly_all(each.curve))
        if each.boxes
        else (metrics.best.threshold, _nearly_all(metrics.curve))
        for each in metrics.classes
    ]
    return Thresholds(
        sure=tuple(sure for sure, _ in pairs),
        unsure=tuple(min(sure, unsure) for sure, unsure in pairs),
    )


def pseudo_label(
    dataset: Dataset,
    teacher: Predictor,
    thresholds: Thresholds,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The data set with the teacher's labels, and classes, for pictures that had none.

    Pictures that somebody labelled keep their labels.

    Raises:
        UnknownClass: the data set has a class that the teacher does not know.
        PictureUnreadable: a picture is missing or damaged.
    """
    known = iter(precision.align(dataset, teacher.labels).samples)  # those that have labels
    samples = []
    for sample in dataset.samples:
        if sample.labelled:
            samples.append(next(known))
        else:
            seen = teacher.predict(read_picture(sample))
            samples.append(labelled_by(sample, seen, thresholds))
        if progress is not None:
            progress(len(samples), len(dataset.samples))
    return Dataset(teacher.labels, tuple(samples))


def labelled_by(sample: Sample, seen: Detections, thresholds: Thresholds) -> Sample:
    """A picture with what was seen in it as its labels."""
    sure = seen.score >= np.array(thresholds.sure, np.float32)[seen.class_id]
    unsure = seen.score >= np.array(thresholds.unsure, np.float32)[seen.class_id]
    limit = np.array([sample.width, sample.height] * 2, np.float32)
    boxes = np.clip(seen.xyxy, 0, limit).astype(np.float32)
    kept = unsure & (boxes[:, 2:] - boxes[:, :2] > 0).all(axis=1)
    return dataclasses.replace(
        sample,
        boxes=boxes[kept],
        class_ids=np.asarray(seen.class_id[kept], np.int64),
        ignore=~sure[kept],
        labelled=True,
    )


def _nearly_all(curve: Curve) -> float:
    """The highest threshold at which nearly all are found that are found at any."""
    if len(curve.score) == 0:
        return 1.0
    place = int(np.argmax(curve.recall >= NEARLY_ALL * curve.recall[-1]))
    return float(curve.score[place])
