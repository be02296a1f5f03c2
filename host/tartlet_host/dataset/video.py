"""Footage read frame by frame: a video file, or a folder of pictures in the order of their names.

Frames are numbered from 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.decoding import decode_bytes
from tartlet_host.dataset.header import PICTURE_SUFFIXES
from tartlet_shared import errors

Picture = NDArray[np.uint8]

LONGEST_SKIP = 100  # frames; decoding further than that takes longer than seeking
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")


def count_frames(path: Path, *, last: int | None = None) -> int:
    """How many frames can be read, counting no further than ``last``.

    A container's own count is often wrong, so a video is decoded (a few milliseconds a frame).

    Raises:
        FootageUnreadable: see `read_frames`.
    """
    if path.is_dir():
        count = len(list_pictures(path))
        return count if last is None else min(count, last)
    capture = _open(path)
    count = 0
    while (last is None or count < last) and capture.grab():
        count += 1
    if count == 0:
        raise _unreadable(path, "no frame can be decoded")
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
        FootageUnreadable: the footage is missing, not something OpenCV can decode, or its
            pictures differ in size.
        PictureUnreadable: a picture of the folder is damaged.
    """
    if path.is_dir():
        frames = _read_folder(path, first, last, step)
    else:
        frames = _read_video(path, first, last, step)
    yield from frames


def frame_size(path: Path) -> tuple[int, int]:
    """Width and height of a video file's frames, as they are decoded.

    Raises:
        FootageUnreadable: see `read_frames`.
    """
    frame = read_frame(path, 1)
    return frame.shape[1], frame.shape[0]


def read_frame(path: Path, number: int) -> Picture:
    """One frame of a video file, RGB uint8 ``(rows, columns, 3)``.

    Raises:
        FootageUnreadable: the video is missing or damaged, or has no such frame.
    """
    with contextlib.closing(FrameReader()) as reader:
        return reader.read(path, number)


class FrameReader:
    """Reads frames of video files; going forward, it decodes on instead of seeking.

    One video is open at a time. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._capture: Any = None
        self._next = 1

    def read(self, path: Path, number: int) -> Picture:
        """A frame, RGB uint8 ``(rows, columns, 3)``; frames are numbered from 1.

        Raises:
            FootageUnreadable: the video is missing or damaged, or has no such frame.
        """
        if path != self._path:
            self.close()
            self._capture, self._path, self._next = _open(path), path, 1
        if not self._next <= number <= self._next + LONGEST_SKIP:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number - 1)
            self._next = number
        while self._next < number and self._capture.grab():
            self._next += 1
        picture = self._capture.read()[1] if self._next == number else None
        if picture is None:
            raise _unreadable(path, f"frame {number} cannot be decoded")
        self._next += 1
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Close the video that is open."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._path = None, None


def _read_folder(
    path: Path, first: int, last: int | None, step: int
) -> Iterator[tuple[int, Picture]]:
    pictures = list_pictures(path)
    shape: tuple[int, ...] | None = None
    end = len(pictures) if last is None else min(last, len(pictures))
    for number in range(first, end + 1, step):
        picture = read_picture(pictures[number - 1])
        if shape is not None and picture.shape != shape:
            raise errors.FootageUnreadable(
                f"the picture is {picture.shape[1]}x{picture.shape[0]} pixels, "
                f"those before it {shape[1]}x{shape[0]}",
                where=str(pictures[number - 1]),
                hint="put frames of one camera at one size into a folder of their own",
            )
        shape = picture.shape
        yield number, picture


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


def read_picture(path: Path) -> Picture:
    """Decode a picture file to RGB uint8 ``(rows, columns, 3)``.

    Raises:
        PictureUnreadable: the file is missing, truncated or not a picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.PictureUnreadable(
            f"the picture cannot be read: {error.strerror}",
            where=str(path),
            hint="copy it again, or remove it from the data set",
        ) from error
    return decode_bytes(content, where=str(path))


def list_pictures(path: Path) -> list[Path]:
    """The pictures of a folder in the order of their names: frame ``n`` is the ``n``-th.

    Raises:
        FootageUnreadable: there are none.
    """
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
