"""Random light and colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.recipe import AugmentRecipe

Picture = NDArray[np.uint8]

GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Look:
    """Changes to a canvas's pixels that move nothing.

    Attributes:
        brightness, contrast, saturation: factors; 1 leaves the picture as it is.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


def draw_look(rng: np.random.Generator, recipe: AugmentRecipe) -> Look:
    """A random look within the recipe's limits."""

    def around_one(change: float) -> float:
        return float(rng.uniform(1.0 - change, 1.0 + change))

    return Look(
        brightness=around_one(recipe.brightness),
        contrast=around_one(recipe.contrast),
        saturation=around_one(recipe.saturation),
    )


def develop(canvas: Picture, look: Look) -> Picture:
    """The canvas, RGB uint8 (H, W, 3), with another look."""
    if look == Look():
        return canvas
    # One affine map of the colours does all three: saturation blends with grey, contrast turns
    # about the canvas's mean, brightness scales.
    saturation = look.saturation * np.eye(3, dtype=np.float32) + (1 - look.saturation) * GREY
    mean = float(canvas.mean())
    gain = look.brightness * look.contrast
    offset = look.brightness * (1 - look.contrast) * mean
    matrix = np.hstack([gain * saturation, np.full((3, 1), offset)]).astype(np.float32)
    return cv2.transform(canvas, matrix).astype(np.uint8, copy=False)  # saturated to 0..255
