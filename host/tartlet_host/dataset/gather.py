"""What the readers of all formats share: class names, checked boxes, samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tartlet_host.dataset.header import Header
from tartlet_host.dataset.orientation import upright_boxes
from tartlet_host.dataset.pictures import header_of
from tartlet_host.dataset.sample import (
    ArchiveMember,
    Dataset,
    PicturePlace,
    Sample,
    file_name,
    without_boxes,
)
from tartlet_host.dataset.source import Source
from tartlet_shared import errors

OUTSIDE_TOLERANCE = 1.0  # pixels; labelling tools round to the far edge

Problem = Callable[[errors.DatasetError], None]
"""Called with what is wrong in a data set; returning means: leave that out and go on."""


def fail(error: errors.DatasetError) -> None:
    """The usual answer to a problem: stop."""
    raise error


class Row(NamedTuple):
    """A box as a label file has it.

    Attributes:
        box: left, top, right, bottom in pixels of the picture that the file speaks of.
        class_id: from `ClassNames`.
        ignore: neither object nor background.
        at: where in the file, such as ``line 3``.
    """

    box: tuple[float, float, float, float]
    class_id: int
    ignore: bool
    at: str


class Labels(NamedTuple):
    """What the label file of one picture says.

    Attributes:
        rows: its boxes.
        stated: width and height of the picture, where it says.
    """

    rows: Sequence[Row]
    stated: tuple[int, int] | None


class ClassNames:
    """Turns the names of classes into numbers; without a list, every name is a class."""

    def __init__(self, labels: tuple[str, ...] | None) -> None:
        self._fixed = labels
        self._ids = {name: place for place, name in enumerate(labels or ())}

    def id_of(self, name: str, *, where: str) -> int:
        """A class's number.

        Raises:
            UnknownClass: it is not in the list.
            DatasetError: the name is empty.
        """
        found = self._ids.get(name)
        if found is not None:
            return found
        if not name:
            raise errors.DatasetError("a box has no class", where=where, hint="name its class")
        if self._fixed is not None:
            raise errors.UnknownClass(
                f"class {name!r} is not one of {', '.join(self._fixed) or 'none'}",
                where=where,
                hint="correct the label, or add the class to the recipe's labels",
            )
        self._ids[name] = len(self._ids)
        return self._ids[name]

    def dataset(self, samples: Sequence[Sample]) -> Dataset:
        """The data set; names that were found, not given, are put in alphabetical order."""
        if self._fixed is not None:
            return Dataset(self._fixed, tuple(samples))
        names = sorted(self._ids)
        place_of = np.zeros(len(names), np.int64)
        for place, name in enumerate(names):
            place_of[self._ids[name]] = place
        return Dataset(
            tuple(names),
            tuple(
                replace(sample, class_ids=place_of[sample.class_ids])
                if len(sample.boxes)
                else sample
                for sample in samples
            ),
        )


def labelled_sample(
    place: Path | ArchiveMember,
    rows: Sequence[Row],
    *,
    stated: tuple[int, int] | None,
    where: str,
    problem: Problem,
) -> Sample | None:
    """A picture with the boxes of its label file; its header is read, its pixels are not.

    Args:
        place: the picture.
        rows: its boxes; none make it background.
        stated: width and height that the label file says. Where that is the size of the stored
            picture, which EXIF data turn, the boxes were drawn on it lying on its side and are
            turned with it.
        where: the label file.
        problem: told of boxes that cannot be, which are left out.

    Returns:
        The sample; None where the picture cannot be read or has another size, after telling.
    """
    try:
        header = header_of(place)
    except errors.PictureUnreadable as error:
        problem(error)
        return None
    if stated is None or stated == header.size:
        return sample_of(place, rows, header.size, where=where, problem=problem)
    if stated == header.stored:
        return turned(sample_of(place, rows, stated, where=where, problem=problem), header)
    problem(other_size(place, stated, header, where))
    return None


def samples_of(
    source: Source,
    pictures: Iterable[str],
    matched: Mapping[str, str],
    read: Callable[[str, str], Labels],
    problem: Problem,
) -> list[Sample]:
    """The pictures of a format that has one label file for each; those without are unlabelled.

    Args:
        source: where they are.
        pictures: names in the source.
        matched: picture -> its label file.
        read: what a label file, by name and in words, says.
        problem: called with what is wrong, which is then left out.
    """
    samples: list[Sample] = []
    for picture in pictures:
        try:
            place = source.place(picture)
            if picture not in matched:
                samples.append(without_boxes(place, *header_of(place).size, labelled=False))
                continue
            where = source.where(matched[picture])
            labels = read(matched[picture], where)
            sample = labelled_sample(
                place, labels.rows, stated=labels.stated, where=where, problem=problem
            )
        except errors.DatasetError as error:
            problem(error)
            continue
        if sample is not None:
            samples.append(sample)
    return samples


def other_size(
    place: PicturePlace, stated: tuple[int, int], header: Header, where: str
) -> errors.DatasetError:
    """The error of a label file that speaks of a picture of another size."""
    return errors.DatasetError(
        f"it says that {file_name(place)} is {stated[0]}x{stated[1]} pixels, "
        f"the picture is {header.size[0]}x{header.size[1]}",
        where=where,
        hint="boxes were drawn on another size: label it again or correct the data set",
    )


def turned(sample: Sample, header: Header) -> Sample:
    """A sample of the stored picture as one of the upright picture."""
    boxes = upright_boxes(sample.boxes, header.stored, header.orientation)
    return replace(sample, width=header.size[0], height=header.size[1], boxes=boxes)


def sample_of(
    place: PicturePlace,
    rows: Sequence[Row],
    size: tuple[int, int],
    *,
    where: str,
    problem: Problem,
) -> Sample:
    """A picture of a known size with its boxes, clipped to it by at most `OUTSIDE_TOLERANCE`."""
    if not rows:
        return without_boxes(place, *size, labelled=True)
    if _all_inside(rows, size):  # nearly always, and several times as fast
        return Sample(
            picture=place,
            width=size[0],
            height=size[1],
            boxes=np.array([row.box for row in rows], np.float32),
            class_ids=np.array([row.class_id for row in rows], np.int64),
            ignore=np.array([row.ignore for row in rows], np.bool_),
        )
    boxes = np.array([row.box for row in rows], np.float64)
    limit = np.array(size * 2, np.float64)
    finite = np.isfinite(boxes).all(axis=1)
    empty = np.asarray(~finite | ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    outside = (boxes < -OUTSIDE_TOLERANCE).any(axis=1)
    outside |= (boxes > limit + OUTSIDE_TOLERANCE).any(axis=1)
    clipped = np.clip(boxes, 0, limit).astype(np.float32)
    outside |= ~empty & ~(clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    bad = np.asarray(empty | outside)
    for index in np.flatnonzero(bad).tolist():
        problem(_invalid(rows[index], bool(empty[index]), place, size, where))
    kept: list[int] = np.flatnonzero(~bad).tolist()
    return Sample(
        picture=place,
        width=size[0],
        height=size[1],
        boxes=clipped[kept],
        class_ids=np.array([rows[index].class_id for index in kept], np.int64),
        ignore=np.array([rows[index].ignore for index in kept], np.bool_),
    )


def _all_inside(rows: Sequence[Row], size: tuple[int, int]) -> bool:
    """Whether every box has an area and lies in the picture; what is no number does not."""
    width, height = size
    return all(
        0 <= left < right <= width and 0 <= top < bottom <= height
        for (left, top, right, bottom), _, _, _ in rows
    )


def _invalid(
    row: Row, empty: bool, place: PicturePlace, size: tuple[int, int], where: str
) -> errors.BoxInvalid:
    left, top, right, bottom = row.box
    if empty:
        what, hint = (
            f"of {file_name(place)} is empty",
            "its right and bottom edges must be beyond its left and top ones",
        )
    else:
        what = f"reaches outside {file_name(place)} ({size[0]}x{size[1]})"
        hint = "was the picture resized, or rotated by its EXIF data, after labelling?"
    return errors.BoxInvalid(
        f"the box from {left:g}, {top:g} to {right:g}, {bottom:g} {what}",
        where=f"{where}, {row.at}",
        hint=hint,
    )
