"""Cameras: a protocol, three kinds of them, and the one thread that owns the camera."""

from __future__ import annotations

import contextlib

from tartlet_device.camera.base import Camera
from tartlet_device.config import CameraSettings, PicameraSettings, ReplaySettings
from tartlet_device.image import Size
from tartlet_shared import errors

__all__ = ["open_camera", "prepare"]


def prepare(settings: CameraSettings) -> None:
    """Import what the camera needs, as far as that is there: `open_camera` says what is missing."""
    if isinstance(settings, PicameraSettings):
        import tartlet_device.camera.picamera

        with contextlib.suppress(errors.CameraAbsent):
            tartlet_device.camera.picamera_errors.library("picamera2")
    elif isinstance(settings, ReplaySettings):
        import tartlet_device.camera.replay
    else:
        import tartlet_device.camera.v4l2


def open_camera(settings: CameraSettings, canvas: Size | None = None) -> Camera:
    """Open the camera that the configuration names; its library is imported only here.

    Args:
        settings: the configuration's.
        canvas: size of the picture that the model takes; None without a model.

    Raises:
        TartletError: it cannot be opened; says why.
    """
    if isinstance(settings, ReplaySettings):
        from tartlet_device.camera.replay import ReplayCamera

        return ReplayCamera(
            settings.folder_or_file,
            rate=settings.rate,
            first=settings.first,
            last=settings.last,
        )
    if isinstance(settings, PicameraSettings):
        from tartlet_device.camera.picamera import open_picamera

        return open_picamera(settings, canvas)
    from tartlet_device.camera.v4l2 import open_v4l2

    return open_v4l2(
        settings.device_file, width=settings.width, height=settings.height, rate=settings.rate
    )
