"""What the virtual camera sees, and whether the tiny model found it."""

from __future__ import annotations

from typing import Any

from tartlet_device.preprocess import Picture
from tests.tiny_model import bright_picture

SPOTS = ((320, 200, 480, 360), (960, 520, 1120, 680))
"""Left, top, right, bottom, pixels; each covers one cell of the tiny model."""


def picture() -> Picture:
    """Two bright spots in the dark: RGB, 1280x720."""
    return bright_picture(*SPOTS, width=1280, height=720)


def found(detections: list[dict[str, Any]]) -> bool:
    """Whether these are the two spots, and nothing else."""
    centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in (d["box"] for d in detections)]
    return len(centres) == len(SPOTS) and all(
        any(left < x < right and top < y < bottom for x, y in centres)
        for left, top, right, bottom in SPOTS
    )
