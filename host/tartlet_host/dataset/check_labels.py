"""Checks that need the labels only: classes, boxes, and how they fit onto the canvas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tartlet_host.dataset.clips import name_of
from tartlet_host.dataset.decoding import SMALLEST_SIDE
from tartlet_host.dataset.findings import Finding, Place
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import InputRecipe
from tartlet_shared import letterbox
from tartlet_shared.detections import FloatArray, IntArray
from tartlet_shared.nms import box_iou

RARE_BOXES = 20
"""A class with fewer boxes is hardly learned."""
IMBALANCE = 10.0
"""Times that the most frequent class may have as many boxes as the rarest."""
SMALL_SHARE = 0.02
"""Part of the boxes that may be too small before it is said."""
DOUBLED_IOU = 0.95
"""Two boxes of one class that overlap so much are one object drawn twice."""
WASTED_SHARE = 0.25
"""Part of the canvas that may be padding, on average."""
_SHOWN = 6  # pictures to look at for one finding
_LARGEST_CANVAS = 2048


@dataclass(frozen=True, eq=False)
class BoxTable:
    """All boxes of a data set in columns, regions to ignore left out.

    Attributes:
        sample: ``(n,)`` int64, the picture each box is in.
        class_ids: ``(n,)`` int64.
        size: ``(n, 2)`` float32, width and height on the canvas in pixels.
    """

    sample: IntArray
    class_ids: IntArray
    size: FloatArray


def box_table(dataset: Dataset, canvas: InputRecipe) -> BoxTable:
    """The boxes as the network will see them, each picture letterboxed onto the canvas."""
    rows, classes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    sizes: list[FloatArray] = [np.zeros((0, 2), np.float32)]
    for place, sample in enumerate(dataset.samples):
        real = ~sample.ignore
        if not real.any():
            continue
        boxes = sample.boxes[real]
        fitted = letterbox.fit(sample.width, sample.height, canvas.width, canvas.height)
        scale = np.array([fitted.width / sample.width, fitted.height / sample.height])
        rows.append(np.full(len(boxes), place, np.int64))
        classes.append(sample.class_ids[real])
        sizes.append(((boxes[:, 2:] - boxes[:, :2]) * scale).astype(np.float32))
    return BoxTable(np.concatenate(rows), np.concatenate(classes), np.concatenate(sizes))


def check_samples(part: str, dataset: Dataset) -> Iterator[Finding]:
    """Each picture and its boxes alone."""
    seen: dict[str, int] = {}
    for index, sample in enumerate(dataset.samples):
        here = Place(part, index)
        where = name_of(sample)
        if min(sample.width, sample.height) < SMALLEST_SIDE:
            yield Finding(
                "picture-too-small",
                where,
                f"the picture is {sample.width}x{sample.height} pixels; "
                f"{SMALLEST_SIDE} is the least",
                "take it out of the data set",
            )
        first = seen.setdefault(where, index)
        if first != index:
            yield Finding(
                "listed-twice",
                where,
                "the data set lists the picture twice, so that its boxes contradict each other",
                "put all its boxes into one entry",
                (Place(part, first), here),
            )
        if len(sample.boxes):
            yield from _check_boxes(sample, len(dataset.labels), here, where)


def _check_boxes(sample: Sample, classes: int, here: Place, where: str) -> Iterator[Finding]:
    boxes = sample.boxes
    limit = np.array([sample.width, sample.height] * 2, np.float32)
    with np.errstate(invalid="ignore"):
        good = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1)
        good &= (boxes >= 0).all(axis=1) & (boxes <= limit).all(axis=1)
    for box in boxes[~good]:
        yield Finding(
            "box-invalid",
            where,
            f"the box {[round(float(value), 1) for value in box]} is empty, inverted or outside "
            f"the picture of {sample.width}x{sample.height} pixels",
            "was the picture resized or turned after labelling?",
            (here,),
        )
    unknown = (sample.class_ids < 0) | (sample.class_ids >= classes)
    for class_id in np.unique(sample.class_ids[unknown]):
        yield Finding(
            "unknown-class",
            where,
            f"class number {class_id} of {classes}",
            "correct the label, or name the class",
            (here,),
        )
    real = np.flatnonzero(good & ~sample.ignore)
    if len(real) > 1:
        alike = box_iou(boxes[real], boxes[real]) >= DOUBLED_IOU
        alike &= sample.class_ids[real][:, None] == sample.class_ids[real][None]
        doubled = int(np.triu(alike, 1).any(axis=0).sum())
        if doubled:
            yield Finding(
                "box-doubled",
                where,
                f"{doubled} of {len(real)} boxes lie on another of the same class",
                "one object needs one box; delete the other",
                (here,),
            )


def check_classes(part: str, dataset: Dataset, table: BoxTable) -> Iterator[Finding]:
    """Enough boxes of each class, in ``part`` "validation" to measure, elsewhere to learn."""
    labels = dataset.labels
    known = table.class_ids[(table.class_ids >= 0) & (table.class_ids < len(labels))]
    boxes = np.bincount(known, minlength=len(labels))
    if not boxes.sum():
        what = f"no box in {len(dataset.samples)} pictures" if dataset.samples else "no pictures"
        yield Finding("empty", part, what, "check that labelling finished, or give another folder")
        return
    judging = part == "validation"
    for class_id in np.flatnonzero(boxes == 0).tolist():
        yield Finding(
            "class-never-seen",
            labels[class_id],
            f"class {labels[class_id]!r} has no box in {part}",
            "nothing can be said about it; split by classes, or add pictures of it"
            if judging
            else "it cannot be learned: add pictures of it, or take it out of the labels",
        )
    if judging:
        return
    for class_id in np.flatnonzero((boxes > 0) & (boxes < RARE_BOXES)).tolist():
        rows = table.sample[table.class_ids == class_id]
        yield Finding(
            "class-rare",
            labels[class_id],
            f"class {labels[class_id]!r} has {boxes[class_id]} boxes in "
            f"{len(np.unique(rows))} pictures",
            f"add pictures until it has {RARE_BOXES} at least; train.sampling = 'balanced' shows "
            "it more often",
            _places(part, rows),
        )
    seen = boxes[boxes > 0]
    if seen.max() > IMBALANCE * seen.min():
        most, least = int(np.argmax(boxes)), int(np.where(boxes > 0, boxes, boxes.max()).argmin())
        yield Finding(
            "imbalance",
            "",
            f"{labels[most]!r} has {boxes[most]} boxes, {labels[least]!r} {boxes[least]}: "
            f"{boxes[most] / boxes[least]:.0f} times as many",
            "train.sampling = 'balanced' or train.loss.class_weights make up for some of it; more "
            "pictures of the rare class help more",
        )


def check_unlabelled(part: str, dataset: Dataset) -> Iterator[Finding]:
    """Pictures that nobody labelled, which are not background."""
    missing = [place for place, each in enumerate(dataset.samples) if not each.labelled]
    if missing:
        yield Finding(
            "unlabelled",
            part,
            f"{len(missing)} of {len(dataset.samples)} pictures have no label file; they are not "
            "taught as background",
            "label them; where nothing is in them, give them an empty label file",
            _places(part, np.array(missing)),
        )


def check_canvas(
    part: str, dataset: Dataset, table: BoxTable, canvas: InputRecipe, stride: int
) -> Iterator[Finding]:
    """How boxes and pictures fit the network's input, whose finest cells are ``stride`` pixels."""
    side = np.sqrt(np.maximum(table.size[:, 0] * table.size[:, 1], 0))
    small = side < stride
    if len(side) and small.mean() > SMALL_SHARE:
        yield Finding(
            "box-small",
            part,
            f"{small.sum()} of {len(side)} boxes ({small.mean():.0%}) are smaller than {stride} "
            f"pixels on the canvas of {canvas.width}x{canvas.height}, the network's finest cell",
            _larger_canvas(side, canvas, stride),
            _places(part, table.sample[small]),
        )
    shapes = Counter((each.width, each.height) for each in dataset.samples)
    total = sum(shapes.values())
    if not total:
        return
    area = canvas.width * canvas.height
    used = 0.0
    for (width, height), number in shapes.items():
        fitted = letterbox.fit(width, height, canvas.width, canvas.height)
        used += fitted.width * fitted.height / area * number / total
    if 1 - used > WASTED_SHARE:
        width, height = shapes.most_common(1)[0][0]
        better = _same_area(width / height, area)
        yield Finding(
            "canvas-wasted",
            part,
            f"{1 - used:.0%} of the canvas of {canvas.width}x{canvas.height} are padding, since "
            f"most pictures are {width}x{height}",
            f"input = {{width = {better[0]}, height = {better[1]}}} takes about the same time and "
            "shows objects larger",
        )


def _places(part: str, rows: IntArray) -> tuple[Place, ...]:
    distinct = np.unique(rows)
    chosen = distinct[np.linspace(0, len(distinct) - 1, min(_SHOWN, len(distinct))).astype(int)]
    return tuple(Place(part, int(index)) for index in chosen)


def _larger_canvas(side: FloatArray, canvas: InputRecipe, stride: int) -> str:
    """The canvas on which only `SMALL_SHARE` of the boxes are too small."""
    factor = stride / max(float(np.quantile(side, SMALL_SHARE)), 1e-6)
    width, height = (32 * math.ceil(factor * each / 32) for each in (canvas.width, canvas.height))
    if max(width, height) > min(_LARGEST_CANVAS, 4 * max(canvas.width, canvas.height)):
        return "go nearer, use a longer lens, or cut the pictures into tiles"
    return (
        f"input = {{width = {width}, height = {height}}} would leave {SMALL_SHARE:.0%} of them, at "
        f"{width * height / (canvas.width * canvas.height):.1f} times the computing; or cut the "
        "pictures to what matters"
    )


def _same_area(aspect: float, area: int) -> tuple[int, int]:
    """Width and height of about that area and aspect, multiples of 32."""
    width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
    return max(64, 32 * round(width / 32)), max(64, 32 * round(height / 32))
