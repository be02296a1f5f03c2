"""Training boxes from the footage of a fixed camera: what moves and has the size of a person.

The way: background subtraction gives blobs; a perspective is fitted to those shaped like one
person; blobs of the expected size are labels, pairs that walk side by side are split; labels are
linked to tracks, flicker is dropped and short gaps are filled. What moves but fits nothing is
marked to be ignored, so that a half-hidden person is never taught as background.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.background import (
    Background,
    Mask,
    SubtractionSettings,
    foreground,
    learn_background,
)
from tartlet_host.dataset.perspective import Perspective, fit_perspective
from tartlet_host.dataset.tracks import TrackSettings, fill, link
from tartlet_host.dataset.video import Picture, count_frames, read_frames
from tartlet_host.progress import Report
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.nms import box_area, box_intersection

_SHRINK = 4  # masks are kept at a quarter of the size: 27 KB a frame instead of 430


@dataclass(frozen=True)
class MotionSettings:
    """How blobs become labels. Sizes are parts of the expected height or width of a person.

    Attributes:
        window: frames that share one learned background.
        samples: frames that a background is learned from, evenly spread (footage shorter than
            the window may give up to twice as many).
        least_area: smaller blobs are noise, pixels.
        shortest, tallest: height of a single person.
        narrowest, widest: width of a single person; wider ones may be a pair.
        least_filled: part of a label's box that is foreground.
        least_covered: part of a filled gap's box that must be foreground to be a label.
        ignored_height: a leftover blob lower than this is noise, not an uncertain person.
    """

    subtraction: SubtractionSettings = field(default_factory=SubtractionSettings)
    tracks: TrackSettings = field(default_factory=TrackSettings)
    window: int = 500
    samples: int = 50
    least_area: int = 120
    shortest: float = 0.78
    tallest: float = 1.28
    narrowest: float = 0.5
    widest: float = 1.6
    least_filled: float = 0.35
    least_covered: float = 0.3
    ignored_height: float = 0.3


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """Boxes of one frame.

    Attributes:
        number: of the frame, from 1.
        width, height: of the picture, pixels.
        boxes: ``(n, 4)`` float32 xyxy.
        ignore: ``(n,)`` bool, regions that are neither a label nor background.
    """

    number: int
    width: int
    height: int
    boxes: FloatArray
    ignore: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Frame:
    number: int
    size: tuple[int, int]  # width, height
    blobs: FloatArray
    filled: FloatArray  # part of each blob's box that is foreground
    splits: tuple[FloatArray | None, ...]  # for each blob, where it parts in two
    mask: Mask  # a quarter of the size


def label_footage(
    path: Path,
    *,
    first: int = 1,
    last: int | None = None,
    settings: MotionSettings | None = None,
    progress: Report | None = None,
) -> list[FrameLabels]:
    """Label what moves in the footage of a camera that stands still.

    Args:
        path: video file or folder of frames.
        first, last: only these frames, both included.
        settings: see `MotionSettings`.
        progress: called with frames done and in all.

    Raises:
        FootageUnreadable: the footage is missing or damaged, or ends before ``first``.
    """
    settings = settings or MotionSettings()
    available = count_frames(path, last=last)
    if first > available:
        raise errors.FootageUnreadable(
            f"frame {first} was asked for; the last one is {available}",
            where=str(path),
            hint=f"frames count from 1: choose them among 1-{available}",
        )
    total = available - first + 1
    frames: list[_Frame] = []
    for number, picture, background in _with_background(path, first, available, settings):
        frames.append(_blobs(number, picture, background, settings))
        if progress:
            progress(len(frames), total)
    return _label(frames, settings)


def _with_background(
    path: Path, first: int, last: int, settings: MotionSettings
) -> Iterator[tuple[int, Picture, Background]]:
    """Each frame with the empty scene of its window.

    Two readers, the one for samples a window ahead, so that footage of any length is decoded
    twice and never kept. The last window borrows samples of the one before to be full.
    """
    total = last - first + 1
    step = max(1, min(settings.window, total) // settings.samples)
    ahead = read_frames(path, first=first, last=last, step=step)
    samples: deque[Picture] = deque(maxlen=max(1, settings.window // step))
    background: Background | None = None
    taken = 0
    for number, picture in read_frames(path, first=first, last=last):
        if background is None or (number - first) % settings.window == 0:
            due = len(range(0, min(number - first + settings.window, total), step))
            samples.extend(sample for _, sample in islice(ahead, due - taken))
            background, taken = learn_background(samples, settings.subtraction), due
        yield number, picture, background


def _blobs(
    number: int, picture: Picture, background: Background, settings: MotionSettings
) -> _Frame:
    mask = foreground(picture, background, settings.subtraction)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    stats = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= settings.least_area]
    boxes = stats[:, :4].astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    rows, columns = picture.shape[:2]
    small = cv2.resize(
        mask * 255, (columns // _SHRINK, rows // _SHRINK), interpolation=cv2.INTER_AREA
    )
    return _Frame(
        number,
        (columns, rows),
        boxes,
        (stats[:, cv2.CC_STAT_AREA] / (stats[:, 2] * stats[:, 3])).astype(np.float32),
        tuple(_split(mask, box) for box in boxes),
        np.asarray(small, np.uint8),
    )


def _split(mask: Mask, box: FloatArray) -> FloatArray | None:
    """Two boxes where a blob is two people side by side: a clear valley between two hills."""
    left, top, right, bottom = (int(value) for value in box)
    part = mask[top:bottom, left:right]
    if part.shape[1] < 12:
        return None
    profile = np.convolve(part.sum(axis=0).astype(np.float32), np.ones(5) / 5, mode="same")
    low, high = round(len(profile) * 0.3), round(len(profile) * 0.7)
    valley = low + int(profile[low:high].argmin())
    if profile[valley] > 0.6 * min(profile[:valley].max(), profile[valley:].max()):
        return None
    halves = []
    for start, end in ((0, valley), (valley, part.shape[1])):
        rows, columns = np.nonzero(part[:, start:end])
        halves.append(
            [
                left + start + columns.min(),
                top + rows.min(),
                left + start + columns.max() + 1,
                top + rows.max() + 1,
            ]
        )
    return np.array(halves, np.float32)


def _label(frames: list[_Frame], settings: MotionSettings) -> list[FrameLabels]:
    perspective = fit_perspective(_shaped_like_one(frames))
    if perspective is None:  # nothing to judge by: all that moves is uncertain
        return [_frame_labels(frame, np.zeros((0, 4), np.float32), frame.blobs) for frame in frames]
    singles = {frame.number: _singles(frame, perspective, settings) for frame in frames}
    labels: dict[int, list[FloatArray]] = {frame.number: [] for frame in frames}
    unsure: dict[int, list[FloatArray]] = {frame.number: [] for frame in frames}
    by_number = {frame.number: frame for frame in frames}
    for track in link(singles, settings.tracks):
        for number, box in track.boxes.items():
            labels[number].append(box)
        for number, box in fill(track).items():
            sure = _coverage(by_number[number], box) >= settings.least_covered
            (labels if sure else unsure)[number].append(box)
    made = []
    for frame in frames:
        known = _stack(labels[frame.number])
        leftover = _leftover(frame, known, perspective, settings)
        ignored = np.concatenate([_stack(unsure[frame.number]), leftover])
        made.append(_frame_labels(frame, known, ignored))
    return made


def _shaped_like_one(frames: list[_Frame]) -> FloatArray:
    """Blobs with the proportions of one upright person, whole inside the picture."""
    chosen = []
    for frame in frames:
        width, height = (frame.blobs[:, 2:] - frame.blobs[:, :2]).T
        ratio = height / width
        good = (ratio > 1.7) & (ratio < 4.2) & (frame.filled > 0.4) & ~_touches_edge(frame)
        chosen.append(frame.blobs[good])
    return np.concatenate(chosen) if chosen else np.zeros((0, 4), np.float32)


def _touches_edge(frame: _Frame) -> NDArray[np.bool_]:
    boxes, (width, height) = frame.blobs, frame.size
    touches: NDArray[np.bool_] = (
        (boxes[:, 0] <= 1)
        | (boxes[:, 1] <= 1)
        | (boxes[:, 2] >= width - 1)
        | (boxes[:, 3] >= height - 1)
    )
    return touches


def _singles(frame: _Frame, perspective: Perspective, settings: MotionSettings) -> FloatArray:
    """Blobs of the size of one person, pairs taken apart."""
    fits = _fits(frame.blobs, perspective, settings) & (frame.filled >= settings.least_filled)
    found = [frame.blobs[fits]]
    for row in np.flatnonzero(~fits):
        halves = frame.splits[row]
        if halves is not None:
            found.append(halves[_fits(halves, perspective, settings)])
    return np.concatenate(found)


def _fits(
    boxes: FloatArray, perspective: Perspective, settings: MotionSettings
) -> NDArray[np.bool_]:
    expected = perspective.height(boxes[:, 3])
    height = (boxes[:, 3] - boxes[:, 1]) / expected
    width = (boxes[:, 2] - boxes[:, 0]) / (expected * perspective.aspect)
    fits: NDArray[np.bool_] = (
        (height >= settings.shortest)
        & (height <= settings.tallest)
        & (width >= settings.narrowest)
        & (width <= settings.widest)
    )
    return fits


def _coverage(frame: _Frame, box: FloatArray) -> float:
    """Part of a box that is foreground, in ``[0, 1]``."""
    left, top, right, bottom = (round(float(value) / _SHRINK) for value in box)
    part = frame.mask[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
    return float(part.mean()) / 255 if part.size else 0.0


def _leftover(
    frame: _Frame, labels: FloatArray, perspective: Perspective, settings: MotionSettings
) -> FloatArray:
    """Blobs that no label explains and that are large enough to be a part of a person."""
    if not len(frame.blobs):
        return frame.blobs
    covered = np.zeros(len(frame.blobs), np.float32)
    if len(labels):
        covered = box_intersection(frame.blobs, labels).sum(axis=1) / box_area(frame.blobs)
    height = frame.blobs[:, 3] - frame.blobs[:, 1]
    tall = height >= settings.ignored_height * perspective.height(frame.blobs[:, 3])
    return frame.blobs[(covered < 0.6) & tall]


def _stack(boxes: list[FloatArray]) -> FloatArray:
    return np.stack(boxes) if boxes else np.zeros((0, 4), np.float32)


def _frame_labels(frame: _Frame, labels: FloatArray, ignored: FloatArray) -> FrameLabels:
    width, height = frame.size
    limit = np.array([width, height] * 2, np.float32)
    boxes = np.clip(np.concatenate([labels, ignored]), 0, limit).astype(np.float32)
    ignore = np.arange(len(boxes)) >= len(labels)
    solid = box_area(boxes) > 0
    return FrameLabels(frame.number, width, height, boxes[solid], ignore[solid])
