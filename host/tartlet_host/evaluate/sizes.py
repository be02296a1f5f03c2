"""How accuracy goes with the size of the objects, in the picture and on the model's canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.curves import Floats
from tartlet_shared import letterbox
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Preprocessing


@dataclass(frozen=True)
class Band:
    """A range of sizes; the size of a box is the root of its area, in pixels.

    Attributes:
        name: for people.
        low, high: both belong to the band, as COCO has it.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class SizeMetrics:
    """How well objects of one band are detected, mean over the classes that have some.

    Attributes:
        band: of sizes.
        boxes: how many there are.
        ap50, ap50_95: average precision in ``[0, 1]``; NaN without boxes.
        recall: part that is found at IoU 0.5 with any score, in ``[0, 1]``; NaN without boxes.
    """

    band: Band
    boxes: int
    ap50: float
    ap50_95: float
    recall: float


COCO_BANDS = (
    Band("small", 0, 32),
    Band("medium", 32, 96),
    Band("large", 96, math.inf),
)
"""https://cocodataset.org/#detection-eval"""

CANVAS_BANDS = (
    Band("up to 8", 0, 8),
    Band("8 to 16", 8, 16),
    Band("16 to 32", 16, 32),
    Band("32 to 64", 32, 64),
    Band("64 to 128", 64, 128),
    Band("above 128", 128, math.inf),
)
"""In steps of the strides: a level with stride s cannot tell boxes much smaller than s apart."""


def by_size(
    dataset: Dataset,
    found: Sequence[Detections],
    *,
    bands: Sequence[Band] = COCO_BANDS,
    canvas: Preprocessing | None = None,
) -> tuple[SizeMetrics, ...]:
    """Average precision of each band of sizes, as COCO defines it.

    Detections of another size that match nothing count neither for nor against.

    Args:
        dataset: the truth.
        found: for each picture, down to a score near 0.
        bands: of sizes.
        canvas: measure sizes on this canvas; without one, in the pictures.
    """
    scales = [
        1.0
        if canvas is None
        else letterbox.fit(each.width, each.height, canvas.width, canvas.height).width / each.width
        for each in dataset.samples
    ]
    areas = [(band.low**2, min(band.high**2, precision.EVERY_AREA[1])) for band in bands]
    counts = [_count(dataset, scales, area) for area in areas]
    present = [area for area, count in zip(areas, counts, strict=True) if count]
    evaluation = precision.run(dataset, found, areas=present, scales=scales)
    # axes: IoU, recall, class, area, detections per picture; -1 where a class has no such box
    precisions, recalls = evaluation.eval["precision"], evaluation.eval["recall"]
    half = precision.IOUS.index(precision.CURVE_IOU)
    nothing = math.nan
    return tuple(
        SizeMetrics(band, 0, nothing, nothing, nothing)
        if not count
        else SizeMetrics(
            band=band,
            boxes=count,
            ap50=_mean(precisions[half, :, :, present.index(area), 0]),
            ap50_95=_mean(precisions[1:, :, :, present.index(area), 0]),
            recall=_mean(recalls[half, :, present.index(area), 0]),
        )
        for band, area, count in zip(bands, areas, counts, strict=True)
    )


def _count(dataset: Dataset, scales: Sequence[float], area: tuple[float, float]) -> int:
    total = 0
    for sample, scale in zip(dataset.samples, scales, strict=True):
        sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).astype(np.float64)
        areas = sides[:, 0] * sides[:, 1] * scale**2
        total += int(((areas >= area[0]) & (areas <= area[1]) & ~sample.ignore).sum())
    return total


def _mean(values: Floats) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan
