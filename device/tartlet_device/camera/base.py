"""What the rest of tartlet needs from a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tartlet_device.image import Image, Size
from tartlet_shared.messages import FrameInfo


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a camera.

    Attributes:
        image: a copy of its own, read-only because several callers may hold it.
        info: which frame it is, and when it was taken.
    """

    image: Image
    info: FrameInfo


class Camera(Protocol):
    """An open camera, used by one thread.

    Attributes:
        live: frames that nobody takes in time are lost. Where it is false, the camera waits.
        on_demand: frames need to be grabbed only while somebody wants one. Where it is false, they
            must be grabbed always, or old ones pile up in the driver.
    """

    @property
    def live(self) -> bool: ...

    @property
    def on_demand(self) -> bool: ...

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait for the next frame. Numbers of frames in between that were lost are left out.

        Raises:
            CameraTimeout: none came within ``timeout_s`` seconds.
            DeviceError: the camera is gone, or does not work any more.
        """
        ...

    def retrieve(self, *, full: bool) -> Image:
        """The frame grabbed last, a copy of its own; at most once for each.

        Args:
            full: false if a picture just large enough for the model will do.
        """
        ...

    def fits(self, canvas: Size | None) -> bool:
        """Whether it was opened for a model that takes pictures of this size, or does not care."""
        ...

    def close(self) -> None:
        """Release the camera; never raises."""
        ...
