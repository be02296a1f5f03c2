"""Random views of a training picture: zoom, place, flip, light; its boxes go along.

Pixels are resampled as the letterbox does it (scale, then pad), so that a view without zoom is
what the device will show the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.recipe import AugmentRecipe
from tartlet_shared.detections import FloatArray
from tartlet_shared.letterbox import Letterbox

Picture = NDArray[np.uint8]

PAD_VALUE = 114
# A box of which less than this part stays in view is no longer taught, only ignored.
LEAST_VISIBLE = 0.4
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class View:
    """How to draw a picture onto the canvas.

    Attributes:
        zoom: size against the letterboxed picture.
        x, y: where the freedom of placement (canvas minus drawn size, of either sign) is cut,
            0..1; 0.5 is centred.
        flip: mirror left to right.
        brightness, contrast, saturation: factors; 1 leaves the picture as it is.
    """

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5
    flip: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


def draw_view(rng: np.random.Generator, recipe: AugmentRecipe) -> View:
    """A random view within the recipe's limits."""

    def around_one(change: float) -> float:
        return float(rng.uniform(1.0 - change, 1.0 + change))

    logarithm = rng.uniform(math.log(recipe.scale_min), math.log(recipe.scale_max))
    return View(
        zoom=math.exp(logarithm),
        x=float(rng.uniform()),
        y=float(rng.uniform()),
        flip=bool(rng.uniform() < recipe.flip),
        brightness=around_one(recipe.brightness),
        contrast=around_one(recipe.contrast),
        saturation=around_one(recipe.saturation),
    )


def place(letterbox: Letterbox, view: View) -> Letterbox:
    """The letterbox that `view` makes of the plain one; it may reach beyond the canvas."""
    width = max(1, round(letterbox.width * view.zoom))
    height = max(1, round(letterbox.height * view.zoom))
    return Letterbox(
        letterbox.picture_width,
        letterbox.picture_height,
        letterbox.canvas_width,
        letterbox.canvas_height,
        left=math.floor((letterbox.canvas_width - width) * view.x),
        top=math.floor((letterbox.canvas_height - height) * view.y),
        width=width,
        height=height,
    )


def render(picture: Picture, placed: Letterbox, view: View) -> Picture:
    """Draw an RGB picture (H, W, 3) of any resolution as `placed` and `view` say."""
    height, width = picture.shape[:2]
    canvas = np.full((placed.canvas_height, placed.canvas_width, 3), PAD_VALUE, np.uint8)
    # What shows of the drawn picture, on the canvas and in the source's own pixels.
    left, top = max(placed.left, 0), max(placed.top, 0)
    right = min(placed.left + placed.width, placed.canvas_width)
    bottom = min(placed.top + placed.height, placed.canvas_height)
    scale_x, scale_y = width / placed.width, height / placed.height
    x0 = math.floor((left - placed.left) * scale_x)
    y0 = math.floor((top - placed.top) * scale_y)
    x1 = min(width, max(x0 + 1, round((right - placed.left) * scale_x)))
    y1 = min(height, max(y0 + 1, round((bottom - placed.top) * scale_y)))
    source = picture[y0:y1, x0:x1]
    smaller = scale_x > 1.0
    canvas[top:bottom, left:right] = cv2.resize(
        source,
        (right - left, bottom - top),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR,
    )
    canvas = _light(canvas, view)
    return np.ascontiguousarray(canvas[:, ::-1]) if view.flip else canvas


def move_boxes(
    boxes: FloatArray, ignore: NDArray[np.bool_], placed: Letterbox, view: View
) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Boxes (n, 4) of the original picture -> (boxes on the canvas, ignore, in view).

    Boxes are clipped to the canvas. One that is mostly out of view becomes ignored; one that is
    wholly out of view is marked in the third array, (n,), and to be dropped.
    """
    moved = placed.to_canvas(boxes)
    if view.flip:
        moved[:, [0, 2]] = placed.canvas_width - moved[:, [2, 0]]
    limit = np.array([placed.canvas_width, placed.canvas_height] * 2, np.float32)
    clipped = np.clip(moved, 0.0, limit)
    visible = _area(clipped) / np.maximum(_area(moved), 1e-6)
    in_view: NDArray[np.bool_] = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return clipped, ignore | (visible < LEAST_VISIBLE), in_view


def _area(boxes: FloatArray) -> FloatArray:
    area: FloatArray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def _light(canvas: Picture, view: View) -> Picture:
    if (view.brightness, view.contrast, view.saturation) == (1.0, 1.0, 1.0):
        return canvas
    # One affine map of the colours does all three: saturation blends with grey, contrast turns
    # about the canvas's mean, brightness scales.
    saturation = view.saturation * np.eye(3, dtype=np.float32) + (1 - view.saturation) * GREY
    mean = float(canvas.mean())
    gain = view.brightness * view.contrast
    offset = view.brightness * (1 - view.contrast) * mean
    matrix = np.hstack([gain * saturation, np.full((3, 1), offset)]).astype(np.float32)
    return cv2.transform(canvas, matrix).astype(np.uint8, copy=False)  # saturated to 0..255
