"""The memory of frames: ordinary memory in place of a Pi's contiguous one.

libcamera writes NV12 into it; whoever maps a buffer sees what the application asked for.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import Any

import libcamera
import numpy as np
from numpy.typing import NDArray
from picamera2 import picamera2
from picamera2.allocators.allocator import Allocator

from virtual_camera import pixels
from virtual_camera.streams import Wanted

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Buffer:
    """Memory that libcamera fills, and what is to be made of it."""

    given: Bytes
    width: int
    height: int
    wanted: Wanted

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Bytes:
        # Converted only now: most frames are looked at by nobody.
        return pixels.convert(self.given, (self.width, self.height), self.wanted)


class _Sync:
    """What picamera2 enters to read a buffer; there is no cache to be flushed here."""

    def __init__(self, allocator: VirtualAllocator, frame_buffer: Any, write: bool) -> None:
        self._buffer = allocator.mapped_buffers[frame_buffer]

    def __enter__(self) -> _Buffer:
        return self._buffer

    def __exit__(self, *_: object) -> None:
        pass


class VirtualAllocator(Allocator):  # type: ignore[misc]
    """In place of the one that takes a Pi's contiguous memory.

    Attributes:
        wanted: the streams as the application asked for them, main first; set before `allocate`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sync = _Sync
        self.wanted: list[Wanted] = []
        self.mapped_buffers: dict[Any, _Buffer] = {}
        self._frame_buffers: dict[Any, list[Any]] = {}

    def allocate(self, libcamera_config: Any, use_case: str | None) -> None:
        """Make the buffers of all streams; older ones go as soon as nobody uses them."""
        self.mapped_buffers, self._frame_buffers = {}, {}
        for stream_config, wanted in zip(libcamera_config, self.wanted, strict=True):
            width, height = stream_config.size.width, stream_config.size.height
            made = self._frame_buffers.setdefault(stream_config.stream, [])
            for _ in range(stream_config.buffer_count):
                frame_buffer, memory = _nv12_buffer(width * height)
                self.mapped_buffers[frame_buffer] = _Buffer(memory, width, height, wanted)
                made.append(frame_buffer)

    def buffers(self, stream: Any) -> list[Any]:
        """Those of one stream."""
        return self._frame_buffers[stream]


def install() -> None:
    """Make every new Picamera2 use this allocator."""
    picamera2.DmaAllocator = VirtualAllocator


def _nv12_buffer(luma: int) -> tuple[Any, Bytes]:
    """A buffer of ``luma`` bytes and half as many, for libcamera; and the same memory for us."""
    size = luma * 3 // 2
    descriptor = os.memfd_create("virtual_camera")
    os.ftruncate(descriptor, size)
    planes = [libcamera.FrameBuffer.Plane(), libcamera.FrameBuffer.Plane()]
    for plane, offset, length in zip(planes, (0, luma), (luma, luma // 2), strict=True):
        plane.fd, plane.offset, plane.length = descriptor, offset, length
    frame_buffer = libcamera.FrameBuffer(planes)
    memory = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
    os.close(descriptor)  # libcamera and the map have their own
    return frame_buffer, memory
