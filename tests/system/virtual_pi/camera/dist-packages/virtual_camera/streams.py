"""Streams of any even size and of the formats that a Pi's camera has.

libcamera is asked for the smallest size it has that is large enough, in NV12. What the application
asked for is kept here and made from that when it looks at a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libcamera
from picamera2 import Picamera2

BYTES_PER_PIXEL = {
    # The planar formats: of the luma plane.
    "YUV420": 1,
    "NV12": 1,
    "RGB888": 3,
    "BGR888": 3,
    "XRGB8888": 4,
    "XBGR8888": 4,
}
_ALIGNMENT = 64


@dataclass(frozen=True)
class Wanted:
    """A stream as the application asked for it; sizes in pixels, the others in bytes."""

    format: str
    width: int
    height: int

    @property
    def stride(self) -> int:
        """Of one row; of the luma plane in a planar format."""
        return -(-self.width * BYTES_PER_PIXEL[self.format] // _ALIGNMENT) * _ALIGNMENT

    @property
    def frame_size(self) -> int:
        """Of all planes."""
        luma = self.stride * self.height
        return luma * 3 // 2 if BYTES_PER_PIXEL[self.format] == 1 else luma


def install() -> None:
    """Let picamera2 configure streams that libcamera's virtual camera does not have."""
    generate = libcamera.Camera.generate_configuration
    describe = Picamera2._update_camera_config

    def generate_without_raw(camera: Any, roles: list[Any]) -> Any:
        # Asked for when the camera is opened, to learn the sensor's sizes.
        known = libcamera.StreamRole.Viewfinder
        return generate(camera, [known if r == libcamera.StreamRole.Raw else r for r in roles])

    def describe_as_wanted(picamera: Any, camera_config: Any, libcamera_config: Any) -> None:
        streams = [camera_config[name] for name in ("main", "lores") if camera_config[name]]
        colours = camera_config["colour_space"]
        wanted = [_wanted(stream) for stream in streams]
        describe(picamera, camera_config, libcamera_config)
        for stream, each in zip(streams, wanted, strict=True):
            stream["format"], stream["size"] = each.format, (each.width, each.height)
            stream["stride"], stream["framesize"] = each.stride, each.frame_size
        camera_config["colour_space"] = colours
        picamera.allocator.wanted = wanted

    libcamera.Camera.generate_configuration = generate_without_raw
    Picamera2._update_camera_config = describe_as_wanted
    Picamera2._update_libcamera_stream_config = staticmethod(_ask)


def _wanted(stream: Any) -> Wanted:
    if stream["format"] not in BYTES_PER_PIXEL:
        raise RuntimeError(f"the virtual camera has no format {stream['format']}")
    return Wanted(stream["format"], *stream["size"])


def _ask(libcamera_stream: Any, stream: Any, buffer_count: int) -> None:
    width, height = stream["size"]
    sizes = libcamera_stream.formats.sizes(libcamera.PixelFormat("NV12"))
    enough = [size for size in sizes if size.width >= width and size.height >= height]
    libcamera_stream.pixel_format = libcamera.PixelFormat("NV12")
    libcamera_stream.size = min(enough or sizes, key=lambda size: size.width * size.height)
    libcamera_stream.buffer_count = buffer_count
