"""How tall a person looks, by where the feet stand: a line fitted to the scene.

On flat ground seen by a level pinhole camera the height of standing people in pixels grows
linearly with the row of their feet below the horizon (Hoiem et al. 2008, "Putting Objects in
Perspective").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tartlet_shared.detections import FloatArray

LEAST_BLOBS = 20
_TRIALS = 400


@dataclass(frozen=True)
class Perspective:
    """Expected size of a person whose feet are at row ``y``.

    Attributes:
        slope, offset: ``height = slope * y + offset``, pixels.
        aspect: usual width over height.
        inliers: part of the blobs that lie on the line.
    """

    slope: float
    offset: float
    aspect: float
    inliers: float

    def height(self, feet: FloatArray) -> FloatArray:
        """Expected heights, pixels, at least 1, for rows of feet ``(n,)``."""
        height: FloatArray = np.maximum(self.slope * feet + self.offset, 1.0).astype(np.float32)
        return height


def fit_perspective(boxes: FloatArray, *, tolerance: float = 0.15) -> Perspective | None:
    """Fit the line by RANSAC (Fischler and Bolles 1981), then least squares on its inliers.

    Args:
        boxes: ``(n, 4)``, blobs shaped like a single person; up to half may be something else.
        tolerance: a blob is on the line within this part of the expected height.

    Returns:
        None where the blobs are too few or show no line: the scene is then not judged by size.
    """
    if len(boxes) < LEAST_BLOBS:
        return None
    feet, height = boxes[:, 3].astype(np.float64), (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    random = np.random.default_rng(0)
    best = np.zeros(len(boxes), np.bool_)
    for _ in range(_TRIALS):
        first, second = random.choice(len(boxes), 2, replace=False)
        if abs(feet[first] - feet[second]) < 5:
            continue
        slope = (height[first] - height[second]) / (feet[first] - feet[second])
        if not 0 <= slope < 3:
            continue
        expected = slope * (feet - feet[first]) + height[first]
        near = np.abs(height - expected) < tolerance * np.maximum(expected, 1)
        if near.sum() > best.sum():
            best = near
    if best.mean() < 0.4:
        return None
    slope, offset = np.polyfit(feet[best], height[best], 1)
    aspect = np.median((boxes[best, 2] - boxes[best, 0]) / height[best])
    return Perspective(float(slope), float(offset), float(aspect), float(best.mean()))
