"""USB and other cameras with a Video4Linux2 driver, through OpenCV."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from tartlet_device.camera.holder import busy_words, holders
from tartlet_device.image import Image, Size
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

# OpenCV waits 10 s for a frame unless told otherwise, longer than the daemon's own patience.
_SELECT_TIMEOUT_S = 3
_SELECT_TIMEOUT = ("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(_SELECT_TIMEOUT_S))
_MOST_FRAME_AGE_S = 60.0


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used here; tests bring their own."""

    def isOpened(self) -> bool: ...  # noqa: N802
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, property_id: int, /) -> float: ...
    def set(self, property_id: int, value: float, /) -> bool: ...
    def release(self) -> None: ...


class V4l2Camera:
    """See `tartlet_device.camera.base.Camera`."""

    live = True
    on_demand = False  # the driver queues four frames: not grabbing means old pictures later

    def __init__(self, device: Path, capture: Capture) -> None:
        self._device = device
        self._capture = capture
        self._number = 0

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait for the next frame; OpenCV's own time-out of 3 s applies."""
        if not self._capture.grab():
            if not self._device.exists():
                raise _absent(self._device)
            raise _silent(self._device)
        now = time.monotonic_ns()
        # With this backend the property is the driver's time stamp, on the monotonic clock. A
        # driver without one gives 0 or nonsense.
        taken = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        plausible = now - _MOST_FRAME_AGE_S * 1e9 < taken <= now
        self._number += 1
        return FrameInfo(number=self._number, monotonic_ns=taken if plausible else now)

    def retrieve(self, *, full: bool) -> Image:
        """The frame grabbed last; see the protocol."""
        done, bgr = self._capture.retrieve()
        if not done:
            raise errors.DeviceError("a frame cannot be decoded", where=str(self._device))
        return Image.of(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))

    def fits(self, canvas: Size | None) -> bool:
        """It gives one size, whatever the model."""
        return True

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def open_v4l2(
    device: Path, *, width: int | None, height: int | None, rate: float | None
) -> V4l2Camera:
    """Open a camera.

    Raises:
        CameraAbsent: there is no such device, or it is no camera.
        CameraBusy: another process streams from it.
        DeviceError: this user may not open it.
    """
    check_device(device)
    os.environ.setdefault(*_SELECT_TIMEOUT)
    capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    for setting, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, width),
        (cv2.CAP_PROP_FRAME_HEIGHT, height),
        (cv2.CAP_PROP_FPS, rate),
    ):
        if value is not None and capture.isOpened():
            capture.set(setting, value)
    return started(device, capture)


def started(
    device: Path, capture: Capture, *, clock: Callable[[], float] = time.monotonic
) -> V4l2Camera:
    """The camera, after its first frame has come: only then is it known that nobody else streams.

    Raises:
        CameraAbsent: the device is no camera.
        CameraBusy: another process streams from it.
        CameraTimeout: it opens and stays silent.
    """
    opened, start = capture.isOpened(), clock()
    if opened and capture.grab():
        return V4l2Camera(device, capture)
    waited = clock() - start
    capture.release()
    if waited > _SELECT_TIMEOUT_S / 2 and not holders([device]):
        raise _silent(device)  # a busy one is refused at once
    if not opened and not holders([device]):
        raise errors.CameraAbsent(
            "it is no camera that OpenCV can open",
            where=str(device),
            hint="`v4l2-ctl --list-devices` lists cameras; a Pi's own camera needs "
            'kind = "picamera"',
        )
    what, hint = busy_words([device])
    raise errors.CameraBusy(what, where=str(device), hint=hint)


def check_device(device: Path) -> None:
    """Whether the device file is there and may be opened.

    Raises:
        CameraAbsent, CameraBusy, DeviceError: it is not.
    """
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR):
            raise _absent(device) from error
        if error.errno == errno.EBUSY:
            what, hint = busy_words([device])
            raise errors.CameraBusy(what, where=str(device), hint=hint) from error
        raise errors.DeviceError(
            f"cannot be opened: {error.strerror}",
            where=str(device),
            hint="the daemon's user must be in the group video",
        ) from error


def _silent(device: Path) -> errors.CameraTimeout:
    return errors.CameraTimeout(
        f"no frame within {_SELECT_TIMEOUT_S} s",
        where=str(device),
        hint="pull its plug and put it back; check the power supply",
    )


def _absent(device: Path) -> errors.CameraAbsent:
    there = sorted(str(path) for path in Path("/dev").glob("video*"))
    return errors.CameraAbsent(
        "there is no such camera" + (f"; there are {', '.join(there)}" if there else ""),
        where=str(device),
        hint="plug it in, or set `device` in the [camera] section of the configuration",
    )
