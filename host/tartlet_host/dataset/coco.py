"""COCO detection JSON, read and written.

Format: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and its data format page.
Boxes are ``[left, top, width, height]`` in pixels; ``iscrowd: 1`` marks a region to ignore. Two
things are tartlet's own: a picture's ``"labelled": false``, which other readers pass over, and
names such as ``clip.mp4#12`` and ``photos.tar#a.jpg`` for pictures in videos and archives.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from tartlet_host.dataset.gather import Problem, Row, fail, sample_of
from tartlet_host.dataset.json_labels import decode
from tartlet_host.dataset.sample import (
    Dataset,
    PicturePlace,
    Sample,
    VideoFrame,
    without_boxes,
)
from tartlet_host.dataset.source import FolderSource, Source, open_source
from tartlet_host.dataset.video import VIDEO_SUFFIXES
from tartlet_host.files import write_atomically
from tartlet_shared import errors

LABELS_NAME = "labels.json"


class Info(msgspec.Struct, omit_defaults=True):
    """Free text on how the labels were made."""

    description: str = ""


class Picture(msgspec.Struct, omit_defaults=True):
    """An entry of ``images``."""

    id: int
    file_name: str
    width: int
    height: int
    labelled: bool = True


class Annotation(msgspec.Struct):
    """An entry of ``annotations``."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0
    area: float = 0.0


class Category(msgspec.Struct):
    """An entry of ``categories``."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """The whole file."""

    images: list[Picture]
    annotations: list[Annotation]
    categories: list[Category]
    info: Info = msgspec.field(default_factory=Info)


def read(path: Path, *, labels: tuple[str, ...] | None = None, problem: Problem = fail) -> Dataset:
    """Read a COCO detection file; picture names are relative to its folder.

    Args:
        path: the file.
        labels: the classes wanted, in their order; without them the file's categories.
        problem: called with what is wrong; by default the first problem is raised.

    Raises:
        DatasetNotFound: the file is missing or has no pictures.
        DatasetError: it is not COCO JSON, or an annotation belongs to no picture.
        UnknownClass: an annotation's category is not listed.
        BoxInvalid: a box is empty, not finite or more than a pixel outside its picture.
    """
    return read_from(FolderSource(path.parent), path.name, labels=labels, problem=problem)


def read_from(
    source: Source,
    name: str,
    *,
    labels: tuple[str, ...] | None = None,
    problem: Problem = fail,
) -> Dataset:
    """Read the COCO file of that name in a folder or an archive; see `read`.

    Categories keep their order; their ids may be any numbers. The pictures are not opened.
    """
    where = source.where(name)
    coco = _parse(source, name)
    if not coco.images:
        raise errors.DatasetNotFound(
            "the data set has no pictures", where=where, hint="check that labelling finished"
        )
    names = tuple(category.name for category in coco.categories)
    classes = _Classes(coco, names if labels is None else labels, where)
    rows: dict[int, list[Row]] = {picture.id: [] for picture in coco.images}
    if len(rows) < len(coco.images):
        problem(_twice(coco, where))
    for annotation in coco.annotations:
        try:
            _sort_in(annotation, rows, classes)
        except errors.DatasetError as error:
            problem(error)
    find = _finder(source, name, coco.images[0].file_name)
    samples: list[Sample] = []
    for picture in coco.images:
        try:
            place, size = find(picture.file_name), (picture.width, picture.height)
        except errors.DatasetError as error:
            problem(error)
            continue
        if picture.labelled:
            found = rows[picture.id]
            samples.append(sample_of(place, found, size, where=where, problem=problem))
        else:
            samples.append(without_boxes(place, *size, labelled=False))
    return Dataset(classes.labels, tuple(samples))


def write(dataset: Dataset, path: Path, description: str = "") -> None:
    """Write a data set as COCO JSON, picture names relative to the file's folder."""
    images: list[Picture] = []
    annotations: list[Annotation] = []
    for number, sample in enumerate(dataset.samples, start=1):
        name = _name(sample.picture, path.parent)
        images.append(Picture(number, name, sample.width, sample.height, sample.labelled))
        for box, class_id, ignore in zip(
            sample.boxes, sample.class_ids, sample.ignore, strict=True
        ):
            left, top, right, bottom = (round(float(value), 2) for value in box)
            width, height = round(right - left, 2), round(bottom - top, 2)
            annotations.append(
                Annotation(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=int(class_id) + 1,
                    bbox=(left, top, width, height),
                    iscrowd=int(ignore),
                    area=round(width * height, 2),
                )
            )
    categories = [Category(place + 1, name) for place, name in enumerate(dataset.labels)]
    coco = CocoFile(images, annotations, categories, Info(description))
    write_atomically(path, msgspec.json.format(msgspec.json.encode(coco), indent=1))


def _name(picture: PicturePlace, folder: Path) -> str:
    """A picture's ``file_name``: ``a.jpg``, ``clip.mp4#12`` or ``photos.tar#a.jpg``."""
    if isinstance(picture, Path):
        return Path(os.path.relpath(picture, folder)).as_posix()
    outer, inner = (
        (picture.video, picture.number)
        if isinstance(picture, VideoFrame)
        else (picture.archive, picture.name)
    )
    return f"{Path(os.path.relpath(outer, folder)).as_posix()}#{inner}"


def _parse(source: Source, name: str) -> CocoFile:
    try:
        content = source.read(name)
    except OSError as error:
        raise errors.DatasetNotFound(
            f"the data set cannot be read: {error.strerror}",
            where=source.where(name),
            hint="give the path of a COCO .json file, such as the labels.json of `tartlet label`",
        ) from error
    return decode(
        content,
        CocoFile,
        where=source.where(name),
        what="not a COCO detection file",
        hint="it needs 'images', 'annotations' and 'categories'",
    )


class _Classes:
    """From a category's id to a class; a category that is not wanted may stand there unused."""

    def __init__(self, coco: CocoFile, labels: tuple[str, ...], where: str) -> None:
        self.labels = labels
        self.where = where
        places = {name: place for place, name in enumerate(labels)}
        self._classes = {each.id: places.get(each.name) for each in coco.categories}
        self._known = ", ".join(f"{c.id} ({c.name})" for c in coco.categories) or "none"
        self._names = {each.id: each.name for each in coco.categories}

    def of(self, category: int, where: str) -> int:
        if category not in self._classes:
            raise errors.UnknownClass(
                f"class {category} is not one of the categories: {self._known}",
                where=where,
                hint="add it under 'categories' or correct the annotation",
            )
        found = self._classes[category]
        if found is None:
            raise errors.UnknownClass(
                f"class {self._names[category]!r} is not one of {', '.join(self.labels)}",
                where=where,
                hint="correct the label, or add the class to the recipe's labels",
            )
        return found


def _sort_in(annotation: Annotation, rows: dict[int, list[Row]], classes: _Classes) -> None:
    where = f"{classes.where}, annotation {annotation.id}"
    if annotation.image_id not in rows:
        raise errors.DatasetError(
            f"it belongs to picture {annotation.image_id}, which is not in the file",
            where=where,
            hint="remove the annotation or add the picture under 'images'",
        )
    left, top, width, height = annotation.bbox
    class_id = classes.of(annotation.category_id, where)
    rows[annotation.image_id].append(
        Row(
            (left, top, left + width, top + height),
            class_id,
            bool(annotation.iscrowd),
            f"annotation {annotation.id}",
        )
    )


def _twice(coco: CocoFile, where: str) -> errors.DatasetError:
    number, times = Counter(each.id for each in coco.images).most_common(1)[0]
    return errors.DatasetError(
        f"{times} pictures have the id {number}",
        where=where,
        hint="give each picture an id of its own",
    )


_INSIDE = re.compile(
    rf"(?P<outer>.+(?P<suffix>\.tar|{'|'.join(map(re.escape, VIDEO_SUFFIXES))}))#(?P<inner>.+)",
    re.IGNORECASE | re.DOTALL,
)


def _finder(source: Source, name: str, example: str) -> Callable[[str], PicturePlace]:
    """Where the pictures are that the COCO file ``name`` names, judged by one of them."""
    folder = posixpath.dirname(name)
    bases = _bases(folder, posixpath.basename(name))
    base = next((b for b in bases if source.exists(posixpath.join(b, example))), folder)
    archives: dict[str, Source] = {}

    def find(name: str) -> PicturePlace:
        inside = _INSIDE.fullmatch(name) if "#" in name else None
        try:
            if inside is None or not isinstance(source, FolderSource):
                return source.place(posixpath.join(base, name))
            outer, inner = source.root / folder / inside["outer"], inside["inner"]
            if inside["suffix"].lower() != ".tar":
                return VideoFrame(outer, int(inner)) if inner.isdecimal() else source.place(name)
            if inside["outer"] not in archives:
                archives[inside["outer"]] = open_source(outer)
            return archives[inside["outer"]].place(inner)
        except FileNotFoundError as error:
            raise errors.PictureUnreadable(
                "the archive has no such picture",
                where=source.where(name),
                hint="was it packed again under other names?",
            ) from error

    return find


def _bases(folder: str, name: str) -> tuple[str, ...]:
    """Folders that label files of known tools count picture names from, the usual one first.

    Beside the file; ``images`` there; and, for a file in ``annotations``, the folder ``images``
    or one named after the part (``instances_train2017.json``: ``train2017``) beside that.
    """
    above = posixpath.dirname(folder) if folder else ".."
    part = posixpath.splitext(name)[0].partition("_")[2]
    there = [posixpath.join(above, *names) for names in (("images",), (part,), ("images", part))]
    return (folder, posixpath.join(folder, "images"), *there, above)
