"""COCO detection JSON, read and written.

Format: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and its data format page.
Boxes are ``[left, top, width, height]`` in pixels; ``iscrowd: 1`` marks a region to ignore.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np

from tartlet_host.dataset.sample import Dataset, PicturePlace, Sample, VideoFrame
from tartlet_host.files import write_atomically
from tartlet_shared import errors

OUTSIDE_TOLERANCE = 1.0  # pixels; labelling tools round to the far edge


class Info(msgspec.Struct, omit_defaults=True):
    """Free text on how the labels were made."""

    description: str = ""


class Picture(msgspec.Struct):
    """An entry of ``images``."""

    id: int
    file_name: str
    width: int
    height: int


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


def find(path: Path) -> Path:
    """The COCO file that a user means: the file itself, or ``labels.json`` of a folder."""
    return path / "labels.json" if path.is_dir() else path


def read(path: Path) -> Dataset:
    """Read a COCO detection file; picture names are relative to its folder.

    Categories keep their order; their ids may be any numbers. The pictures are not opened.

    Raises:
        DatasetNotFound: the file is missing or has no pictures.
        DatasetError: it is not COCO JSON, or an annotation belongs to no picture.
        UnknownClass: an annotation's category is not listed.
        BoxInvalid: a box is empty, not finite or more than a pixel outside its picture.
    """
    coco = _parse(path)
    if not coco.images:
        raise errors.DatasetNotFound(
            "the data set has no pictures", where=str(path), hint="check that labelling finished"
        )
    class_of = {category.id: place for place, category in enumerate(coco.categories)}
    pictures = {picture.id: picture for picture in coco.images}
    rows: dict[int, list[Annotation]] = {picture.id: [] for picture in coco.images}
    for annotation in coco.annotations:
        where = f"{path}, annotation {annotation.id}"
        if annotation.image_id not in rows:
            raise errors.DatasetError(
                f"it belongs to picture {annotation.image_id}, which is not in the file",
                where=where,
                hint="remove the annotation or add the picture under 'images'",
            )
        if annotation.category_id not in class_of:
            known = ", ".join(f"{c.id} ({c.name})" for c in coco.categories) or "none"
            raise errors.UnknownClass(
                f"class {annotation.category_id} is not one of the categories: {known}",
                where=where,
                hint="add it under 'categories' or correct the annotation",
            )
        _check_box(annotation, pictures[annotation.image_id], where)
        rows[annotation.image_id].append(annotation)
    samples = tuple(_sample(path.parent, p, rows[p.id], class_of) for p in coco.images)
    return Dataset(tuple(category.name for category in coco.categories), samples)


def write(dataset: Dataset, path: Path, description: str = "") -> None:
    """Write a data set as COCO JSON, picture names relative to the file's folder."""
    images: list[Picture] = []
    annotations: list[Annotation] = []
    for number, sample in enumerate(dataset.samples, start=1):
        name = _name(sample.picture, path.parent)
        images.append(Picture(number, name, sample.width, sample.height))
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


def _parse(path: Path) -> CocoFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.DatasetNotFound(
            f"the data set cannot be read: {error.strerror}",
            where=str(path),
            hint="give the path of a COCO .json file, such as the labels.json of `tartlet label`",
        ) from error
    try:
        return msgspec.json.decode(content, type=CocoFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.DatasetError(
            f"not a COCO detection file: {error}",
            where=str(path),
            hint="it needs 'images', 'annotations' and 'categories'",
        ) from error


def _check_box(annotation: Annotation, picture: Picture, where: str) -> None:
    left, top, width, height = annotation.bbox
    if not np.isfinite(annotation.bbox).all() or width <= 0 or height <= 0:
        raise errors.BoxInvalid(
            f"the box {list(annotation.bbox)} of {picture.file_name} is empty",
            where=where,
            hint="a box is [left, top, width, height] with a width and height above 0",
        )
    if (
        min(left, top) < -OUTSIDE_TOLERANCE
        or left + width > picture.width + OUTSIDE_TOLERANCE
        or top + height > picture.height + OUTSIDE_TOLERANCE
    ):
        raise errors.BoxInvalid(
            f"the box {list(annotation.bbox)} reaches outside {picture.file_name} "
            f"({picture.width}x{picture.height})",
            where=where,
            hint="was the picture resized, or rotated by its EXIF data, after labelling?",
        )


def _sample(
    folder: Path, picture: Picture, rows: list[Annotation], class_of: dict[int, int]
) -> Sample:
    boxes = np.array([row.bbox for row in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    limit = np.array([picture.width, picture.height] * 2, np.float32)
    return Sample(
        picture=folder / picture.file_name,
        width=picture.width,
        height=picture.height,
        boxes=np.clip(boxes, 0, limit),
        class_ids=np.array([class_of[row.category_id] for row in rows], np.int64),
        ignore=np.array([bool(row.iscrowd) for row in rows], np.bool_),
    )
