"""LabelMe: one JSON file beside each picture.

Format: K. Wada, "labelme: Image Polygonal Annotation with Python". Rectangles, polygons, masks and
circles become the boxes around them; points and lines have none and are left out. Paths inside the
JSON are not followed: its own name tells its picture, then the base name of ``imagePath``.
"""

from __future__ import annotations

import logging
import math
import posixpath
from collections.abc import Iterator

import msgspec

from tartlet_host.dataset.gather import ClassNames, Labels, Problem, Row, samples_of
from tartlet_host.dataset.json_labels import decode
from tartlet_host.dataset.listing import Listing, without_suffix
from tartlet_host.dataset.sample import Dataset
from tartlet_host.dataset.source import Source
from tartlet_shared import errors

_log = logging.getLogger(__name__)


class Shape(msgspec.Struct):
    """An entry of ``shapes``."""

    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"


class LabelMeFile(
    msgspec.Struct, rename={"path": "imagePath", "height": "imageHeight", "width": "imageWidth"}
):
    """The whole file, but for the copy of the picture that may be in it."""

    shapes: list[Shape]
    path: str = ""
    height: int | None = None
    width: int | None = None


def read(
    source: Source, listing: Listing, *, labels: tuple[str, ...] | None, problem: Problem
) -> Dataset:
    """Read the JSON files of a folder or an archive; pictures without one are unlabelled.

    Args:
        source, listing: where, and what is there.
        labels: the classes; without them all names found, in alphabetical order.
        problem: called with what is wrong.
    """
    classes = ClassNames(labels)
    matched = _match(source, listing, problem)

    def labels_of(name: str, where: str) -> Labels:
        file = _file(source, name)
        stated = (file.width, file.height) if file.width and file.height else None
        return Labels(list(_rows(file, classes, where, problem)), stated)

    return classes.dataset(samples_of(source, listing.pictures, matched, labels_of, problem))


def _match(source: Source, listing: Listing, problem: Problem) -> dict[str, str]:
    """The JSON file of each picture that has one."""
    by_path = {without_suffix(name): name for name in listing.pictures}
    pictures = frozenset(listing.pictures)
    matched: dict[str, str] = {}
    for name in listing.others[".json"]:
        picture = by_path.get(without_suffix(name))
        try:
            if picture is None:
                base = posixpath.basename(_file(source, name).path.replace("\\", "/"))
                picture = posixpath.join(posixpath.dirname(name), base)
                if picture not in pictures:
                    raise errors.PictureUnreadable(
                        f"its picture {base or without_suffix(name)} is not there",
                        where=source.where(name),
                        hint="put it beside the .json file",
                    )
        except errors.DatasetError as error:
            problem(error)
            continue
        matched[picture] = name
    return matched


def _file(source: Source, name: str) -> LabelMeFile:
    return decode(
        source.read(name),
        LabelMeFile,
        where=source.where(name),
        what="not a LabelMe file",
        hint="save it again in LabelMe, or take it out of the folder",
    )


def _rows(file: LabelMeFile, classes: ClassNames, where: str, problem: Problem) -> Iterator[Row]:
    for place, shape in enumerate(file.shapes, start=1):
        at = f"shape {place} ({shape.label})"
        box = _box(shape)
        if box is None:
            _log.warning("%s, %s: a %s is not a box", where, at, shape.shape_type)
            continue
        try:
            class_id = classes.id_of(shape.label.strip(), where=f"{where}, {at}")
        except errors.DatasetError as error:
            problem(error)
            continue
        yield Row(box, class_id, ignore=False, at=at)


def _box(shape: Shape) -> tuple[float, float, float, float] | None:
    """Around the shape; None for what has no area by its nature."""
    if not shape.points or shape.shape_type in ("point", "points", "line", "linestrip"):
        return None
    xs, ys = zip(*shape.points, strict=True)
    if shape.shape_type == "circle" and len(shape.points) == 2:  # its centre and a point on it
        radius = math.dist(*shape.points)
        return xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius
    return min(xs), min(ys), max(xs), max(ys)
