"""The Raspberry Pi's own camera, through picamera2.

The camera streams all the time in one mode that is never changed: switching modes fragments the
contiguous memory until a start fails. Its image processor makes each frame in two sizes at once:
the main stream for people, and a small one ("lores") just large enough for the model.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from tartlet_device.camera import picamera_errors as wrong
from tartlet_device.camera.planes import Stream, pixels
from tartlet_device.camera.stamps import FrameCounter, monotonic_ns
from tartlet_device.config import PicameraSettings
from tartlet_device.image import Image, Size, YuvPixels
from tartlet_shared import errors, letterbox
from tartlet_shared.messages import FrameInfo

_log = logging.getLogger(__name__)

_BUFFERS = 4
_BUFFERS_OF_PHOTOS = 3  # of 18 MB each at twelve megapixels
# picamera2 names formats by a register's order: its "BGR888" is R, G, B in memory.
_FORMATS = {"yuv420": "YUV420", "nv12": "NV12", "rgb": "BGR888"}


class PiCamera:
    """See `tartlet_device.camera.base.Camera`."""

    live = True
    on_demand = True  # the library keeps the newest frame itself and drops the old ones

    def __init__(
        self, library: Any, picamera: Any, *, size: Size, canvas: Size | None = None
    ) -> None:
        """
        Args:
            library: the module picamera2.
            picamera: configured and started.
            size: what boxes refer to; at most that of the main stream.
            canvas: of the model that the small stream is for.
        """
        configuration = picamera.camera_configuration()
        self._library = library
        self._picamera = picamera
        self._main = Stream.of("main", configuration)
        self._small = Stream.of("lores", configuration) if configuration["lores"] else None
        fitted = letterbox.fit(*self._main.size, *size)
        self._size = (fitted.width, fitted.height)
        self._canvas = canvas
        self._counter = FrameCounter()
        self._request: Any = None

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait for the next frame; see the protocol."""
        self._release()
        try:
            self._request = self._picamera.capture_request(wait=timeout_s)
        except TimeoutError as error:
            # The request would be fulfilled later and its buffer be lost.
            self._picamera.cancel_all_and_flush()
            raise wrong.silent(timeout_s) from error
        metadata = self._request.get_metadata()
        taken = monotonic_ns(metadata.get("SensorTimestamp"))
        number = self._counter.number(taken, metadata.get("FrameDuration"))
        return FrameInfo(number=number, monotonic_ns=taken)

    def retrieve(self, *, full: bool) -> Image:
        """The frame grabbed last; see the protocol."""
        if self._request is None:
            raise errors.DeviceError("no frame was grabbed yet", where="picamera")
        try:
            main = self._copy(self._main) if full or self._small is None else None
            small = self._copy(self._small) if self._small is not None else None
        finally:
            self._release()
        return Image(self._size, main, small if isinstance(small, YuvPixels) else None)

    def fits(self, canvas: Size | None) -> bool:
        """Whether the small stream is the one for that model."""
        return canvas == self._canvas

    def close(self) -> None:
        """Stop and release the camera."""
        try:
            self._release()
            self._picamera.close()
        except Exception:  # noqa: BLE001  (a driver's; there is nobody to tell)
            _log.exception("the camera did not close")

    def _copy(self, stream: Stream) -> Any:
        with self._library.MappedArray(
            self._request, stream.name, reshape=False, write=False
        ) as mapped:
            return pixels(np.asarray(mapped.array, np.uint8), stream)

    def _release(self) -> None:
        """Give the buffers back to the camera."""
        request, self._request = self._request, None
        if request is not None:
            request.release()


def open_picamera(settings: PicameraSettings, canvas: Size | None = None) -> PiCamera:
    """Open and start a camera.

    Args:
        settings: which one, and how.
        canvas: size of the picture that the model takes; None without a model.

    Raises:
        CameraAbsent: picamera2 is not installed, or no camera is attached.
        CameraBusy: another process holds it.
        DeviceError: it does not start.
    """
    library = wrong.library("picamera2")
    _check_attached(library, settings.index)
    picamera = None
    try:
        picamera = _new(library, settings.index)
        _configure(picamera, settings, canvas)
        picamera.start()
        return PiCamera(library, picamera, size=(settings.width, settings.height), canvas=canvas)
    except (RuntimeError, OSError) as error:
        if picamera is not None:
            picamera.close()
        raise wrong.start_error(error) from error


def _check_attached(library: Any, index: int) -> None:
    attached = library.Picamera2.global_camera_info()
    if index < len(attached):
        return
    # libcamera looks for cameras when its manager is made; one whose driver loads later would be
    # missing for as long as this process lives. picamera2 has no public way to make it look again.
    library.Picamera2._cm.reset()
    attached = library.Picamera2.global_camera_info()
    if index >= len(attached):
        raise wrong.absent(index, len(attached))


def _new(library: Any, index: int) -> Any:
    # Two steps, because a constructor that fails, as it does while the camera is busy, leaves a
    # pipe open: at one attempt every ten seconds, the daemon would run out of descriptors.
    picamera = library.Picamera2.__new__(library.Picamera2)
    try:
        picamera.__init__(index)
    except BaseException:
        descriptor = getattr(picamera, "notifyme_w", None)
        if descriptor is not None:
            os.close(descriptor)
        raise
    return picamera


def _configure(picamera: Any, settings: PicameraSettings, canvas: Size | None) -> None:
    """Set the camera up, with less where it refuses more: without a small stream, then in RGB."""
    main = _main_size(picamera, settings)
    small = _small_size(main, canvas)
    wanted = _FORMATS[settings.format]
    attempts = [(wanted, small), (wanted, None), (_FORMATS["rgb"], None)]
    if wanted == _FORMATS["rgb"]:
        attempts = attempts[2:]
    elif small is None:
        attempts = attempts[1:]
    for number, (main_format, small_size) in enumerate(attempts, start=1):
        try:
            picamera.configure(
                picamera.create_video_configuration(
                    main={"size": main, "format": main_format},
                    lores=small_size and {"size": small_size, "format": "YUV420"},
                    raw=None,  # it would take as much memory again, for nobody
                    # BT.601 with a limited range: what OpenCV's conversions of planes assume.
                    colour_space=wrong.library("libcamera").ColorSpace.Smpte170m(),
                    buffer_count=_BUFFERS_OF_PHOTOS if settings.photo else _BUFFERS,
                    controls={} if settings.rate is None else {"FrameRate": settings.rate},
                )
            )
            given = picamera.camera_configuration()["main"]["format"]
            if given != main_format:
                raise RuntimeError(f"{main_format} was asked for, and {given} is given")
        except RuntimeError as error:
            if number == len(attempts):
                raise
            _log.warning("the camera refuses %s %s: %s", main_format, small_size or "", error)
        else:
            return


def _main_size(picamera: Any, settings: PicameraSettings) -> Size:
    if settings.photo == "full":
        width, height = picamera.sensor_resolution
        return _even(width), _even(height)
    if settings.photo is not None:
        return settings.photo
    return settings.width, settings.height


def _small_size(main: Size, canvas: Size | None) -> Size | None:
    """Twice what the model's letterbox makes of the main picture; None if that is not smaller.

    Twice, because the planes of colour have half the resolution: they come in exactly the size that
    the model needs, and the luma is averaged over 2x2 pixels, which costs next to nothing.
    """
    if canvas is None:
        return None
    box = letterbox.fit(*main, *canvas)
    size = (2 * box.width, 2 * box.height)
    return size if size[0] < main[0] and size[1] < main[1] else None


def _even(pixels: int) -> int:
    return pixels // 2 * 2
