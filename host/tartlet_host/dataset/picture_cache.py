"""Decoded pictures, kept so that they need not be decoded again."""

from __future__ import annotations

import numpy as np

from tartlet_device.image import Picture, resize
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import PicturePlace, Sample
from tartlet_host.recipe import InputRecipe
from tartlet_shared import letterbox

# Pictures are kept at up to this many times the size they have on the canvas: enough for the
# zooms of augmentation, and a phone's twelve megapixels do not fill the memory.
KEPT_SCALE = 2.0


class PictureStore:
    """Decoded pictures, kept in memory up to a limit and read again beyond it."""

    def __init__(self, canvas: InputRecipe, limit_bytes: int) -> None:
        self._canvas = canvas
        self._free = limit_bytes
        self._kept: dict[PicturePlace, Picture] = {}

    def get(self, sample: Sample) -> Picture:
        """The sample's picture, RGB, scaled down where it is larger than any view needs.

        Raises:
            PictureUnreadable: missing, damaged, or of another size than the data set says.
        """
        kept = self._kept.get(sample.picture)
        if kept is not None:
            return kept
        picture = shrink(read_picture(sample), self._canvas)
        if picture.nbytes <= self._free:
            self._free -= picture.nbytes
            self._kept[sample.picture] = picture
        return picture


def shrink(picture: Picture, canvas: InputRecipe) -> Picture:
    """The picture at no more than `KEPT_SCALE` times its size on the canvas."""
    height, width = picture.shape[:2]
    fitted = letterbox.fit(width, height, canvas.width, canvas.height)
    scale = KEPT_SCALE * fitted.width / width
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(resize(picture, size), np.uint8)
