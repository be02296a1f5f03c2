"""Footage read frame by frame: a video file, or a folder of pictures in the order of their names.

Frames are numbered from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_shared import errors

Picture = NDArray[np.uint8]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


def count_frames(path: Path) -> int:
    """How many frames can be read.

    A container's own count is often wrong, so a video is decoded (a few milliseconds a frame).

    Raises:
        FootageUnreadable: see `read_frames`.
    """
    if path.is_dir():
        return len(list_pictures(path))
    capture = _open(path)
    count = 0
    while capture.grab():
        count += 1
    return count


def read_frames(
    path: Path, *, first: int = 1, last: int | None = None, step: int = 1
) -> Iterator[tuple[int, Picture]]:
    """Frame numbers and pictures, RGB uint8 ``(rows, columns, 3)``.

    Args:
        path: video file or folder.
        first, last: only these frames, both included.
        step: only every so many.

    Raises:
        FootageUnreadable: the footage is missing, or not something OpenCV can decode.
        PictureUnreadable: a picture of the folder is damaged.
    """
    if path.is_dir():
        frames = _read_folder(path, first, last, step)
    else:
        frames = _read_video(path, first, last, step)
    yield from frames


def _read_folder(
    path: Path, first: int, last: int | None, step: int
) -> Iterator[tuple[int, Picture]]:
    pictures = list_pictures(path)
    for number in range(first, (last or len(pictures)) + 1, step):
        if number > len(pictures):
            return
        picture = cv2.imread(str(pictures[number - 1]), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise errors.PictureUnreadable(
                "the picture cannot be decoded",
                where=str(pictures[number - 1]),
                hint="is it truncated? Copy it again, or remove it",
            )
        yield number, np.asarray(picture, np.uint8)


def _read_video(
    path: Path, first: int, last: int | None, step: int
) -> Iterator[tuple[int, Picture]]:
    capture = _open(path)
    number = 0
    while (last is None or number < last) and capture.grab():
        number += 1
        if number < first or (number - first) % step:
            continue
        good, picture = capture.retrieve()
        if not good:
            return
        yield number, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    if number == 0:
        raise _unreadable(path, "no frame can be decoded")


def list_pictures(path: Path) -> list[Path]:
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise _unreadable(path, f"the folder has no pictures ({', '.join(PICTURE_SUFFIXES)})")
    return found


def _open(path: Path) -> Any:
    if not path.is_file():
        raise _unreadable(path, "there is no such file or folder")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise _unreadable(path, "not a video that OpenCV can decode")
    return capture


def _unreadable(path: Path, what: str) -> errors.FootageUnreadable:
    return errors.FootageUnreadable(
        what, where=str(path), hint="give a video file (avi, mp4, ...) or a folder of frames"
    )
