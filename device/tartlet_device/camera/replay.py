"""Footage as a camera: a video file or a folder of photos, over and over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tartlet_device.image import Image, Picture, Size
from tartlet_device.pictures import decode_picture
from tartlet_device.runtime.base import natural_order
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

_log = logging.getLogger(__name__)

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
PHOTOS_PER_S = 1.0  # for a folder, where no rate is given


_Numbered = tuple[int, Callable[[], Picture]]
"""Number of a frame in the footage, and how to get its pixels."""


@dataclass(frozen=True)
class Clock:
    """Monotonic nanoseconds, and a way to wait some seconds."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], None] = time.sleep


class ReplayCamera:
    """See `tartlet_device.camera.base.Camera`. A slow caller holds the footage up.

    ``FrameInfo.number`` is the number of the frame in the footage, from 1.
    """

    live = False

    def __init__(
        self,
        path: Path,
        *,
        rate: float | None = None,
        first: int = 1,
        last: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """
        Args:
            path: a video file, or a folder of photos in the order of their names.
            rate: frames per second; None for the footage's own, 0 for as fast as callers ask.
            first, last: play only these frames, both included.
            clock: for tests.

        Raises:
            FootageUnreadable: the footage is missing, cannot be decoded, or has no such frames.
        """
        self._path = path
        self._first, self._last = first, last
        self._clock = clock or Clock()
        self._open = _folder_frames if path.is_dir() else _video_frames
        own_rate = PHOTOS_PER_S if path.is_dir() else _video_rate(path)
        self._rate = own_rate if rate is None else rate
        self.on_demand = self._rate == 0
        self._frames = self._open(path, first)
        self._ahead: _Numbered | None = self._read()
        if self._ahead is None:
            raise errors.FootageUnreadable(
                "no frame can be decoded" if first == 1 else f"there is no frame {first}",
                where=str(path),
                hint="is it complete, and a format that OpenCV reads?",
            )
        self._due_ns = self._clock.monotonic_ns()

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait until the next frame is due; see the protocol."""
        number, self._retrieve = self._advance()
        self._pace()
        return FrameInfo(number=number, monotonic_ns=self._clock.monotonic_ns())

    def retrieve(self, *, full: bool) -> Image:
        """The frame grabbed last; see the protocol."""
        return Image.of(self._retrieve())

    def fits(self, canvas: Size | None) -> bool:
        """Footage has one size, whatever the model."""
        return True

    def close(self) -> None:
        """Close the footage."""
        self._frames.close()

    def _advance(self) -> _Numbered:
        frame, self._ahead = self._ahead, None
        frame = frame or self._read()
        if frame is None:
            self._frames.close()
            self._frames = self._open(self._path, self._first)
            frame = self._read()
        if frame is None:
            raise errors.FootageUnreadable("it cannot be read any more", where=str(self._path))
        return frame

    def _read(self) -> _Numbered | None:
        frame = next(self._frames, None)
        if frame is None or (self._last is not None and frame[0] > self._last):
            return None
        return frame

    def _pace(self) -> None:
        if self._rate == 0:
            return
        period_ns = round(1e9 / self._rate)
        now = self._clock.monotonic_ns()
        self._due_ns += period_ns
        if now > self._due_ns + period_ns:
            # Held up by a slow caller: go on from here instead of rushing through the rest.
            self._due_ns = now
        if self._due_ns > now:
            self._clock.sleep((self._due_ns - now) / 1e9)


def _video_rate(path: Path) -> float:
    capture = _open_video(path)
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    if not 0 < rate <= 1000:
        raise errors.FootageUnreadable(
            f"it states a frame rate of {rate}", where=str(path), hint="give `rate` in [camera]"
        )
    return rate


def _video_frames(path: Path, first: int) -> Generator[_Numbered, None, None]:
    capture = _open_video(path)

    def pixels() -> Picture:
        done, bgr = capture.retrieve()
        if not done:
            raise errors.FootageUnreadable("a frame cannot be decoded", where=str(path))
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    try:
        number = 0
        # Frames before the first are decoded and dropped: seeking is not exact in every format.
        while capture.grab():
            number += 1
            if number >= first:
                yield number, pixels
    finally:
        capture.release()


def _open_video(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise errors.FootageUnreadable(
            "no such video file or folder of photos",
            where=str(path),
            hint="check `path` in the [camera] section of the configuration",
        )
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise errors.FootageUnreadable(
            "not a video that OpenCV can read",
            where=str(path),
            hint="convert it: `ffmpeg -i FILE -c:v mjpeg FILE.avi`",
        )
    return capture


def _folder_frames(path: Path, first: int) -> Generator[_Numbered, None, None]:
    photos = sorted(
        (file for file in path.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES),
        key=lambda file: natural_order(file.name),
    )
    for number, photo in enumerate(photos, start=1):
        if number < first:
            continue
        try:
            picture = decode_picture(photo.read_bytes(), where=str(photo))
        except (OSError, errors.PictureUnreadable) as error:
            _log.warning("left out: %s", error)
            continue
        yield number, picture.copy
