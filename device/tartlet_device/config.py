"""The daemon's configuration: a TOML file, checked against what exists.

::

    socket = "/run/tartlet/device.sock"
    store = "/var/lib/tartlet"
    threads = 4                 # for inference; by default one per core, at most four
    log_level = "info"

    [camera]
    kind = "picamera"           # or "v4l2" or "replay"
    width = 1280
    height = 720
    photo = "full"              # `tartlet capture` in the sensor's full resolution; needs memory

    [detection]
    enabled = true              # look at frame after frame, without being asked

    [events]
    enabled = true              # keep what rules find, with pictures

    [outputs.json_lines]        # tell others

Without a file at the default place the defaults hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tartlet_device.connecting import DEFAULT_SOCKET
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.events.settings import EventSettings
from tartlet_device.outputs.settings import OutputsSettings
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_device.web.settings import WebSettings
from tartlet_shared import errors

DEFAULT_CONFIG = Path("/etc/tartlet/device.toml")
DEFAULT_STORE = "/var/lib/tartlet"

SLOWEST_RATE = 0.5  # frames per second; a camera that is slower counts as stuck

Pixels = Annotated[int, msgspec.Meta(ge=1, le=65536)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A key that nobody reads is an error."""


class PicameraSettings(_Section, frozen=True, tag_field="kind", tag="picamera"):
    """A Raspberry Pi's own camera.

    Attributes:
        index: which one, from 0.
        width, height: of the pictures that `predict` shows, pixels, even.
        photo: of the pictures that `capture` gives: width and height, or "full" for all that the
            sensor has; by default the same. The camera then streams in that size all the time, and
            takes three times 1.5 bytes for each pixel of the contiguous memory.
        format: what the camera delivers. Planes of YUV take half the memory of RGB, and less time.
        rate: frames per second; None leaves it to the camera.
    """

    index: Annotated[int, msgspec.Meta(ge=0, le=7)] = 0
    width: Pixels = 1280
    height: Pixels = 720
    photo: Literal["full"] | tuple[Pixels, Pixels] | None = None
    format: Literal["yuv420", "nv12", "rgb"] = "yuv420"
    rate: Rate | None = None

    def __post_init__(self) -> None:
        if self.width % 2 or self.height % 2:
            raise ValueError("width and height must be even")
        if isinstance(self.photo, tuple):
            width, height = self.photo
            if width % 2 or height % 2:
                raise ValueError("the width and height of photo must be even")
            if width < self.width or height < self.height:
                raise ValueError(f"photo must be at least {self.width}x{self.height}")


class V4l2Settings(_Section, frozen=True, tag_field="kind", tag="v4l2"):
    """A USB camera.

    Attributes:
        device: its device file.
        width, height, rate: what to ask the driver for; it may choose the nearest it can.
    """

    device: Text = "/dev/video0"
    width: Pixels | None = None
    height: Pixels | None = None
    rate: Rate | None = None

    @property
    def device_file(self) -> Path:
        """The device file."""
        return Path(self.device)


class ReplaySettings(_Section, frozen=True, tag_field="kind", tag="replay"):
    """Footage in place of a camera, over and over.

    Attributes:
        path: a video file or a folder of photos.
        rate: frames per second; None for the footage's own, 0 for as fast as callers ask.
        first, last: play only these frames, both included, counted from 1.
    """

    path: Text
    rate: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    first: Annotated[int, msgspec.Meta(ge=1)] = 1
    last: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and 0 < self.rate < SLOWEST_RATE:
            raise ValueError(f"rate must be 0 (as fast as callers ask) or at least {SLOWEST_RATE}")
        if self.last is not None and self.last < self.first:
            raise ValueError(f"last = {self.last} is before first = {self.first}")

    @property
    def folder_or_file(self) -> Path:
        """Where the footage is."""
        return Path(self.path)


CameraSettings = PicameraSettings | V4l2Settings | ReplaySettings


class DeviceConfig(_Section, frozen=True):
    """The whole configuration.

    Attributes:
        socket: where the daemon listens.
        store: folder for models.
        camera: which camera.
        threads: for inference; None for one per core, at most four.
        frame_timeout_s: how long to wait for a frame before the camera counts as stuck.
        log_level: how much goes to the log.
        detection: whether, when and how often frames are looked at without a request.
        tracking: what is one object, and zones, lines and rules.
        events: what is kept of what the rules find.
        outputs: who else is told.
        web: the live page, and the requests that programs make.
    """

    socket: Text = DEFAULT_SOCKET
    store: Text = DEFAULT_STORE
    camera: CameraSettings = PicameraSettings()
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    frame_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.5
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    detection: DetectionSettings = DetectionSettings()
    tracking: TrackingSettings = TrackingSettings()
    events: EventSettings = EventSettings()
    outputs: OutputsSettings = OutputsSettings()
    web: WebSettings = WebSettings()

    @property
    def socket_path(self) -> Path:
        """Where the daemon listens."""
        return Path(self.socket)

    @property
    def store_path(self) -> Path:
        """Folder for models."""
        return Path(self.store)

    @property
    def web_socket_path(self) -> Path | None:
        """Where the live page is served; None where it is not."""
        if not self.web.enabled:
            return None
        return Path(self.web.socket or self.socket_path.with_name("web.sock"))


def load(path: Path | None = None) -> DeviceConfig:
    """Read the configuration.

    Args:
        path: None for the default place, where the file may be missing.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has a key or value that makes no sense; the
            text names it.
    """
    place = path or DEFAULT_CONFIG
    try:
        content = place.read_bytes()
    except FileNotFoundError as error:
        if path is None:
            return DeviceConfig()
        raise errors.ConfigError("no such file", where=str(path)) from error
    except OSError as error:
        raise errors.ConfigError(f"cannot be read: {error.strerror}", where=str(place)) from error
    try:
        return msgspec.toml.decode(content, type=DeviceConfig)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.ConfigError(str(error), where=str(place), hint=_known_keys()) from error


def _known_keys() -> str:
    sections = [f"keys are {', '.join(DeviceConfig.__struct_fields__)}"]
    for settings in (PicameraSettings, V4l2Settings, ReplaySettings):
        kind = settings.__struct_config__.tag
        sections.append(f"[camera] of kind {kind}: {', '.join(settings.__struct_fields__)}")
    sections.append(f"[detection]: {', '.join(DetectionSettings.__struct_fields__)}")
    return "; ".join(sections)
