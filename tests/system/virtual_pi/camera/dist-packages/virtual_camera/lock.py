"""One process at a time may use the camera, as on a Pi.

There libcamera takes a POSIX lock on the camera's media device while an application has acquired
it. Here a regular file stands for the device.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import libcamera

MEDIA_DEVICE = Path("/dev/media0")
_MODE = 0o660


def install() -> None:
    """Make ``Camera.acquire`` take the lock, and ``Camera.release`` give it back."""
    acquire, release = libcamera.Camera.acquire, libcamera.Camera.release
    held: list[int] = []

    def acquire_locked(camera: Any) -> None:
        descriptor = os.open(MEDIA_DEVICE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            acquire(camera)
        except OSError:
            os.close(descriptor)
            # libcamera's own words.
            raise RuntimeError("Failed to acquire camera: Device or resource busy") from None
        except BaseException:
            os.close(descriptor)
            raise
        held.append(descriptor)

    def release_unlocked(camera: Any) -> None:
        release(camera)
        while held:
            os.close(held.pop())

    libcamera.Camera.acquire = acquire_locked
    libcamera.Camera.release = release_unlocked
