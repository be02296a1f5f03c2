"""A data set in memory: where the pictures are and what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A picture inside a plain .tar file, read in place.

    Attributes:
        archive: the file.
        name: the member's name, with "/" between folders.
        offset, size: where its bytes are.
    """

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}#{self.name}"


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a video file; frames are numbered from 1."""

    video: Path
    number: int

    def __str__(self) -> str:
        return f"{self.video}#{self.number}"


PicturePlace = Path | ArchiveMember | VideoFrame
"""Where a picture's pixels are; `str` names it for people and in label files."""


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Sample:
    """One picture with its boxes.

    Attributes:
        picture: the picture's file, its place in an archive or in a video.
        width, height: its size in pixels, turned upright where its EXIF data say so.
        boxes: ``(n, 4)`` float32, left, top, right, bottom in pixels, inside the picture.
        class_ids: ``(n,)`` int64, index into `Dataset.labels`.
        ignore: ``(n,)`` bool; true marks a region that is taught neither as object nor as
            background (COCO's ``iscrowd``).
        labelled: false where nobody said what is in the picture: it is never background, and
            only a teacher can make use of it. True without boxes is background.
    """

    picture: PicturePlace
    width: int
    height: int
    boxes: FloatArray
    class_ids: IntArray
    ignore: NDArray[np.bool_]
    labelled: bool = True


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures of one set of classes.

    Attributes:
        labels: class names; a class's id is its place here. There is no background class.
        samples: the pictures, in order (of time for video).
    """

    labels: tuple[str, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class PictureCounts:
    """How many pictures have boxes, are background, or were never labelled."""

    with_boxes: int
    background: int
    unlabelled: int


# One object for all pictures without boxes
NO_BOXES = np.zeros((0, 4), np.float32)
NO_CLASSES = np.zeros(0, np.int64)
NO_IGNORE = np.zeros(0, np.bool_)


def without_boxes(picture: PicturePlace, width: int, height: int, *, labelled: bool) -> Sample:
    """A picture of background, or one that nobody labelled."""
    return Sample(picture, width, height, NO_BOXES, NO_CLASSES, NO_IGNORE, labelled)


def file_name(picture: PicturePlace) -> str:
    """The last part of a picture's name, for captions: ``a.jpg``, ``clip.mp4#12``."""
    if isinstance(picture, Path):
        return picture.name
    if isinstance(picture, ArchiveMember):
        return PurePosixPath(picture.name).name
    return f"{picture.video.name}#{picture.number}"


def count(dataset: Dataset) -> tuple[int, int]:
    """Labels and ignored regions, in all pictures together."""
    ignored = sum(int(sample.ignore.sum()) for sample in dataset.samples)
    return sum(len(sample.boxes) for sample in dataset.samples) - ignored, ignored


def count_pictures(dataset: Dataset) -> PictureCounts:
    """Pictures by what is known about them; ignored regions count as boxes."""
    with_boxes = sum(len(sample.boxes) > 0 for sample in dataset.samples)
    unlabelled = sum(not sample.labelled for sample in dataset.samples)
    return PictureCounts(with_boxes, len(dataset.samples) - with_boxes - unlabelled, unlabelled)
