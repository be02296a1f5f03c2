"""A data set in memory: where the pictures are and what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its boxes.

    Attributes:
        picture: the picture's file.
        width, height: its size in pixels.
        boxes: ``(n, 4)`` float32, left, top, right, bottom in pixels, inside the picture.
        class_ids: ``(n,)`` int64, index into `Dataset.labels`.
        ignore: ``(n,)`` bool; true marks a region that is taught neither as object nor as
            background (COCO's ``iscrowd``).
    """

    picture: Path
    width: int
    height: int
    boxes: FloatArray
    class_ids: IntArray
    ignore: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures of one set of classes.

    Attributes:
        labels: class names; a class's id is its place here. There is no background class.
        samples: the pictures, in order (of time for video).
    """

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]


def count(dataset: Dataset) -> tuple[int, int]:
    """Labels and ignored regions, in all pictures together."""
    ignored = sum(int(sample.ignore.sum()) for sample in dataset.samples)
    return sum(len(sample.boxes) for sample in dataset.samples) - ignored, ignored
