"""How a picture lies on a canvas: scaled to fit with the rest padded, or stretched; and back.

The geometry is computed here once for both sides. The pixels are resampled by the caller (OpenCV
or the Pi's image processor), into exactly the rectangle that `Letterbox` states, so a box can be
mapped back without a rounding error: the scale used for the boxes is the ratio of the rounded
sizes, not the ideal scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tartlet_shared.detections import FloatArray


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies on the canvas, all in whole pixels.

    Attributes:
        picture_width, picture_height: size of the original picture.
        canvas_width, canvas_height: size of the model's input.
        left, top: upper left corner of the scaled picture on the canvas.
        width, height: size of the scaled picture on the canvas, each at least 1.
    """

    picture_width: int
    picture_height: int
    canvas_width: int
    canvas_height: int
    left: int
    top: int
    width: int
    height: int

    def to_canvas(self, xyxy: FloatArray) -> FloatArray:
        """Boxes ``(n, 4)`` in picture pixels to boxes in canvas pixels."""
        scale = self._scale()
        return (np.asarray(xyxy, np.float64) * scale + self._offset()).astype(np.float32)

    def to_picture(self, xyxy: FloatArray, *, clip: bool = True) -> FloatArray:
        """Boxes ``(n, 4)`` in canvas pixels to picture pixels, by default clipped to it."""
        boxes = (np.asarray(xyxy, np.float64) - self._offset()) / self._scale()
        if clip:
            limit = np.array([self.picture_width, self.picture_height] * 2, np.float64)
            boxes = np.clip(boxes, 0.0, limit)
        return boxes.astype(np.float32)

    def _scale(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        x, y = self.width / self.picture_width, self.height / self.picture_height
        return np.array([x, y, x, y], np.float64)

    def _offset(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([self.left, self.top, self.left, self.top], np.float64)


def fit(
    picture_width: int, picture_height: int, canvas_width: int, canvas_height: int
) -> Letterbox:
    """Place a picture centred on a canvas, as large as fits, keeping its aspect ratio.

    Args:
        picture_width, picture_height: pixels, at least 1.
        canvas_width, canvas_height: pixels, at least 1.

    Raises:
        ValueError: a size is below 1.
    """
    _check(picture_width, picture_height, canvas_width, canvas_height)
    scale = min(canvas_width / picture_width, canvas_height / picture_height)
    width = min(canvas_width, max(1, round(picture_width * scale)))
    height = min(canvas_height, max(1, round(picture_height * scale)))
    return Letterbox(
        picture_width,
        picture_height,
        canvas_width,
        canvas_height,
        left=(canvas_width - width) // 2,
        top=(canvas_height - height) // 2,
        width=width,
        height=height,
    )


def stretch(
    picture_width: int, picture_height: int, canvas_width: int, canvas_height: int
) -> Letterbox:
    """Fill the whole canvas with a picture, whatever becomes of its aspect ratio.

    Some published models were trained so. Arguments and errors are those of `fit`.
    """
    _check(picture_width, picture_height, canvas_width, canvas_height)
    return Letterbox(
        picture_width,
        picture_height,
        canvas_width,
        canvas_height,
        left=0,
        top=0,
        width=canvas_width,
        height=canvas_height,
    )


def _check(picture_width: int, picture_height: int, canvas_width: int, canvas_height: int) -> None:
    if min(picture_width, picture_height, canvas_width, canvas_height) < 1:
        raise ValueError(
            f"sizes must be at least 1 pixel: picture {picture_width}x{picture_height}, "
            f"canvas {canvas_width}x{canvas_height}"
        )
