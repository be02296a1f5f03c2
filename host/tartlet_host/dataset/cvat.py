"""CVAT's own XML, version 1.1, for images and for video.

Format: CVAT's documentation, "XML annotation format". Boxes, polygons, masks and ellipses become
the boxes around them; points, lines and tags have none and are left out. For video, boxes are taken
as they are written, none is made up between two of them: a frame in which a track goes on without a
box is unlabelled. Frames come from ``images/frame_000012.jpg`` and so on, or from the video itself.
"""

from __future__ import annotations

import logging
import math
import posixpath
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.dataset.gather import ClassNames, Problem, Row, labelled_sample, sample_of
from tartlet_host.dataset.listing import Listing
from tartlet_host.dataset.sample import (
    ArchiveMember,
    Dataset,
    Sample,
    VideoFrame,
    without_boxes,
)
from tartlet_host.dataset.source import FolderSource, Source
from tartlet_host.dataset.xml_labels import number, parse, text, whole
from tartlet_shared import errors

MOST_FRAMES = 10_000_000  # four days at 30 frames a second; more is a damaged file

_log = logging.getLogger(__name__)


def read(
    source: Source,
    name: str,
    listing: Listing,
    *,
    labels: tuple[str, ...] | None,
    problem: Problem,
) -> Dataset:
    """Read an export.

    Args:
        source, listing: where it is, and what is there.
        name: the XML file.
        labels: the classes; without them those of the task, in its order.
        problem: called with what is wrong.

    Raises:
        DatasetError: it is not CVAT's XML, or see `problem`.
    """
    where = source.where(name)
    root = parse(source.read(name), where=where)
    if root.tag != "annotations":
        raise errors.DatasetError(
            f"its root is <{root.tag}>, not CVAT's <annotations>",
            where=where,
            hint="export as 'CVAT for images 1.1' or 'CVAT for video 1.1'",
        )
    own = tuple(dict.fromkeys(text(each, "name") for each in root.iterfind(".//labels/label")))
    classes = ClassNames(labels if labels is not None else own or None)
    finder = _Finder(source, posixpath.dirname(name), listing)
    read_samples = _images if root.find("image") is not None else _frames
    samples = list(read_samples(root, finder, classes, where, problem))
    if not samples:
        raise errors.DatasetNotFound(
            "the data set has no pictures", where=where, hint="check what was exported"
        )
    return classes.dataset(samples)


class _Finder:
    """Where an export's pictures are; names inside the XML may lack the folders around them."""

    def __init__(self, source: Source, folder: str, listing: Listing) -> None:
        self.source = source
        self.folder = folder
        self.listing = listing
        self._known = frozenset(listing.pictures)
        self._by_base: dict[str, list[str]] = {}
        for name in listing.pictures:
            self._by_base.setdefault(posixpath.basename(name), []).append(name)

    def picture(self, name: str, where: str) -> Path | ArchiveMember | None:
        for folder in (self.folder, posixpath.join(self.folder, "images")):
            if posixpath.join(folder, name) in self._known:
                return self.source.place(posixpath.join(folder, name))
        same = self._by_base.get(posixpath.basename(name), [])
        if len(same) > 1:
            raise errors.DatasetError(
                f"{name} may be {same[0]} or {same[1]}", where=where, hint="remove one of them"
            )
        return self.source.place(same[0]) if same else None

    def frames(self, root: ET.Element, where: str) -> dict[int, Path | ArchiveMember] | VideoFrame:
        """The task's frames as pictures by number, or else the first frame of its video."""
        pictures: dict[int, Path | ArchiveMember] = {}
        for name in self.listing.pictures:
            match = re.search(r"(\d+)$", posixpath.splitext(name)[0])
            if match is not None:
                pictures[int(match[1])] = self.source.place(name)
        if pictures:
            return pictures
        named = posixpath.basename((root.findtext(".//source") or "").replace("\\", "/"))
        videos = [v for v in self.listing.videos if posixpath.basename(v) == named]
        videos = videos or (list(self.listing.videos) if len(self.listing.videos) == 1 else [])
        if not videos or not isinstance(self.source, FolderSource):
            raise errors.DatasetNotFound(
                f"neither the frames nor the video {named} are there",
                where=where,
                hint="export with images, or put the video beside the .xml file",
            )
        return VideoFrame(self.source.place(videos[0]), 1)


def _images(
    root: ET.Element, finder: _Finder, classes: ClassNames, where: str, problem: Problem
) -> Iterator[Sample]:
    for image in root.iterfind("image"):
        name = image.get("name", "")
        here = f"{where}, image {image.get('id', '?')} ({name})"
        try:
            place = finder.picture(name.replace("\\", "/"), where)
            if place is None:
                raise errors.PictureUnreadable(
                    f"its picture {name} is not there",
                    where=here,
                    hint="export with images, or put the pictures into `images` beside the .xml",
                )
            size = _size(image.get("width"), image.get("height"), here)
        except errors.DatasetError as error:
            problem(error)
            continue
        rows: list[Row] = []
        for shape in image:
            row = _row(shape, shape.get("label", ""), classes, where, here, problem)
            if row is not None:
                rows.append(row)
        sample = labelled_sample(place, rows, stated=size, where=where, problem=problem)
        if sample is not None:
            yield sample


@dataclass
class _FrameLabels:
    rows: list[Row]
    known: bool = True


def _frames(
    root: ET.Element, finder: _Finder, classes: ClassNames, where: str, problem: Problem
) -> Iterator[Sample]:
    numbers = _task_frames(root, where)
    labels = {frame: _FrameLabels([]) for frame in numbers}
    for track in root.iterfind("track"):
        _sort_in(track, numbers, labels, classes, where, problem)
    size = _size(
        root.findtext(".//original_size/width"), root.findtext(".//original_size/height"), where
    )
    places = finder.frames(root, where)
    for frame, found in labels.items():
        place = (
            VideoFrame(places.video, frame + 1)
            if isinstance(places, VideoFrame)
            else places.get(frame)
        )
        if place is None:
            problem(_no_frame(frame, where))
        elif not found.known:
            yield without_boxes(place, *size, labelled=False)
        elif isinstance(place, VideoFrame):
            yield sample_of(place, found.rows, size, where=where, problem=problem)
        else:
            sample = labelled_sample(place, found.rows, stated=size, where=where, problem=problem)
            if sample is not None:
                yield sample


def _no_frame(frame: int, where: str) -> errors.PictureUnreadable:
    return errors.PictureUnreadable(
        f"frame {frame} is not among the pictures",
        where=where,
        hint="export with images, or remove the pictures and put the video beside the .xml",
    )


def _task_frames(root: ET.Element, where: str) -> range:
    """The numbers of the task's frames in the video, counted from 0."""
    start = whole(root.findtext(".//start_frame") or "0", "start_frame", where=where)
    step_text = re.search(r"step=(\d+)", root.findtext(".//frame_filter") or "")
    step = max(1, int(step_text[1])) if step_text else 1
    stop = root.findtext(".//stop_frame")
    if stop:
        last = whole(stop, "stop_frame", where=where)
    else:
        last = start + (whole(root.findtext(".//size"), "size", where=where) - 1) * step
    if not 0 <= start <= last + 1 <= MOST_FRAMES:
        raise errors.DatasetError(
            f"its frames go from {start} to {last}", where=where, hint="export the task again"
        )
    return range(start, last + 1, step)


def _sort_in(
    track: ET.Element,
    frames: range,
    labels: dict[int, _FrameLabels],
    classes: ClassNames,
    where: str,
    problem: Problem,
) -> None:
    """Put a track's boxes into their frames; where it goes on without one, nothing is known."""
    here = f"{where}, track {track.get('id', '?')}"
    try:
        shapes = [(whole(each.get("frame"), "frame", where=here), each) for each in track]
    except errors.DatasetError as error:
        problem(error)
        return
    shapes.sort(key=lambda each: each[0])
    ends = [frame for frame, _ in shapes[1:]] + [frames.stop]
    for (frame, shape), end in zip(shapes, ends, strict=True):
        if shape.get("outside") == "1":
            continue
        at = f"{here}, frame {frame}"
        row = _row(shape, track.get("label", ""), classes, where, at, problem)
        if row is not None and frame in labels:
            labels[frame].rows.append(row)
        for between in range(max(frame + 1, frames.start), min(end, frames.stop)):
            if between in labels:
                labels[between].known = False


def _row(
    shape: ET.Element, label: str, classes: ClassNames, where: str, here: str, problem: Problem
) -> Row | None:
    try:
        box = _box(shape, here)
        if box is None:
            return None
        class_id = classes.id_of(label.strip(), where=here)
    except errors.DatasetError as error:
        problem(error)
        return None
    return Row(box, class_id, ignore=False, at=here.removeprefix(f"{where}, "))


def _box(shape: ET.Element, where: str) -> tuple[float, float, float, float] | None:
    """Around a shape; None for what is none."""

    def value(name: str) -> float:
        return number(shape.get(name), name, where=where)

    turn = math.radians(number(shape.get("rotation") or "0", "rotation", where=where))
    match shape.tag:
        case "box":
            left, top, right, bottom = (value(name) for name in ("xtl", "ytl", "xbr", "ybr"))
            if not turn:
                return left, top, right, bottom
            w, h = (right - left) / 2, (bottom - top) / 2
            half_w = abs(w * math.cos(turn)) + abs(h * math.sin(turn))
            half_h = abs(w * math.sin(turn)) + abs(h * math.cos(turn))
            x, y = (left + right) / 2, (top + bottom) / 2
            return x - half_w, y - half_h, x + half_w, y + half_h
        case "ellipse":
            x, y, w, h = (value(name) for name in ("cx", "cy", "rx", "ry"))
            half_w = math.hypot(w * math.cos(turn), h * math.sin(turn))
            half_h = math.hypot(w * math.sin(turn), h * math.cos(turn))
            return x - half_w, y - half_h, x + half_w, y + half_h
        case "mask":
            left, top = value("left"), value("top")
            return left, top, left + value("width"), top + value("height")
        case "polygon":
            corners = [point.split(",") for point in shape.get("points", "").split(";")]
            xs = [number(corner[0], "a corner", where=where) for corner in corners]
            ys = [number(corner[-1], "a corner", where=where) for corner in corners]
            return min(xs), min(ys), max(xs), max(ys)
    if shape.tag != "tag":
        _log.warning("%s: a %s is not a box", where, shape.tag)
    return None


def _size(width: str | None, height: str | None, where: str) -> tuple[int, int]:
    return (
        whole(width, "width", where=where),
        whole(height, "height", where=where),
    )
