"""YOLO: one text file for each picture, and a ``data.yaml`` with the classes.

Format: J. Redmon's Darknet, with the folders and the YAML file of Ultralytics' documentation. A
line is ``class x y width height``, the box's centre and size as shares of the upright picture, or
``class x1 y1 x2 y2 x3 y3 ...``, a polygon, which becomes the box around it. The text file of
``images/a.jpg`` is ``labels/a.txt`` or lies beside the picture; an empty one says that there is
nothing in the picture, a missing one says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tartlet_host.dataset.gather import Problem, Row, labelled_sample
from tartlet_host.dataset.listing import without_suffix
from tartlet_host.dataset.pictures import header_of
from tartlet_host.dataset.sample import Dataset, Sample, without_boxes
from tartlet_host.dataset.source import Source
from tartlet_shared import errors


def read(
    source: Source,
    pictures: tuple[str, ...],
    names: dict[int, str],
    *,
    labels: tuple[str, ...] | None,
    problem: Problem,
) -> Dataset:
    """Read the text files of pictures; a picture without one is unlabelled.

    Args:
        source: where the pictures are.
        pictures: their names.
        names: the classes by number; empty where nothing names them.
        labels: the classes wanted, in their order; without them those of ``names``. Where nothing
            names the classes, their numbers count into ``labels`` or become the names.
        problem: called with what is wrong.
    """
    classes = _Classes(names, labels)
    samples: list[Sample] = []
    for picture in pictures:
        try:
            sample = _sample(source, picture, classes, problem)
        except errors.DatasetError as error:
            problem(error)
            continue
        if sample is not None:
            samples.append(sample)
    return Dataset(classes.labels(), tuple(samples))


def label_names(picture: str) -> tuple[str, str]:
    """Where a picture's text file may be: under ``labels`` for ``images``, or beside it."""
    beside = without_suffix(picture) + ".txt"
    parts = beside.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == "images":
            return "/".join((*parts[:place], "labels", *parts[place + 1 :])), beside
    return beside, beside


class _Classes:
    """From the number in a text file to a class."""

    def __init__(self, names: dict[int, str], labels: tuple[str, ...] | None) -> None:
        self._names = names
        self._labels = labels
        self._highest = -1
        if names:
            wanted = labels if labels is not None else tuple(names[n] for n in sorted(names))
            self._labels = wanted
            places = {name: place for place, name in enumerate(wanted)}
            self._places = {number: places.get(name) for number, name in names.items()}
        elif labels is not None:
            self._places = dict(enumerate(range(len(labels))))

    def of(self, number: int, where: str) -> int:
        if self._labels is None:
            self._highest = max(self._highest, number)
            return number
        place = self._places.get(number)
        if place is None:
            name = f" ({self._names[number]})" if number in self._names else ""
            raise errors.UnknownClass(
                f"class {number}{name} is not one of {', '.join(self._labels)}",
                where=where,
                hint="correct the label, or the names in data.yaml or classes.txt",
            )
        return place

    def labels(self) -> tuple[str, ...]:
        if self._labels is not None:
            return self._labels
        return tuple(str(number) for number in range(self._highest + 1))


def _sample(source: Source, picture: str, classes: _Classes, problem: Problem) -> Sample | None:
    place = source.place(picture)
    size = header_of(place).size
    for name in label_names(picture):
        try:
            content = source.read(name)
        except FileNotFoundError:
            continue
        rows = list(_rows(content, size, classes, source.where(name), problem))
        return labelled_sample(place, rows, stated=None, where=source.where(name), problem=problem)
    return without_boxes(place, *size, labelled=False)


def _rows(
    content: bytes, size: tuple[int, int], classes: _Classes, where: str, problem: Problem
) -> Iterator[Row]:
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        at = f"line {number}"
        try:
            class_number, shares = _numbers(line.split(), f"{where}, {at}")
            class_id = classes.of(class_number, f"{where}, {at}")
        except errors.DatasetError as error:
            problem(error)
            continue
        yield Row(_box(shares, size), class_id, ignore=False, at=at)


def _numbers(words: list[str], where: str) -> tuple[int, list[float]]:
    """The class and the shares of a line."""
    try:
        values = [float(word) for word in words]
        class_number = int(values[0])
    except (ValueError, OverflowError):
        values, class_number = [], -1
    if class_number < 0 or class_number != values[0]:
        raise _not_yolo(f"not a line of a YOLO label file: {' '.join(words)[:60]!r}", where)
    count = len(values) - 1
    if count != 4 and (count < 6 or count % 2):
        raise _not_yolo(
            f"{count} numbers after the class, not 4 or the corners of a polygon", where
        )
    if any(not -1 <= value <= 2 for value in values[1:]):
        raise _not_yolo("the numbers are pixels, not shares of the picture from 0 to 1", where)
    return class_number, values[1:]


def _not_yolo(what: str, where: str) -> errors.DatasetError:
    return errors.DatasetError(
        what, where=where, hint="a line is `class x y width height`, such as `0 0.5 0.5 0.1 0.2`"
    )


def _box(shares: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    if len(shares) == 4:
        x, y, w, h = shares
        left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    else:
        xs, ys = shares[0::2], shares[1::2]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return left * width, top * height, right * width, bottom * height
