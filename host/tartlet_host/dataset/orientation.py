"""Turning boxes as EXIF says pictures are to be turned.

Orientations 1-8 are those of CIPA DC-008 (EXIF), tag 274: 1 upright, 2 mirrored, 3 by 180 degrees,
4 mirrored upside down, 5 transposed, 6 to be turned clockwise, 7 transposed the other way, 8 to be
turned anticlockwise.
"""

from __future__ import annotations

import numpy as np

from tartlet_shared.detections import FloatArray


def upright_boxes(boxes: FloatArray, stored: tuple[int, int], orientation: int) -> FloatArray:
    """Boxes drawn on the stored pixels, as they lie on the upright picture.

    Args:
        boxes: ``(n, 4)`` left, top, right, bottom in pixels.
        stored: width and height of the stored pixels.
        orientation: EXIF's, 1-8.

    Returns:
        ``(n, 4)`` of the same kind, on the upright picture.
    """
    x, y = boxes[:, 0::2], boxes[:, 1::2]
    if orientation in (2, 3, 7, 8):  # the stored x axis runs against the upright one
        x = stored[0] - x[:, ::-1]
    if orientation in (3, 4, 6, 7):
        y = stored[1] - y[:, ::-1]
    if orientation >= 5:
        x, y = y, x
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32)
