"""What the daemon and the camera's process say to each other."""

from __future__ import annotations

from typing import Literal

import msgspec

from tartlet_device.config import CameraSettings
from tartlet_device.image import Size
from tartlet_shared.messages import Failure, FrameInfo

TRY_AGAIN = "it is started again: try again in a few seconds"


class _Message(msgspec.Struct, frozen=True, tag=True):
    """Told apart by name."""


class Prepare(_Message, frozen=True):
    """Load the libraries that this camera needs: that takes long on a small Pi, and never hangs."""

    settings: CameraSettings


class Open(_Message, frozen=True):
    """Open this camera, for a model that takes pictures of this size."""

    settings: CameraSettings
    canvas: Size | None


class Grab(_Message, frozen=True):
    """Wait for the next frame."""

    timeout_s: float


class Retrieve(_Message, frozen=True):
    """Hand the frame over that was grabbed last."""

    full: bool


class Fits(_Message, frozen=True):
    """Would it be opened in the same way for a model of this size?"""

    canvas: Size | None


class Close(_Message, frozen=True):
    """Release the camera, and end."""


Order = Prepare | Open | Grab | Retrieve | Fits | Close


class Prepared(_Message, frozen=True):
    """The process runs, and has the libraries."""


class Opened(_Message, frozen=True):
    """See `tartlet_device.camera.base.Camera`."""

    live: bool
    on_demand: bool


class Grabbed(_Message, frozen=True):
    """A frame has come."""

    info: FrameInfo


class Pixels(msgspec.Struct, frozen=True):
    """A picture in the memory that comes along."""

    layout: Literal["RGB", "YUV420", "NV12"]
    width: int
    height: int


class Retrieved(_Message, frozen=True):
    """A frame; its memory has the pixels in full, then the small ones."""

    size: Size
    full: Pixels | None
    small: Pixels | None


class Fitting(_Message, frozen=True):
    """Whether it would."""

    fits: bool


class Closed(_Message, frozen=True):
    """It is released."""


Answer = Prepared | Opened | Grabbed | Retrieved | Fitting | Closed | Failure
