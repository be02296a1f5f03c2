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
from tartlet_host.evaluate.curves import (
    Curve,
    Floats,
    OperatingPoint,
    best_point,
    curve_of,
    operating_point,
    together,
)
from tartlet_host.evaluate.predictor import Predictor
from tartlet_shared import errors
from tartlet_shared.detections import Detections

LOOSE_IOU, CURVE_IOU = 0.3, 0.5
IOUS = (LOOSE_IOU, *(round(0.5 + 0.05 * step, 2) for step in range(10)))
EVERY_AREA = (0.0, 1e10)
MAX_DETECTIONS = 100  # per picture, as COCO has it

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ClassMetrics:
    """How well one class is detected; average precisions are NaN where it has no box.

    Attributes:
        label: its name.
        boxes: how many there are.
        ap30, ap50, ap50_95: average precision, in ``[0, 1]``.
        curve: precision against recall at IoU 0.5.
        at_threshold: at the model's score threshold for this class.
        best: at the score threshold with the best F1.
    """

    label: str
    boxes: int
    ap30: float
    ap50: float
    ap50_95: float
    curve: Curve
    at_threshold: OperatingPoint
    best: OperatingPoint


@dataclass(frozen=True, eq=False)
class Metrics:
    """How well detections fit the truth.

    Attributes:
        map30, map50, map50_95: mean over the classes that have boxes, in ``[0, 1]``.
        classes: the same for each class.
        curve: precision against recall, all classes together.
        at_threshold: at the model's own score thresholds, all classes together.
        best: at the score threshold with the best F1, one for all classes.
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
    """The data set with the model's class ids, without pictures that nobody labelled.

    Raises:
        UnknownClass: the data set has a class that the model does not know.
    """
    unknown = [label for label in dataset.labels if label not in labels]
    if unknown:
        raise errors.UnknownClass(
            f"the model knows {', '.join(labels)}; the data set also has {', '.join(unknown)}",
            hint="evaluate on a data set with the classes that the model was trained on",
        )
    labelled = tuple(each for each in dataset.samples if each.labelled)
    if dataset.labels == labels:
        return dataset if len(labelled) == len(dataset.samples) else Dataset(labels, labelled)
    place = np.array([labels.index(label) for label in dataset.labels], np.int64)
    samples = tuple(replace(each, class_ids=place[each.class_ids]) for each in labelled)
    return Dataset(labels, samples)


def measure(
    dataset: Dataset,
    found: Sequence[Detections],
    *,
    score_threshold: float | Sequence[float] = 0.3,
) -> Metrics:
    """Compare detections with a data set's boxes.

    Args:
        dataset: the truth.
        found: for each picture, down to a score near 0 (`predict_all` gives that).
        score_threshold: for `Metrics.at_threshold`; one, or one for each class.

    Raises:
        DatasetError: the data set has no box, so that nothing can be measured.
        ValueError: there are not as many detections as pictures.
    """
    if len(found) != len(dataset.samples):
        raise ValueError(f"{len(found)} detections for {len(dataset.samples)} pictures")
    boxes = [
        sum(int(((each.class_ids == kind) & ~each.ignore).sum()) for each in dataset.samples)
        for kind in range(len(dataset.labels))
    ]
    if sum(boxes) == 0:
        raise errors.DatasetError(
            "the data set has no boxes, so there is nothing to compare with",
            hint="label some pictures first",
        )
    thresholds = (
        (float(score_threshold),) * len(boxes)
        if isinstance(score_threshold, (int, float))
        else tuple(score_threshold)
    )
    evaluation = run(dataset, found)
    # axes: IoU, recall, class, area, detections per picture
    precision: Floats = evaluation.eval["precision"][:, :, :, 0, 0]
    hits = [_hits(evaluation, kind, len(dataset.samples)) for kind in range(len(boxes))]
    by_class = [
        _class_metrics(label, objects, precision[:, :, kind], curve_of(*hits[kind], objects), limit)
        for kind, (label, objects, limit) in enumerate(
            zip(dataset.labels, boxes, thresholds, strict=True)
        )
    ]
    present = [each for each in by_class if each.boxes]
    score, hit = (np.concatenate(column) for column in zip(*hits, strict=True))
    curve = curve_of(score, hit, sum(boxes))
    return Metrics(
        map30=float(np.mean([each.ap30 for each in present])),
        map50=float(np.mean([each.ap50 for each in present])),
        map50_95=float(np.mean([each.ap50_95 for each in present])),
        classes=tuple(by_class),
        curve=curve,
        at_threshold=together([each.curve for each in by_class], boxes, thresholds),
        best=best_point(curve),
        pictures=len(dataset.samples),
        boxes=sum(boxes),
    )


def run(
    dataset: Dataset,
    found: Sequence[Detections],
    *,
    areas: Sequence[tuple[float, float]] = (EVERY_AREA,),
    scales: Sequence[float] | None = None,
) -> Any:
    """pycocotools' evaluation, accumulated.

    Args:
        dataset: the truth.
        found: for each picture.
        areas: ranges of area to look at one by one, in square pixels.
        scales: for each picture, what its sides are multiplied by before areas are taken.

    Returns:
        A ``COCOeval``.
    """
    # pycocotools reports on standard output.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        factors = scales or (1.0,) * len(dataset.samples)
        truth.dataset = _truth(dataset, factors)
        truth.createIndex()
        results = COCO()
        results.dataset = {**truth.dataset, "annotations": _results(found, factors)}
        results.createIndex()
        evaluation = COCOeval(truth, results, iouType="bbox")
        evaluation.params.iouThrs = np.array(IOUS)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng = [list(each) for each in areas]
        evaluation.params.areaRngLbl = [str(each) for each in areas]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _truth(dataset: Dataset, scales: Sequence[float]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for picture, (sample, scale) in enumerate(zip(dataset.samples, scales, strict=True), start=1):
        for box, class_id, ignore in zip(
            sample.boxes, sample.class_ids, sample.ignore, strict=True
        ):
            annotation = _annotation(len(annotations) + 1, picture, box, int(class_id), scale)
            annotations.append({**annotation, "iscrowd": int(ignore)})
    return {
        "info": {},
        "images": [{"id": place + 1} for place in range(len(dataset.samples))],
        "annotations": annotations,
        "categories": [{"id": place + 1} for place in range(len(dataset.labels))],
    }


def _results(found: Sequence[Detections], scales: Sequence[float]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for picture, (detections, scale) in enumerate(zip(found, scales, strict=True), start=1):
        for box, score, class_id in detections:
            annotation = _annotation(len(results) + 1, picture, np.array(box), class_id, scale)
            results.append({**annotation, "score": score, "iscrowd": 0})
    return results


def _annotation(
    number: int, picture: int, box: NDArray[Any], class_id: int, scale: float
) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box)
    return {
        "id": number,
        "image_id": picture,
        "category_id": class_id + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top) * scale**2,
    }


def _class_metrics(
    label: str, boxes: int, precision: Floats, curve: Curve, threshold: float
) -> ClassMetrics:
    """``precision``: (IoU, recall), -1 throughout for a class without boxes."""
    by_iou = precision.mean(axis=1) if boxes else np.full(len(IOUS), np.nan)
    return ClassMetrics(
        label=label,
        boxes=boxes,
        ap30=float(by_iou[IOUS.index(LOOSE_IOU)]),
        ap50=float(by_iou[IOUS.index(CURVE_IOU)]),
        ap50_95=float(by_iou[1:].mean()),
        curve=curve,
        at_threshold=operating_point(curve, threshold),
        best=best_point(curve),
    )


def _hits(evaluation: Any, kind: int, pictures: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores of a class's detections that count, and which of them are objects, at IoU 0.5."""
    place = IOUS.index(CURVE_IOU)
    scores: list[Floats] = [np.zeros(0)]
    hits: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
    # ordered by class, area, picture; there is one area
    for picture in evaluation.evalImgs[kind * pictures : (kind + 1) * pictures]:
        if picture is None:  # neither boxes nor detections of this class in this picture
            continue
        counts = ~picture["dtIgnore"][place].astype(np.bool_)
        scores.append(np.asarray(picture["dtScores"], np.float64)[counts])
        hits.append((picture["dtMatches"][place] > 0)[counts])
    return np.concatenate(scores), np.concatenate(hits)
