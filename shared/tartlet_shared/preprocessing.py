"""How a picture becomes the input tensor, as data."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from tartlet_shared.tensor import Positive, Record


class Preprocessing(Record, frozen=True):
    """From a picture, RGB, 8 bits, to the input tensor.

    The picture is laid onto the canvas; then ``real = (pixel - mean) / std``, quantized if the
    tensor is.

    Attributes:
        width, height: of the canvas, pixels.
        pad_value: of the canvas around a letterboxed picture.
        mean, std: of all channels.
        fit: "letterbox" keeps the picture's aspect ratio (`tartlet_shared.letterbox`), "stretch"
            fills the canvas.
        layout: of the tensor: ``(1, height, width, 3)`` or ``(1, 3, height, width)``.
        order: of the tensor's channels.
        channel_means, channel_stds: red, green, blue, in place of ``mean`` and ``std``; empty for
            none.
    """

    width: Positive
    height: Positive
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)] = 114
    mean: float = 127.0
    std: Annotated[float, msgspec.Meta(gt=0)] = 128.0
    fit: Literal["letterbox", "stretch"] = "letterbox"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    order: Literal["rgb", "bgr"] = "rgb"
    channel_means: Annotated[tuple[float, ...], msgspec.Meta(max_length=3)] = ()
    channel_stds: Annotated[tuple[float, ...], msgspec.Meta(max_length=3)] = ()

    def __post_init__(self) -> None:
        for values in (self.channel_means, self.channel_stds):
            if len(values) not in (0, 3):
                raise ValueError(f"{len(values)} channel values, expected 3 or none")
        if not all(math.isfinite(each) for each in (*self.means, *self.stds)):
            raise ValueError("a mean or standard deviation is not finite")
        if min(self.stds) <= 0:
            raise ValueError(f"channel_stds must be positive, not {self.channel_stds}")

    @property
    def means(self) -> tuple[float, ...]:
        """Of red, green and blue."""
        return self.channel_means or (self.mean,) * 3

    @property
    def stds(self) -> tuple[float, ...]:
        """Of red, green and blue."""
        return self.channel_stds or (self.std,) * 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the input tensor."""
        if self.layout == "nchw":
            return 1, 3, self.height, self.width
        return 1, self.height, self.width, 3
