"""Which test pictures are worth looking at, and what is right and wrong in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tartlet_device.preprocess import Picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate.parity import match
from tartlet_shared import nms
from tartlet_shared.detections import Detections

IGNORED_SHARE = 0.5
"""A wrong detection with so much of its area in a region to ignore does not count."""


@dataclass(frozen=True, eq=False)
class Finding:
    """Detections in one picture against its truth, at IoU 0.5.

    Attributes:
        detections: at the model's score threshold, those in regions to ignore left out.
        right: ``(n,)`` bool, whether each detection is an object.
        missed: ``(m,)`` bool, whether each box of the sample was not found (regions to ignore are
            never missed).
        f1: ``[0, 1]``; 1 for an empty picture in which nothing was found.
    """

    detections: Detections
    right: NDArray[np.bool_]
    missed: NDArray[np.bool_]
    f1: float


@dataclass(frozen=True, eq=False)
class TestPicture:
    """A test picture with what is there and what was found.

    Attributes:
        caption: why it is shown, such as "typical".
        rgb: the picture.
        sample: the truth.
        finding: the detections at the model's score threshold, matched to the truth.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    caption: str
    rgb: Picture
    sample: Sample
    finding: Finding


def clear(found: Detections, threshold: float | Sequence[float]) -> Detections:
    """Those that reach the score threshold, which may be one for each class."""
    limits = np.asarray(threshold, np.float32)
    return found[found.score >= (limits[found.class_id] if limits.ndim else limits)]


def excused(found: Detections, sample: Sample) -> NDArray[np.bool_]:
    """Which detections ``(n,)`` lie in regions to ignore, so that they cannot be wrong."""
    shared = nms.box_intersection(found.xyxy, sample.boxes[sample.ignore])
    area = np.maximum(nms.box_area(found.xyxy), 1e-9)
    inside: NDArray[np.bool_] = shared.max(axis=1, initial=0.0) / area > IGNORED_SHARE
    return inside


def judge(sample: Sample, found: Detections, threshold: float | Sequence[float]) -> Finding:
    """Tell right from wrong in one picture; ``threshold``: of the score, one or one a class."""
    found = clear(found, threshold)
    real = np.nonzero(~sample.ignore)[0]
    truth = Detections(sample.boxes[real], np.ones(len(real), np.float32), sample.class_ids[real])
    pairs = match(found, truth)
    right = np.zeros(len(found), np.bool_)
    right[pairs.first] = True
    missed = np.zeros(len(sample.boxes), np.bool_)
    missed[real] = True
    missed[real[pairs.second]] = False

    counts = right | ~excused(found, sample)
    found, right = found[counts], right[counts]
    total = len(found) + len(real)
    return Finding(found, right, missed, 2 * int(right.sum()) / total if total else 1.0)


def choose(
    dataset: Dataset,
    found: Sequence[Detections],
    threshold: float | Sequence[float],
    *,
    of_each: int = 2,
) -> list[tuple[str, int, Finding]]:
    """Pictures to show: the best, the most typical and the worst, by F1.

    Among the best those with the most objects come first, for an empty picture is easy.

    Returns:
        Caption, place in the data set and finding; no picture twice.
    """
    findings = [
        judge(sample, each, threshold) for sample, each in zip(dataset.samples, found, strict=True)
    ]
    middle = float(np.median([each.f1 for each in findings])) if findings else 0.0
    objects = [int((~sample.ignore).sum()) for sample in dataset.samples]
    every = range(len(findings))
    orders = {
        "best": sorted(every, key=lambda k: (-findings[k].f1, -objects[k])),
        "typical": sorted(every, key=lambda k: (abs(findings[k].f1 - middle), -objects[k])),
        "worst": sorted(every, key=lambda k: (findings[k].f1, -objects[k])),
    }
    taken: dict[int, str] = {}
    # The worst first: where there are few pictures, those are what one should see.
    for caption in ("worst", "best", "typical"):
        fresh = [place for place in orders[caption] if place not in taken]
        taken.update(dict.fromkeys(fresh[:of_each], caption))
    order = {"best": 0, "typical": 1, "worst": 2}
    return [
        (caption, place, findings[place])
        for place, caption in sorted(taken.items(), key=lambda item: (order[item[1]], item[0]))
    ]


def worst(
    dataset: Dataset,
    found: Sequence[Detections],
    threshold: float | Sequence[float],
    *,
    most: int = 12,
) -> list[tuple[int, Finding]]:
    """The pictures with the most mistakes, the worst first; of equal ones that with the lower F1.

    Returns:
        Place in the data set and finding; a picture without a mistake is not among them.
    """
    findings = [
        judge(sample, each, threshold) for sample, each in zip(dataset.samples, found, strict=True)
    ]
    mistakes = [int(each.missed.sum()) + int((~each.right).sum()) for each in findings]
    order = sorted(range(len(findings)), key=lambda k: (-mistakes[k], findings[k].f1))
    return [(place, findings[place]) for place in order[:most] if mistakes[place]]
