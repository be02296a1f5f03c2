"""From a sample to its pixels."""

from __future__ import annotations

import cv2
import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_host.dataset.sample import Sample
from tartlet_shared.errors import PictureUnreadable


def read_picture(sample: Sample) -> Picture:
    """Decode a sample's file to RGB uint8 (height, width, 3)."""
    path = sample.picture
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise PictureUnreadable(
            f"cannot read the picture: {error.strerror}",
            where=str(path),
            hint="pictures lie beside the data set's file, or where its file_name says",
        ) from error
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if decoded is None:
        raise PictureUnreadable(
            "not a picture, or a damaged one",
            where=str(path),
            hint="copy it again, or take it out of the data set",
        )
    if decoded.shape[:2] != (sample.height, sample.width):
        raise PictureUnreadable(
            f"the picture is {decoded.shape[1]}x{decoded.shape[0]} pixels, "
            f"the data set says {sample.width}x{sample.height}",
            where=str(path),
            hint="boxes were drawn on another size: label it again or correct the data set",
        )
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
