"""Pascal VOC: one XML file for each picture.

Format: Everingham et al., "The PASCAL Visual Object Classes Challenge", development kit. The XML
lies beside its picture, or in ``Annotations`` beside ``JPEGImages``, with the parts of the data set
as lists in ``ImageSets/Main``. Paths inside the XML are those of somebody else's computer and are
not followed: the XML's own name tells its picture, then the ``filename`` in it. Coordinates are
taken as edges in pixels, as today's tools write them. ``difficult`` objects are neither taught nor
counted.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from tartlet_host.dataset.gather import ClassNames, Labels, Problem, Row, samples_of
from tartlet_host.dataset.listing import Listing, stem, without_suffix
from tartlet_host.dataset.sample import Dataset
from tartlet_host.dataset.source import Source
from tartlet_host.dataset.xml_labels import number, parse, text, whole
from tartlet_shared import errors


def read(
    source: Source,
    listing: Listing,
    *,
    labels: tuple[str, ...] | None,
    part: str,
    problem: Problem,
) -> Dataset:
    """Read the annotations of a folder or an archive; pictures without one are unlabelled.

    Args:
        source, listing: where, and what is there.
        labels: the classes; without them all names found, in alphabetical order.
        part: a list in ``ImageSets/Main``, such as ``train``; empty takes every picture.
        problem: called with what is wrong.

    Raises:
        DatasetError: see `problem`, or there is no such part.
    """
    classes = ClassNames(labels)
    wanted = _part(source, listing, part) if part else None
    pictures = [
        name
        for name in listing.pictures
        if posixpath.basename(posixpath.dirname(name)) not in _MASKS
        and (wanted is None or stem(name) in wanted)
    ]
    matched = _match(source, listing.others[".xml"], pictures, wanted, problem)

    def labels_of(name: str, where: str) -> Labels:
        root = _root(source, name)
        return Labels(list(_rows(root, classes, where, problem)), _size(root, where))

    return classes.dataset(samples_of(source, pictures, matched, labels_of, problem))


_MASKS = ("SegmentationClass", "SegmentationObject")
"""Folders of the development kit with pictures that are labels themselves."""


def _match(
    source: Source,
    annotations: tuple[str, ...],
    pictures: list[str],
    wanted: frozenset[str] | None,
    problem: Problem,
) -> dict[str, str]:
    """The annotation of each picture that has one."""
    by_path = {without_suffix(name): name for name in pictures}
    by_stem: dict[str, list[str]] = {}
    for name in pictures:
        by_stem.setdefault(stem(name), []).append(name)
    matched: dict[str, str] = {}
    for name in annotations:
        if wanted is not None and stem(name) not in wanted:
            continue
        above = posixpath.dirname(posixpath.dirname(name))
        picture = by_path.get(without_suffix(name)) or by_path.get(
            posixpath.join(above, "JPEGImages", stem(name))
        )
        try:
            if picture is None:
                named = text(_root(source, name), "filename").replace("\\", "/")
                picture = _only(by_stem.get(stem(name)) or by_stem.get(stem(named)) or [])
            if picture is None:
                raise errors.PictureUnreadable(
                    f"its picture {posixpath.basename(named) or stem(name)} is not there",
                    where=source.where(name),
                    hint="put it beside the .xml, or into JPEGImages beside Annotations",
                )
            if picture in matched:
                raise errors.DatasetError(
                    f"{posixpath.basename(picture)} has another annotation, {matched[picture]}",
                    where=source.where(name),
                    hint="remove one of the two",
                )
        except errors.DatasetError as error:
            problem(error)
            continue
        matched[picture] = name
    return matched


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _root(source: Source, name: str) -> ET.Element:
    root = parse(source.read(name), where=source.where(name))
    if root.tag != "annotation":
        raise errors.DatasetError(
            f"its root is <{root.tag}>, not Pascal VOC's <annotation>",
            where=source.where(name),
            hint="keep label files of one format in a folder",
        )
    return root


def _size(root: ET.Element, where: str) -> tuple[int, int] | None:
    """Width and height; None where the file does not say, or says 0 as some tools do."""
    size = root.find("size")
    if size is None:
        return None
    width, height = (whole(text(size, n), n, where=where) for n in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def _rows(root: ET.Element, classes: ClassNames, where: str, problem: Problem) -> Iterator[Row]:
    for place, each in enumerate(root.findall("object"), start=1):
        name = text(each, "name")
        at = f"object {place}" + (f" ({name})" if name else "")
        here = f"{where}, {at}"
        box = each.find("bndbox")
        try:
            if box is None:
                raise errors.DatasetError(
                    "it has no <bndbox>", where=here, hint="draw a box, or remove the object"
                )
            left, top, right, bottom = (
                number(text(box, edge), edge, where=here)
                for edge in ("xmin", "ymin", "xmax", "ymax")
            )
            class_id = classes.id_of(name, where=here)
        except errors.DatasetError as error:
            problem(error)
            continue
        yield Row((left, top, right, bottom), class_id, text(each, "difficult") == "1", at)


def _part(source: Source, listing: Listing, part: str) -> frozenset[str]:
    """Stems of the pictures that a list in ``ImageSets/Main`` names."""
    lists = {
        stem(name): name
        for name in listing.others.get(".txt", ())
        if posixpath.dirname(name).endswith("ImageSets/Main")
    }
    if part not in lists:
        raise errors.DatasetNotFound(
            f"there is no part {part!r}; there are: {', '.join(lists) or 'none'}",
            where=str(source.root),
            hint="parts are lists such as ImageSets/Main/train.txt",
        )
    lines = source.read(lists[part]).decode(errors="replace").splitlines()
    return frozenset(line.split()[0] for line in lines if line.strip())
