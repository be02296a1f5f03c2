"""From a picture to the model's input tensor; training and calibration go through here as well."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_device.image import Image, Picture, resize
from tartlet_shared import affine, letterbox
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.manifest import Preprocessing, Tensor

__all__ = ["Picture", "input_tensor", "letterbox_picture"]


def letterbox_picture(
    picture: Picture | Image, preprocessing: Preprocessing
) -> tuple[Picture, Letterbox]:
    """Scale a picture onto the canvas, keeping its aspect ratio unless told to stretch it.

    Args:
        picture: RGB, uint8, shape ``(rows, columns, 3)``; or a camera's.
        preprocessing: size of the canvas and the value around the picture.

    Returns:
        The canvas, uint8 ``(height, width, 3)``, and where the picture lies on it. Shrinking
        averages over areas, so that small things do not fall between the samples.

    Raises:
        ValueError: the picture has another shape or type, or no pixels.
    """
    width, height = picture.size if isinstance(picture, Image) else _size(picture)
    place = letterbox.fit if preprocessing.fit == "letterbox" else letterbox.stretch
    box = place(width, height, preprocessing.width, preprocessing.height)
    size = (box.width, box.height)
    canvas = np.full(
        (preprocessing.height, preprocessing.width, 3), preprocessing.pad_value, np.uint8
    )
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = (
        picture.scaled(size) if isinstance(picture, Image) else resize(picture, size)
    )
    return canvas, box


def _size(rgb: Picture) -> tuple[int, int]:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"expected uint8 (rows, columns, 3), got {rgb.dtype} {rgb.shape}")
    return rgb.shape[1], rgb.shape[0]


def input_tensor(canvas: Picture, preprocessing: Preprocessing, tensor: Tensor) -> NDArray[Any]:
    """The canvas normalised, and quantized if the tensor is; of ``preprocessing.shape``.

    A pixel has 256 values only, so each is converted once and then looked up.
    """
    table = _table(preprocessing, tensor)
    looked_up = np.asarray(cv2.LUT(canvas, table))
    if preprocessing.order == "bgr":
        looked_up = looked_up[..., ::-1]
    if preprocessing.layout == "nchw":
        looked_up = looked_up.transpose(2, 0, 1)
    return np.ascontiguousarray(looked_up)[np.newaxis]


@functools.lru_cache(maxsize=4)
def _table(preprocessing: Preprocessing, tensor: Tensor) -> NDArray[Any]:
    """What each of 256 values becomes: one column, or three where the channels differ."""
    pixels = np.arange(256, dtype=np.float64)
    columns = [
        (pixels - mean) / std
        for mean, std in dict.fromkeys(zip(preprocessing.means, preprocessing.stds, strict=True))
    ]
    if len(columns) > 1:
        columns = [
            (pixels - mean) / std
            for mean, std in zip(preprocessing.means, preprocessing.stds, strict=True)
        ]
    real = np.stack(columns, axis=-1)[np.newaxis]
    if tensor.affine is None:
        return real.astype(np.float32)
    return affine.quantize(real, tensor.affine, tensor.dtype)
