"""Average precision as COCO defines it, computed by pycocotools.

Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; https://cocodataset.org/#detection-eval.
Regions to ignore are ``iscrowd``: a detection in one counts neither for nor against.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.predictor import Predictor
from tartlet_shared import errors
from tartlet_shared.detections import Detections

LOOSE_IOU, CURVE_IOU = 0.3, 0.5
IOUS = (LOOSE_IOU, *(round(0.5 + 0.05 * step, 2) for step in range(10)))
MAX_DETECTIONS = 100  # per picture, as COCO has it

Progress = Callable[[int, int], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassMetrics:
    """Average precision of one class, each in ``[0, 1]``; NaN where the class has no box."""

    label: str
    boxes: int
    ap30: float
    ap50: float
    ap50_95: float


@dataclass(frozen=True)
class OperatingPoint:
    """What a user sees at one score threshold, all classes together, IoU 0.5; in ``[0, 1]``."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall at IoU 0.5, all classes together, by falling score threshold.

    Attributes:
        score, precision, recall: float64 ``(n,)``, one for each detection that counts.
    """

    score: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True, eq=False)
class Metrics:
    """How well detections fit the truth.

    Attributes:
        map30, map50, map50_95: mean over the classes that have boxes, in ``[0, 1]``.
        classes: the same for each class.
        curve: precision against recall.
        at_threshold: at the model's own score threshold.
        best: at the score threshold with the best F1.
        pictures, boxes: how many there were, regions to ignore not counted.
    """

    map30: float
    map50: float
    map50_95: float
    classes: tuple[ClassMetrics, ...]
    curve: Curve
    at_threshold: OperatingPoint
    best: OperatingPoint
    pictures: int
    boxes: int

    def figures(self) -> dict[str, float]:
        """The main figures by name, for JSON and for a manifest."""
        return {
            "map50": self.map50,
            "map50_95": self.map50_95,
            "map30": self.map30,
            "threshold": self.at_threshold.threshold,
            "precision": self.at_threshold.precision,
            "recall": self.at_threshold.recall,
            "f1": self.at_threshold.f1,
            "best_threshold": self.best.threshold,
            "best_f1": self.best.f1,
            "pictures": self.pictures,
            "boxes": self.boxes,
        }


def predict_all(
    predictor: Predictor, dataset: Dataset, *, progress: Progress | None = None
) -> list[Detections]:
    """What a model finds in every picture of a data set.

    Raises:
        DatasetNotFound: there are no pictures.
        PictureUnreadable: one is missing or damaged.
    """
    if not dataset.samples:
        raise errors.DatasetNotFound("the data set has no pictures to evaluate on")
    found: list[Detections] = []
    for sample in dataset.samples:
        found.append(predictor.predict(read_picture(sample)))
        if progress is not None:
            progress(len(found), len(dataset.samples))
    return found


def align(dataset: Dataset, labels: tuple[str, ...]) -> Dataset:
    """The data set with the model's class ids.

    Raises:
        UnknownClass: the data set has a class that the model does not know.
    """
    unknown = [label for label in dataset.labels if label not in labels]
    if unknown:
        raise errors.UnknownClass(
            f"the model knows {', '.join(labels)}; the data set also has {', '.join(unknown)}",
            hint="evaluate on a data set with the classes that the model was trained on",
        )
    if dataset.labels == labels:
        return dataset
    place = np.array([labels.index(label) for label in dataset.labels], np.int64)
    samples = tuple(replace(each, class_ids=place[each.class_ids]) for each in dataset.samples)
    return Dataset(labels, samples)


def measure(
    dataset: Dataset, found: Sequence[Detections], *, score_threshold: float = 0.3
) -> Metrics:
    """Compare detections with a data set's boxes.

    Args:
        dataset: the truth.
        found: for each picture, down to a score near 0 (`predict_all` gives that).
        score_threshold: for `Metrics.at_threshold`.

    Raises:
        DatasetError: the data set has no box, so that nothing can be measured.
        ValueError: there are not as many detections as pictures.
    """
    if len(found) != len(dataset.samples):
        raise ValueError(f"{len(found)} detections for {len(dataset.samples)} pictures")
    boxes = sum(int((~sample.ignore).sum()) for sample in dataset.samples)
    if boxes == 0:
        raise errors.DatasetError(
            "the data set has no boxes, so there is nothing to compare with",
            hint="label some pictures first",
        )
    evaluation = _evaluate(dataset, found)
    # axes: IoU, recall, class, area, detections per picture
    precision: Floats = evaluation.eval["precision"][:, :, :, 0, 0]
    by_class = [
        _class_metrics(dataset, class_id, precision[:, :, class_id])
        for class_id in range(len(dataset.labels))
    ]
    present = [each for each in by_class if each.boxes]
    curve = _curve(evaluation, boxes)
    return Metrics(
        map30=float(np.mean([each.ap30 for each in present])),
        map50=float(np.mean([each.ap50 for each in present])),
        map50_95=float(np.mean([each.ap50_95 for each in present])),
        classes=tuple(by_class),
        curve=curve,
        at_threshold=operating_point(curve, score_threshold),
        best=_best(curve),
        pictures=len(dataset.samples),
        boxes=boxes,
    )


def operating_point(curve: Curve, threshold: float) -> OperatingPoint:
    """Precision, recall and F1 of what scores at least ``threshold``; without any, all are 0."""
    count = int((curve.score >= threshold).sum())
    if count == 0:
        return OperatingPoint(threshold, 0.0, 0.0, 0.0)
    precision, recall = float(curve.precision[count - 1]), float(curve.recall[count - 1])
    return OperatingPoint(threshold, precision, recall, _f1(precision, recall))


def _best(curve: Curve) -> OperatingPoint:
    """The best F1; the threshold lies halfway to the next lower score, clear of both."""
    if len(curve.score) == 0:
        return OperatingPoint(1.0, 0.0, 0.0, 0.0)
    total = curve.precision + curve.recall
    f1 = 2 * curve.precision * curve.recall / np.where(total > 0, total, 1.0)
    # Detections of one score come together or not at all; int8 models have many such.
    lower = np.append(curve.score[1:], 0.0)
    place = int(np.argmax(np.where(lower < curve.score, f1, -1.0)))
    return operating_point(curve, float(curve.score[place] + lower[place]) / 2)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _evaluate(dataset: Dataset, found: Sequence[Detections]) -> Any:
    # pycocotools reports on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truth(dataset)
        truth.createIndex()
        results = COCO()
        results.dataset = {**truth.dataset, "annotations": _results(found)}
        results.createIndex()
        evaluation = COCOeval(truth, results, iouType="bbox")
        evaluation.params.iouThrs = np.array(IOUS)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng = [[0.0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _truth(dataset: Dataset) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for picture, sample in enumerate(dataset.samples, start=1):
        for box, class_id, ignore in zip(
            sample.boxes, sample.class_ids, sample.ignore, strict=True
        ):
            annotation = _annotation(len(annotations) + 1, picture, box, int(class_id))
            annotations.append({**annotation, "iscrowd": int(ignore)})
    return {
        "info": {},
        "images": [{"id": place + 1} for place in range(len(dataset.samples))],
        "annotations": annotations,
        "categories": [{"id": place + 1} for place in range(len(dataset.labels))],
    }


def _results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for picture, detections in enumerate(found, start=1):
        for box, score, class_id in detections:
            annotation = _annotation(len(results) + 1, picture, np.array(box), class_id)
            results.append({**annotation, "score": score, "iscrowd": 0})
    return results


def _annotation(number: int, picture: int, box: NDArray[Any], class_id: int) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box)
    return {
        "id": number,
        "image_id": picture,
        "category_id": class_id + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
    }


def _class_metrics(dataset: Dataset, class_id: int, precision: Floats) -> ClassMetrics:
    """``precision``: (IoU, recall), -1 throughout for a class without boxes."""
    boxes = sum(
        int(((sample.class_ids == class_id) & ~sample.ignore).sum()) for sample in dataset.samples
    )
    by_iou = precision.mean(axis=1) if boxes else np.full(len(IOUS), np.nan)
    return ClassMetrics(
        label=dataset.labels[class_id],
        boxes=boxes,
        ap30=float(by_iou[IOUS.index(LOOSE_IOU)]),
        ap50=float(by_iou[IOUS.index(CURVE_IOU)]),
        ap50_95=float(by_iou[1:].mean()),
    )


def _curve(evaluation: Any, boxes: int) -> Curve:
    """Precision and recall as they are, not the envelope that average precision integrates."""
    place = IOUS.index(CURVE_IOU)
    scores: list[Floats] = [np.zeros(0)]
    hits: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    for picture in evaluation.evalImgs:
        if picture is None:  # neither boxes nor detections of this class in this picture
            continue
        counts = ~picture["dtIgnore"][place].astype(np.bool_)
        scores.append(np.asarray(picture["dtScores"], np.float64)[counts])
        hits.append((picture["dtMatches"][place] > 0)[counts])
    score, hit = np.concatenate(scores), np.concatenate(hits)
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(hit[order])
    return Curve(
        score=score[order],
        precision=found / np.arange(1, len(order) + 1),
        recall=found / boxes,
    )
