"""From a camera's buffer, with its padding, to pixels of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tartlet_device.image import Picture, RgbPixels, Size, YuvPixels
from tartlet_shared import errors


@dataclass(frozen=True)
class Stream:
    """A stream as it was configured.

    Attributes:
        name: "main" or "lores".
        format: "YUV420", "NV12" or "BGR888" (which is R, G, B in memory).
        size: width and height, pixels.
        stride: bytes from one row to the next, of the luma where there are planes.
    """

    name: str
    format: str
    size: Size
    stride: int

    @classmethod
    def of(cls, name: str, configuration: Mapping[str, Any]) -> Self:
        """That stream of picamera2's configuration."""
        found = configuration[name]
        return cls(name, found["format"], tuple(found["size"]), found["stride"])


def pixels(buffer: Picture, stream: Stream) -> RgbPixels | YuvPixels:
    """A copy of a frame without the padding at the end of its rows.

    Args:
        buffer: all its bytes, uint8 ``(n,)``.
        stream: what they are.

    Raises:
        DeviceError: a format that nobody asked for.
    """
    width, height = stream.size
    luma = height * stream.stride
    if stream.format == "BGR888":
        rows = buffer[:luma].reshape(height, stream.stride)[:, : width * 3]
        return RgbPixels(rows.reshape(height, width, 3).copy())
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = buffer[:luma].reshape(height, stream.stride)[:, :width]
    chroma = buffer[luma : luma + luma // 2]
    if stream.format == "NV12":
        planes[height:] = chroma.reshape(height // 2, stream.stride)[:, :width]
        return YuvPixels(planes, "NV12")
    if stream.format == "YUV420":
        # Two planes, one after the other, each with half the width and half the stride.
        halves = planes[height:].reshape(height, width // 2)
        halves[:] = chroma.reshape(height, stream.stride // 2)[:, : width // 2]
        return YuvPixels(planes, "YUV420")
    raise errors.DeviceError(f"the camera gives {stream.format}", where="picamera")
