"""Random views of a training picture: zoom, place, flip; its boxes go along.

A view without zoom is resampled as the device does it, and so is what the device will show the
network. Other views are drawn a little faster: they are random anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_device.image import resize
from tartlet_host.dataset.placed_boxes import PlacedBoxes, clip, ignored_region, whole_boxes
from tartlet_host.dataset.sample import Sample
from tartlet_host.recipe import AugmentRecipe
from tartlet_shared.letterbox import Letterbox

Picture = NDArray[np.uint8]

PAD_VALUE = 114


@dataclass(frozen=True)
class View:
    """How to draw a picture onto the canvas.

    Attributes:
        zoom: size against the letterboxed picture.
        x, y: where the freedom of placement (canvas minus drawn size, of either sign) is cut,
            0..1; 0.5 is centred.
        flip: mirror left to right.
        flip_vertical: turn upside down, as a mirror does.
    """

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5
    flip: bool = False
    flip_vertical: bool = False


def draw_turns(rng: np.random.Generator, recipe: AugmentRecipe) -> int:
    """How many quarter turns to make, 0..3."""
    return int(rng.integers(1, 4)) if rng.uniform() < recipe.turn else 0


def turned(sample: Sample, picture: Picture, turns: int) -> tuple[Sample, Picture]:
    """A sample and its picture, of any resolution, after quarter turns counter-clockwise."""
    for _ in range(turns):
        left, top, right, bottom = sample.boxes.T
        edges = [top, sample.width - right, bottom, sample.width - left]
        sample = replace(
            sample, width=sample.height, height=sample.width, boxes=np.stack(edges, axis=1)
        )
    return sample, np.ascontiguousarray(np.rot90(picture, turns))


def draw_view(rng: np.random.Generator, recipe: AugmentRecipe) -> View:
    """A random view within the recipe's limits."""
    logarithm = rng.uniform(math.log(recipe.scale_min), math.log(recipe.scale_max))
    return View(
        zoom=math.exp(logarithm),
        x=float(rng.uniform()),
        y=float(rng.uniform()),
        flip=bool(rng.uniform() < recipe.flip),
        flip_vertical=bool(rng.uniform() < recipe.flip_vertical),
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
    scale = resize if view.zoom == 1.0 else _resize_fast
    canvas[top:bottom, left:right] = scale(picture[y0:y1, x0:x1], (right - left, bottom - top))
    return _flip(canvas, view)


def move_boxes(sample: Sample, placed: Letterbox, view: View) -> PlacedBoxes:
    """A sample's boxes on the canvas, clipped to it.

    One that is mostly out of view becomes ignored, one that is wholly out of view is dropped. A
    picture that nobody labelled is one ignored region.
    """
    width, height = placed.canvas_width, placed.canvas_height
    if not sample.labelled:
        return ignored_region(0, 0, width, height)
    moved = placed.to_canvas(sample.boxes)
    if view.flip:
        moved[:, [0, 2]] = width - moved[:, [2, 0]]
    if view.flip_vertical:
        moved[:, [1, 3]] = height - moved[:, [3, 1]]
    return clip(whole_boxes(moved, sample.class_ids, sample.ignore), 0, 0, width, height)


def _resize_fast(picture: Picture, size: tuple[int, int]) -> Picture:
    """Halve by averaging, then interpolate: a tenth of the time of averaging over odd areas.

    Interpolation alone leaves no pixel out as long as it shrinks to no less than a half.
    """
    rows, columns = picture.shape[:2]
    while columns >= 2 * size[0] and rows >= 2 * size[1]:
        rows, columns = rows // 2, columns // 2
        even = picture[: 2 * rows, : 2 * columns]
        picture = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _flip(canvas: Picture, view: View) -> Picture:
    if not (view.flip or view.flip_vertical):
        return canvas
    direction = -1 if view.flip and view.flip_vertical else int(view.flip)
    return np.asarray(cv2.flip(canvas, direction), np.uint8)
