"""Background subtraction for a fixed camera: the median of the scene against each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.video import Picture

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class SubtractionSettings:
    """How foreground is told from background; grey levels are of 0-255.

    Attributes:
        difference: least difference to the background in any channel, grey levels.
        noise_factor: where the scene itself moves (leaves, tape), the least difference is this
            many times its usual deviation.
        shadow_darkest: a shadow leaves at least this part of the light ...
        shadow_tint: ... and takes it from the three channels alike, but for this much.
        close_height, close_width: gaps up to so many pixels inside a thing are closed; taller than
            wide, because people are.
    """

    difference: float = 22.0
    noise_factor: float = 4.0
    shadow_darkest: float = 0.45
    shadow_tint: float = 0.10
    close_height: int = 11
    close_width: int = 5


@dataclass(frozen=True, eq=False)
class Background:
    """An empty scene.

    Attributes:
        picture: median of the samples, uint8 ``(rows, columns, 3)``, slightly blurred.
        limit: least difference that counts, uint8 ``(rows, columns)``.
    """

    picture: Picture
    limit: Mask


def learn_background(samples: Sequence[Picture], settings: SubtractionSettings) -> Background:
    """The scene without what moves through it.

    The median over time is the scene wherever it is free for more than half of the samples. The
    usual deviation is the median absolute deviation, scaled to a standard deviation (1.4826).

    Args:
        samples: at least one picture, all of one size, spread over the time.
    """
    stack = np.stack([_smooth(sample) for sample in samples])
    median = np.median(stack, axis=0).astype(np.uint8)
    deviation = np.zeros(median.shape[:2], np.float32)
    for channel in range(3):
        away = cv2.absdiff(
            stack[..., channel], np.broadcast_to(median[..., channel], stack.shape[:3]).copy()
        )
        np.maximum(deviation, 1.4826 * np.median(away, axis=0), out=deviation)
    limit = np.clip(settings.noise_factor * deviation, settings.difference, 255)
    return Background(median, limit.astype(np.uint8))


def foreground(picture: Picture, background: Background, settings: SubtractionSettings) -> Mask:
    """Where something stands before the background: 1 or 0 per pixel, shadows removed.

    A shadow darkens all channels by about the same factor (Horprasert et al. 1999).
    """
    smooth = _smooth(picture)
    channels = cv2.split(cv2.absdiff(smooth, background.picture))
    largest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    rows, columns = np.nonzero(largest > background.limit)
    # Only the few pixels that differ are looked at for shadows.
    now = smooth[rows, columns].astype(np.float32) + 4.0  # + 4: dark pixels are mostly noise
    before = background.picture[rows, columns].astype(np.float32) + 4.0
    light = now / before
    low, high = light.min(axis=1), light.max(axis=1)
    shadow = (low > settings.shadow_darkest) & (high < 1.0) & (high - low < settings.shadow_tint)
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[rows[~shadow], columns[~shadow]] = 1
    mask_opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    closing = np.ones((settings.close_height, settings.close_width), np.uint8)
    return np.asarray(cv2.morphologyEx(mask_opened, cv2.MORPH_CLOSE, closing), np.uint8)


def _smooth(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (3, 3), 0), np.uint8)
