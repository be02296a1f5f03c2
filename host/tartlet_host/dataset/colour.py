"""Random light, colour, softness and grain: what changes a canvas's pixels and moves nothing."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.recipe import AugmentRecipe

Picture = NDArray[np.uint8]
Matrix = NDArray[np.float32]

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
BLUR = (0.5, 1.5)  # standard deviation, canvas pixels: slightly soft to clearly out of focus
GRAIN = (2.0, 12.0)  # standard deviation, of 255


@dataclass(frozen=True)
class Look:
    """Changes to a canvas's pixels.

    Attributes:
        brightness, contrast, saturation: factors; 1 leaves the picture as it is.
        hue: turn of the colour circle, degrees.
        blur: standard deviation in canvas pixels.
        grain: standard deviation of the noise, of 255; each channel has its own.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    blur: float = 0.0
    grain: float = 0.0


def draw_look(rng: np.random.Generator, recipe: AugmentRecipe) -> Look:
    """A random look within the recipe's limits."""

    def around(middle: float, change: float) -> float:
        return float(rng.uniform(middle - change, middle + change))

    def sometimes(probability: float, limits: tuple[float, float]) -> float:
        # Both numbers are drawn, so that one key of a recipe does not change another's draws.
        happens, value = rng.uniform() < probability, rng.uniform(*limits)
        return float(value) if happens else 0.0

    return Look(
        brightness=around(1.0, recipe.brightness),
        contrast=around(1.0, recipe.contrast),
        saturation=around(1.0, recipe.saturation),
        hue=around(0.0, recipe.hue),
        blur=sometimes(recipe.blur, BLUR),
        grain=sometimes(recipe.noise, GRAIN),
    )


def develop(canvas: Picture, look: Look, rng: np.random.Generator) -> Picture:
    """The canvas, RGB uint8 (H, W, 3), with another look; `rng` makes the grain."""
    if look.blur > 0:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), look.blur), np.uint8)
    if (look.brightness, look.contrast, look.saturation, look.hue) != (1.0, 1.0, 1.0, 0.0):
        canvas = np.asarray(cv2.transform(canvas, _colour_matrix(canvas, look)), np.uint8)
    if look.grain > 0:
        # A byte looked up in the normal distribution's quantiles: ten times as fast as drawing
        # from the distribution.
        drawn = np.frombuffer(rng.bytes(canvas.size), np.uint8).reshape(canvas.shape)
        grain = cv2.LUT(drawn, (look.grain * _quantiles() + 128).round().astype(np.uint8))
        canvas = np.asarray(cv2.addWeighted(canvas, 1.0, grain, 1.0, -128.0), np.uint8)
    return canvas


def _colour_matrix(canvas: Picture, look: Look) -> Matrix:
    """One affine map (3, 4) of the colours that does all: hue turns them about the grey axis,
    saturation blends with grey, contrast turns about the canvas's mean, brightness scales. OpenCV
    saturates the result to 0..255."""
    saturation = look.saturation * np.eye(3, dtype=np.float32) + (1 - look.saturation) * GREY
    mean = sum(cv2.mean(canvas)[:3]) / 3
    gain = look.brightness * look.contrast
    offset = look.brightness * (1 - look.contrast) * mean
    colours = gain * saturation @ _hue_matrix(look.hue)
    return np.hstack([colours, np.full((3, 1), offset)]).astype(np.float32)


def _hue_matrix(degrees: float) -> NDArray[np.float64]:
    """A turn about the grey axis (1, 1, 1): Rodrigues' formula. Grey stays, red, green and blue
    change places at 120 degrees."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    third, across = (1 - cosine) / 3, sine / math.sqrt(3)
    turn = [
        [cosine + third, third - across, third + across],
        [third + across, cosine + third, third - across],
        [third - across, third + across, cosine + third],
    ]
    return np.array(turn, np.float64)


@functools.cache
def _quantiles() -> Matrix:
    """The 256 equally likely values of the normal distribution with mean 0 and deviation 1."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((step + 0.5) / 256) for step in range(256)], np.float32)
