"""Precision and recall over all score thresholds, and at one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """What a user sees at one score threshold, at IoU 0.5; each in ``[0, 1]``.

    Attributes:
        threshold: of the score; where classes have their own, the lowest.
        precision: part of the detections that are right.
        recall: part of the objects that are found.
        f1: harmonic mean of the two.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall at IoU 0.5, by falling score threshold.

    Attributes:
        score, precision, recall: float64 ``(n,)``, one for each detection that counts.
    """

    score: Floats
    precision: Floats
    recall: Floats


def curve_of(score: Floats, hit: NDArray[np.bool_], boxes: int) -> Curve:
    """Precision and recall as they are, not the envelope that average precision integrates.

    Args:
        score: ``(n,)``, of each detection.
        hit: ``(n,)``, whether it is an object.
        boxes: objects there are; without any, recall is 0.
    """
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(hit[order])
    return Curve(
        score=score[order],
        precision=found / np.arange(1, len(order) + 1),
        recall=found / max(boxes, 1),
    )


def operating_point(curve: Curve, threshold: float) -> OperatingPoint:
    """Precision, recall and F1 of what scores at least ``threshold``; without any, all are 0."""
    count = int((curve.score >= threshold).sum())
    if count == 0:
        return OperatingPoint(threshold, 0.0, 0.0, 0.0)
    precision, recall = float(curve.precision[count - 1]), float(curve.recall[count - 1])
    return OperatingPoint(threshold, precision, recall, f1_of(precision, recall))


def best_point(curve: Curve) -> OperatingPoint:
    """The best F1; the threshold lies halfway to the next lower score, clear of both."""
    if len(curve.score) == 0:
        return OperatingPoint(1.0, 0.0, 0.0, 0.0)
    total = curve.precision + curve.recall
    f1 = 2 * curve.precision * curve.recall / np.where(total > 0, total, 1.0)
    # Detections of one score come together or not at all; int8 models have many such.
    lower = np.append(curve.score[1:], 0.0)
    place = int(np.argmax(np.where(lower < curve.score, f1, -1.0)))
    return operating_point(curve, float(curve.score[place] + lower[place]) / 2)


def together(
    curves: Sequence[Curve], boxes: Sequence[int], thresholds: Sequence[float]
) -> OperatingPoint:
    """All classes as one, each cut at its own threshold."""
    detections, hits = 0, 0
    for curve, objects, threshold in zip(curves, boxes, thresholds, strict=True):
        count = int((curve.score >= threshold).sum())
        detections += count
        hits += round(float(curve.recall[count - 1]) * max(objects, 1)) if count else 0
    precision = hits / detections if detections else 0.0
    recall = hits / sum(boxes) if sum(boxes) else 0.0
    return OperatingPoint(min(thresholds), precision, recall, f1_of(precision, recall))


def f1_of(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
