"""Frames on their way from the camera's process: each in sealed memory of its own.

Whoever holds a frame holds its memory, so nothing is copied on this side, nothing is overwritten
while somebody looks, and a child that goes mad cannot change or cut what it has given away.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from tartlet_device.camera.process_messages import TRY_AGAIN, Pixels, Retrieved
from tartlet_device.image import Image, RgbPixels, YuvPixels
from tartlet_shared import errors

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MOST_BYTES = 1 << 28


def write(image: Image) -> tuple[Retrieved, int]:
    """Put a frame into memory of its own.

    Returns:
        What it is, and the descriptor of its memory.

    Raises:
        OSError: there is no memory for it.
    """
    parts = [each for each in (image.full, image.small) if each is not None]
    descriptor = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for each in parts:
            left = _array(each).data.cast("B")
            while left:
                left = left[os.write(descriptor, left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return Retrieved(image.size, _described(image.full), _described(image.small)), descriptor


def read(frame: Retrieved, descriptor: int) -> Image:
    """The frame in a memory.

    Raises:
        DeviceError: it is not what it was said to be.
    """
    sizes = [_bytes(each) for each in (frame.full, frame.small) if each is not None]
    given = os.fstat(descriptor).st_size
    if not sizes or sum(sizes) != given or given > _MOST_BYTES:
        raise errors.DeviceError(
            f"a frame of {given} bytes, and it should have {sum(sizes)}",
            where="camera",
            hint=TRY_AGAIN,
        )
    if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS != SEALS:
        raise errors.DeviceError("a frame that may still change", where="camera", hint=TRY_AGAIN)
    memory = mmap.mmap(descriptor, given, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ)
    content = np.frombuffer(memory, np.uint8)
    full = None if frame.full is None else _pixels(frame.full, content[: sizes[0]])
    small = None if frame.small is None else _pixels(frame.small, content[-sizes[-1] :])
    if isinstance(small, RgbPixels) or min(frame.size) < 1:
        raise errors.DeviceError("a frame that no camera gives", where="camera", hint=TRY_AGAIN)
    return Image(frame.size, full, small)


def _array(pixels: RgbPixels | YuvPixels) -> NDArray[np.uint8]:
    array = pixels.pixels if isinstance(pixels, RgbPixels) else pixels.planes
    return np.ascontiguousarray(array)


def _described(pixels: RgbPixels | YuvPixels | None) -> Pixels | None:
    if pixels is None:
        return None
    width, height = pixels.size
    return Pixels("RGB" if isinstance(pixels, RgbPixels) else pixels.layout, width, height)


def _shape(pixels: Pixels) -> tuple[int, ...]:
    if pixels.layout == "RGB":
        return pixels.height, pixels.width, 3
    if pixels.width % 2 or pixels.height % 2:
        raise errors.DeviceError("planes of an odd size", where="camera", hint=TRY_AGAIN)
    return pixels.height * 3 // 2, pixels.width


def _bytes(pixels: Pixels) -> int:
    if min(pixels.width, pixels.height) < 1:
        raise errors.DeviceError("a frame without pixels", where="camera", hint=TRY_AGAIN)
    return math.prod(_shape(pixels))


def _pixels(pixels: Pixels, content: NDArray[np.uint8]) -> RgbPixels | YuvPixels:
    array = content.reshape(_shape(pixels))
    return RgbPixels(array) if pixels.layout == "RGB" else YuvPixels(array, pixels.layout)
