"""A second round of labels: what a trained detector sees merged into what motion gave."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from tartlet_host.dataset.sample import Sample
from tartlet_shared.detections import Detections, FloatArray
from tartlet_shared.nms import box_area, box_intersection, box_iou


@dataclass(frozen=True)
class RefineSettings:
    """When a detection changes the labels.

    Attributes:
        sure: score from which a detection that no label covers becomes a label.
        unsure: score from which it becomes a region to ignore instead of background.
        same: IoU from which a detection and a label are the same thing.
        inside: part of a detection inside an ignored region from which it settles that region.
    """

    sure: float = 0.6
    unsure: float = 0.25
    same: float = 0.4
    inside: float = 0.6


def refine(sample: Sample, seen: Detections, settings: RefineSettings | None = None) -> Sample:
    """Merge detections into one picture's labels; labels from motion are never removed.

    Sure detections become labels where there is none; unsure ones become regions to ignore. An
    ignored region that sure detections explain for the most part is no longer needed.

    Args:
        sample: labels so far.
        seen: detections in the same picture, class ids of the same labels.
    """
    settings = settings or RefineSettings()
    labels, classes = sample.boxes[~sample.ignore], sample.class_ids[~sample.ignore]
    regions, region_classes = sample.boxes[sample.ignore], sample.class_ids[sample.ignore]

    new = seen[~_overlaps(seen, labels, classes, settings.same)]
    sure, unsure = new[new.score >= settings.sure], new[new.score < settings.sure]
    unsure = unsure[unsure.score >= settings.unsure]

    all_labels = np.concatenate([labels, sure.xyxy])
    left = _part_inside(regions, all_labels) < settings.inside
    regions, region_classes = regions[left], region_classes[left]
    unsure = unsure[_part_inside(unsure.xyxy, regions) < settings.inside]

    boxes = np.concatenate([all_labels, regions, unsure.xyxy])
    limit = np.array([sample.width, sample.height] * 2, np.float32)
    return dataclasses.replace(
        sample,
        boxes=np.clip(boxes, 0, limit).astype(np.float32),
        class_ids=np.concatenate([classes, sure.class_id, region_classes, unsure.class_id]),
        ignore=np.arange(len(boxes)) >= len(all_labels),
    )


def _overlaps(
    seen: Detections,
    labels: FloatArray,
    classes: np.ndarray[tuple[int], np.dtype[np.int64]],
    iou: float,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if not len(labels) or not len(seen):
        return np.zeros(len(seen), np.bool_)
    same_class = seen.class_id[:, None] == classes[None, :]
    return np.asarray(((box_iou(seen.xyxy, labels) >= iou) & same_class).any(axis=1), np.bool_)


def _part_inside(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Part of each box's area that lies inside one of the others, the largest, in ``[0, 1]``."""
    if not len(others) or not len(boxes):
        return np.zeros(len(boxes), np.float32)
    shared = box_intersection(boxes, others).max(axis=1)
    return np.asarray(shared / np.maximum(box_area(boxes), 1e-6), np.float32)
