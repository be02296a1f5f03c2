"""Pictures to H.264, by the processor's own encoder where there is one.

PyAV gives both ways: ``h264_v4l2m2m`` hands planes to the kernel's encoder (Raspberry Pi Zero 2 to
4), ``libx264`` computes (Raspberry Pi 5, laptops). It is only imported when an encoder is opened.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import cv2
import numpy as np

from tartlet_device.events import packet
from tartlet_device.events.packet import VideoFormat, VideoPacket
from tartlet_device.events.settings import VideoSettings
from tartlet_device.image import Image, Picture, Size, YuvPixels
from tartlet_shared import errors

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.video.codeccontext import VideoCodecContext

_log = logging.getLogger(__name__)

KEY_INTERVAL_S = 1.0
"""A clip begins at most so much earlier than asked for."""
HARDWARE = Path("/dev/video11")
"""bcm2835-codec's encoder."""
_HARDWARE_LARGEST = (1920, 1080)
_TICKS = 1_000_000  # pts are microseconds, as V4L2's are
_KEY_FRAME = 1  # AV_PICTURE_TYPE_I
_CODECS: dict[str, str] = {"hardware": "h264_v4l2m2m", "software": "libx264"}


class Encoder(Protocol):
    """What the recorder needs."""

    @property
    def size(self) -> Size:
        """Of the pictures it takes."""
        ...

    def encode(self, image: Image, monotonic_ns: int) -> list[VideoPacket]:
        """Packets that are ready, of this picture or of earlier ones.

        Raises:
            DeviceError: it cannot be encoded; says why.
        """
        ...

    def close(self) -> None:
        """Release it."""
        ...


def open_encoder(size: Size, settings: VideoSettings) -> Encoder:
    """An encoder for pictures of that size.

    Raises:
        DeviceError: there is none; says why.
    """
    if settings.encoder != "auto":
        return H264Encoder(size, settings, settings.encoder)
    fits = size[0] <= _HARDWARE_LARGEST[0] and size[1] <= _HARDWARE_LARGEST[1]
    if fits and HARDWARE.exists():
        try:
            return H264Encoder(size, settings, "hardware")
        except errors.DeviceError as error:
            _log.warning("%s; the processor encodes instead", error)
    return H264Encoder(size, settings, "software")


class H264Encoder:
    """One encoder, for one size."""

    def __init__(
        self, size: Size, settings: VideoSettings, way: Literal["hardware", "software"]
    ) -> None:
        """
        Raises:
            DeviceError: PyAV or the encoder is missing.
        """
        self._size = even(size)
        self._way = way
        self._start_ns: int | None = None
        self._last_tick = -1
        self._key_due_ns = 0
        self._format: VideoFormat | None = None
        self._parameters: dict[int, bytes] = {}
        try:
            import av
        except ImportError as error:
            raise errors.DeviceError(
                f"PyAV does not load: {error}",
                where="encoder",
                hint="on a Pi: sudo apt install python3-av; elsewhere: "
                "pip install 'tartlet-device[video]'",
            ) from error
        self._frame_of = av.VideoFrame.from_ndarray
        self._failure: type[Exception] = av.error.FFmpegError
        try:
            self._codec: VideoCodecContext = av.CodecContext.create(_CODECS[way], "w")  # type: ignore[assignment]
            _set_up(self._codec, self._size, settings, way)
            self._codec.open()
        except (av.error.FFmpegError, ValueError, OSError) as error:
            # An unknown codec is a ValueError.
            raise errors.DeviceError(
                f"{_CODECS[way]} does not open: {error}", where="encoder"
            ) from error

    @property
    def size(self) -> Size:
        """Of the pictures it takes."""
        return self._size

    def encode(self, image: Image, monotonic_ns: int) -> list[VideoPacket]:
        """Packets that are ready; a picture that is not later than the last one is left out.

        Raises:
            DeviceError: it cannot be encoded; says why.
        """
        if self._start_ns is None:
            self._start_ns = self._key_due_ns = monotonic_ns
        tick = (monotonic_ns - self._start_ns) * _TICKS // 10**9
        if tick <= self._last_tick:
            return []
        self._last_tick = tick
        frame = self._frame_of(planes(image, self._size), format="yuv420p")
        frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
        if monotonic_ns >= self._key_due_ns:
            # By time, not by count: frames do not come at a steady rate.
            frame.pict_type = _KEY_FRAME
            self._key_due_ns = monotonic_ns + round(KEY_INTERVAL_S * 1e9)
        try:
            return [ready for each in self._codec.encode(frame) if (ready := self._packet(each))]
        except self._failure as error:
            raise errors.DeviceError(f"{_CODECS[self._way]}: {error}", where="encoder") from error

    def close(self) -> None:
        """Release it; pictures that it still holds are lost."""
        del self._codec

    def _packet(self, encoded: Packet[VideoStream]) -> VideoPacket | None:
        units = list(packet.units(bytes(encoded)))
        for unit in units:
            kind = packet.unit_type(unit)
            if kind in (packet.SEQUENCE_PARAMETERS, packet.PICTURE_PARAMETERS):
                if self._parameters.get(kind) != unit:
                    self._format = None
                self._parameters[kind] = unit
        pictures = [unit for unit in units if 1 <= packet.unit_type(unit) <= packet.KEY_PICTURE]
        if not pictures or encoded.pts is None or len(self._parameters) < 2:
            return None
        if self._format is None:
            self._format = VideoFormat(
                *self._size,
                self._parameters[packet.SEQUENCE_PARAMETERS],
                self._parameters[packet.PICTURE_PARAMETERS],
            )
        return VideoPacket(
            content=packet.with_lengths(pictures),
            monotonic_ns=(self._start_ns or 0) + encoded.pts * 10**9 // _TICKS,
            key=any(packet.unit_type(unit) == packet.KEY_PICTURE for unit in pictures),
            format=self._format,
        )


def even(size: Size) -> Size:
    """The size without a last odd row or column, which halved colour cannot have."""
    return size[0] // 2 * 2, size[1] // 2 * 2


def planes(image: Image, size: Size) -> Picture:
    """A picture as planes of YUV with halved colour, uint8 ``(rows * 3 / 2, columns)``.

    Args:
        size: even; a picture of another size is scaled.
    """
    source = image.full or image.small
    if isinstance(source, YuvPixels) and source.size == size:
        return source.planes if source.layout == "YUV420" else _separated(source.planes, size)
    rgb = image.photo()
    if even((rgb.shape[1], rgb.shape[0])) == size:
        rgb = np.ascontiguousarray(rgb[: size[1], : size[0]])
    else:
        rgb = image.scaled(size)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _separated(interleaved: Picture, size: Size) -> Picture:
    height = size[1]
    separate = np.empty_like(interleaved)
    separate[:height] = interleaved[:height]
    chroma = interleaved[height:].reshape(-1, 2)
    separate[height:].reshape(2, -1)[:] = chroma.T
    return separate


def _set_up(
    codec: VideoCodecContext,
    size: Size,
    settings: VideoSettings,
    way: Literal["hardware", "software"],
) -> None:
    codec.width, codec.height = size
    codec.pix_fmt = "yuv420p"
    codec.time_base = Fraction(1, _TICKS)
    codec.framerate = Fraction(settings.rate).limit_denominator(1000)
    codec.bit_rate = settings.bitrate_kbps * 1000
    codec.gop_size = max(1, round(settings.rate * KEY_INTERVAL_S * 2))
    if way == "software":
        codec.thread_count = 2  # the others are for inference
        codec.options = {
            "preset": "superfast",
            # Each picture gives its packet at once, and none refers to later ones.
            "tune": "zerolatency",
            "maxrate": str(settings.bitrate_kbps * 1000),
            "bufsize": str(settings.bitrate_kbps * 2000),
            # BT.601 with luma 16-235, as the camera is asked for.
            "x264-params": "scenecut=0:"
            "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m",
        }
