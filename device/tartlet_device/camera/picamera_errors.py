"""What can be wrong with a Raspberry Pi's camera, and what to do about it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tartlet_device.camera.holder import busy_words
from tartlet_shared import errors

_WHERE = "picamera"


def library(name: str) -> Any:
    """A module that comes with Raspberry Pi OS.

    Raises:
        CameraAbsent: it does not load.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise errors.CameraAbsent(
            f"{name} does not load: {error}",
            where=_WHERE,
            hint="`sudo apt install python3-picamera2`; the environment must be made with "
            '--system-site-packages; for a USB camera set kind = "v4l2"',
        ) from error


def absent(index: int, attached: int) -> errors.CameraAbsent:
    """There is no camera of that number."""
    return errors.CameraAbsent(
        f"camera {index} is not there; {attached} are attached",
        where=_WHERE,
        hint="power off and check the ribbon cable; `rpicam-hello --list-cameras` must list it",
    )


def silent(timeout_s: float) -> errors.CameraTimeout:
    """It gives no frame."""
    return errors.CameraTimeout(
        f"no frame within {timeout_s:.0f} s",
        where=_WHERE,
        hint="is the ribbon cable seated at both ends? `sudo dmesg | tail` may say more",
    )


def start_error(error: Exception) -> errors.DeviceError:
    """What the library's error at the start means."""
    reasons = f"{error} {error.__cause__ or error.__context__ or ''}"
    # The library gives a plain RuntimeError for a camera that another process has acquired.
    if "busy" in reasons.lower() or "did not complete" in reasons:
        devices = sorted(Path("/dev").glob("media*")) + sorted(Path("/dev").glob("video*"))
        what, hint = busy_words(devices)
        return errors.CameraBusy(what, where=_WHERE, hint=hint)
    return errors.DeviceError(
        f"the camera does not start: {error}",
        where=_WHERE,
        hint="`journalctl -u tartlet` has libcamera's own messages",
    )
