"""Pictures as cameras give them: RGB or planes of YUV, in one or two sizes.

A camera's picture is mostly wanted small, for a model. So its planes are scaled as they are, and
only the small picture becomes RGB; the large one does only if somebody wants to see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""RGB, shape ``(rows, columns, 3)``."""
Size = tuple[int, int]
"""Width and height, pixels."""
Layout = Literal["YUV420", "NV12"]

# BT.601 (SMPTE 170M) with luma 16-235 and chroma 16-240, from Y, U, V to R, G, B: the same that
# OpenCV's conversions of planar pictures assume, and that the camera is asked for.
_RED_V, _GREEN_U, _GREEN_V, _BLUE_U = 1.596027, -0.391762, -0.812968, 2.017232
_LUMA = 255 / 219
_TO_RGB = np.array(
    [
        [_LUMA, 0.0, _RED_V, -16 * _LUMA - 128 * _RED_V],
        [_LUMA, _GREEN_U, _GREEN_V, -16 * _LUMA - 128 * (_GREEN_U + _GREEN_V)],
        [_LUMA, _BLUE_U, 0.0, -16 * _LUMA - 128 * _BLUE_U],
    ],
    np.float32,
)


def resize(plane: Picture, size: Size) -> Picture:
    """Scale, to the same bytes on every processor.

    Shrinking averages, so that small things do not fall between samples: over whole pixels, after
    interpolating in integers to a multiple of the size. Averaging over parts of pixels is in float,
    which x86 and ARM round differently.
    """
    rows, columns = plane.shape[:2]
    factor = max(1, min(columns // size[0], rows // size[1]))
    for each, interpolation in (
        ((size[0] * factor, size[1] * factor), cv2.INTER_LINEAR_EXACT),
        (size, cv2.INTER_AREA),
    ):
        if plane.shape[1::-1] != each:
            plane = np.asarray(cv2.resize(plane, each, interpolation=interpolation), np.uint8)
    return plane


@dataclass(frozen=True, eq=False)
class RgbPixels:
    """RGB, read-only from now on: several callers may hold it.

    Attributes:
        pixels: uint8 ``(rows, columns, 3)``.
    """

    pixels: Picture

    def __post_init__(self) -> None:
        self.pixels.setflags(write=False)

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return self.pixels.nbytes

    def rgb(self) -> Picture:
        """The picture, uint8 ``(rows, columns, 3)``."""
        return self.pixels

    def scaled(self, size: Size) -> Picture:
        """The picture in another size, RGB."""
        return resize(self.pixels, size)


@dataclass(frozen=True, eq=False)
class YuvPixels:
    """Planes of YUV with halved colour (4:2:0) and no padding, read-only from now on.

    Attributes:
        planes: uint8 ``(rows * 3 / 2, columns)``, rows and columns even: the luma; below it the
            chroma, as U and then V ("YUV420"), or interleaved ("NV12").
        layout: which of the two.
    """

    planes: Picture
    layout: Layout

    def __post_init__(self) -> None:
        self.planes.setflags(write=False)

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.planes.shape[1], self.planes.shape[0] * 2 // 3

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return self.planes.nbytes

    def rgb(self) -> Picture:
        """The picture as RGB, uint8 ``(rows, columns, 3)``."""
        # Not COLOR_YUV420p2RGB: that one takes U for V, and red becomes blue.
        code = cv2.COLOR_YUV2RGB_I420 if self.layout == "YUV420" else cv2.COLOR_YUV2RGB_NV12
        return np.asarray(cv2.cvtColor(self.planes, code), np.uint8)

    def scaled(self, size: Size) -> Picture:
        """The picture in another size, RGB: the planes are scaled, then become RGB."""
        width, height = self.size
        luma = self.planes[:height]
        chroma = self.planes.reshape(-1)[width * height :]
        halves: list[Picture]
        if self.layout == "YUV420":
            halves = list(chroma.reshape(2, height // 2, width // 2))
        else:
            halves = [chroma.reshape(height // 2, width // 2, 2)]
        parts = [luma if size == self.size else resize(luma, size)]
        parts += [resize(half, size) for half in halves]
        return np.asarray(cv2.transform(cv2.merge(parts), _TO_RGB), np.uint8)


@dataclass(frozen=True, eq=False)
class Image:
    """One picture, in full, small, or both.

    Attributes:
        size: width and height that boxes refer to, and that `rgb` has.
        full: as large as there is one; None if only the small one was wanted.
        small: for a model; None if the camera gives one size only. It shows the same as ``full``.
    """

    size: Size
    full: RgbPixels | YuvPixels | None
    small: YuvPixels | None = None

    @classmethod
    def of(cls, rgb: Picture) -> Image:
        """A picture that is there as RGB."""
        pixels = RgbPixels(rgb)
        return cls(pixels.size, pixels)

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return sum(each.nbytes for each in (self.full, self.small) if each is not None)

    def rgb(self) -> Picture:
        """The picture in its size, uint8 ``(rows, columns, 3)``."""
        source = self._largest()
        return source.rgb() if source.size == self.size else source.scaled(self.size)

    def photo(self) -> Picture:
        """The picture as large as there is one, uint8 ``(rows, columns, 3)``."""
        return self._largest().rgb()

    def scaled(self, size: Size) -> Picture:
        """The picture in another size, RGB, from the smallest that has enough pixels."""
        small = self.small
        if small is not None and small.size[0] >= size[0] and small.size[1] >= size[1]:
            return small.scaled(size)
        return self._largest().scaled(size)

    def _largest(self) -> RgbPixels | YuvPixels:
        source = self.full or self.small
        if source is None:
            raise ValueError("a picture without pixels")
        return source
