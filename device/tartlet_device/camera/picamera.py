"""The Raspberry Pi's own camera, through picamera2.

The camera streams all the time in one mode that is never changed: switching modes fragments the
contiguous memory until a start fails.
"""

from __future__ import annotations

import importlib
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from tartlet_device.camera.holder import busy_words
from tartlet_device.preprocess import Picture
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

_log = logging.getLogger(__name__)

# picamera2 names formats by a register's order: its "BGR888" is R, G, B in memory.
_RGB_IN_MEMORY = "BGR888"
_BUFFERS = 4


class PiCamera:
    """See `tartlet_device.camera.base.Camera`."""

    live = True
    on_demand = True  # the library keeps the newest frames itself and drops the old ones

    def __init__(self, picamera: Any) -> None:
        self._picamera = picamera
        self._number = 0
        self._image: Picture | None = None

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait for the next frame; see the protocol."""
        try:
            request = self._picamera.capture_request(wait=timeout_s)
        except TimeoutError as error:
            raise errors.CameraTimeout(
                f"no frame within {timeout_s:.0f} s",
                where="picamera",
                hint="is the ribbon cable seated at both ends? `sudo dmesg | tail` may say more",
            ) from error
        try:
            # make_array copies, so that the buffer goes back to the camera at once.
            self._image = np.asarray(request.make_array("main"), np.uint8)
            taken = _monotonic_ns(request.get_metadata().get("SensorTimestamp"))
        finally:
            request.release()
        self._number += 1
        return FrameInfo(number=self._number, monotonic_ns=taken)

    def retrieve(self) -> Picture:
        """The frame grabbed last; see the protocol."""
        if self._image is None:
            raise errors.DeviceError("no frame was grabbed yet", where="picamera")
        return self._image.copy()

    def close(self) -> None:
        """Stop and release the camera."""
        try:
            self._picamera.close()
        except Exception:  # noqa: BLE001  (a driver's; there is nobody to tell)
            _log.exception("the camera did not close")


def open_picamera(index: int, *, width: int, height: int, rate: float | None) -> PiCamera:
    """Open and start a camera.

    Raises:
        CameraAbsent: picamera2 is not installed, or no camera is attached.
        CameraBusy: another process holds it.
        DeviceError: it does not start.
    """
    library = _library()
    attached = library.Picamera2.global_camera_info()
    if index >= len(attached):
        raise errors.CameraAbsent(
            f"camera {index} is not there; {len(attached)} are attached",
            where="picamera",
            hint="power off and check the ribbon cable; `rpicam-hello --list-cameras` must list it",
        )
    picamera = None
    try:
        picamera = library.Picamera2(index)
        controls = {} if rate is None else {"FrameRate": rate}
        picamera.configure(
            picamera.create_video_configuration(
                main={"size": (width, height), "format": _RGB_IN_MEMORY},
                controls=controls,
                buffer_count=_BUFFERS,
            )
        )
        picamera.start()
    except (RuntimeError, OSError) as error:
        if picamera is not None:
            picamera.close()
        raise _start_error(error) from error
    return PiCamera(picamera)


def _library() -> Any:
    try:
        return importlib.import_module("picamera2")
    except (ImportError, OSError) as error:
        raise errors.CameraAbsent(
            f"picamera2 does not load: {error}",
            where="picamera",
            hint="`sudo apt install python3-picamera2`; the environment must be made with "
            '--system-site-packages; for a USB camera set kind = "v4l2"',
        ) from error


def _start_error(error: Exception) -> errors.DeviceError:
    reasons = f"{error} {error.__cause__ or error.__context__ or ''}"
    # The library gives a plain RuntimeError for a camera that another process has acquired.
    if "busy" in reasons.lower() or "did not complete" in reasons:
        devices = sorted(Path("/dev").glob("media*")) + sorted(Path("/dev").glob("video*"))
        what, hint = busy_words(devices)
        return errors.CameraBusy(what, where="picamera", hint=hint)
    return errors.DeviceError(
        f"the camera does not start: {error}",
        where="picamera",
        hint="`journalctl -u tartlet` has libcamera's own messages",
    )


def _monotonic_ns(boot_ns: int | None) -> int:
    """A sensor's time stamp, which counts suspended time as well, on the monotonic clock."""
    now = time.monotonic_ns()
    if boot_ns is None:
        return now
    return min(now, boot_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now))
