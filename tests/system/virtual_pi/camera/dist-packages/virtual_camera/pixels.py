"""From NV12, as the virtual camera gives it, to what an application asked for.

The pictures are JPEGs, so their NV12 has the JPEG's full range; a Pi's camera, asked for video
colours, gives the limited range (luma 16-235, chroma 16-240).
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtual_camera.streams import BYTES_PER_PIXEL, Wanted

Bytes = NDArray[np.uint8]

_VALUES = np.arange(256)
_LIMITED_LUMA = np.round(16 + _VALUES * 219 / 255).astype(np.uint8)
_LIMITED_CHROMA = np.clip(np.round(128 + (_VALUES - 128) * 224 / 255), 0, 255).astype(np.uint8)
_KEPT = 32
_converted: collections.OrderedDict[tuple[Wanted, bytes], Bytes] = collections.OrderedDict()


def convert(given: Bytes, size: tuple[int, int], wanted: Wanted) -> Bytes:
    """All bytes of a frame as the application asked for it; rows are padded with zeros.

    Args:
        given: NV12 without padding.
        size: its width and height.
        wanted: format and size to make.
    """
    # The scene is a few pictures, shown again and again; some of its bytes tell them apart.
    key = (wanted, given[::4001].tobytes())
    if key not in _converted:
        _converted[key] = _convert(given, size, wanted)
        if len(_converted) > _KEPT:
            _converted.popitem(last=False)
    # A copy of its own: on a Pi, applications may draw on a frame.
    return _converted[key].copy()


def _convert(given: Bytes, size: tuple[int, int], wanted: Wanted) -> Bytes:
    width, height = size
    luma = given[: width * height].reshape(height, width)
    chroma = given[width * height :].reshape(height // 2, width // 2, 2)
    if BYTES_PER_PIXEL[wanted.format] == 1:
        return _planar(luma, chroma, wanted)
    return _packed(luma, chroma, wanted)


def _planar(luma: Bytes, chroma: Bytes, wanted: Wanted) -> Bytes:
    out = np.zeros(wanted.frame_size, np.uint8)
    rows, columns, stride = wanted.height, wanted.width, wanted.stride
    out[: rows * stride].reshape(rows, stride)[:, :columns] = _LIMITED_LUMA[
        _scaled(luma, columns, rows)
    ]
    rest = out[rows * stride :]
    small = _LIMITED_CHROMA[_scaled(chroma, columns // 2, rows // 2)]
    if wanted.format == "NV12":
        rest.reshape(rows // 2, stride)[:, :columns] = small.reshape(rows // 2, columns)
    else:
        planes = rest.reshape(2, rows // 2, stride // 2)
        planes[:, :, : columns // 2] = small.transpose(2, 0, 1)
    return out


def _packed(luma: Bytes, chroma: Bytes, wanted: Wanted) -> Bytes:
    import cv2  # not every Python of the system has it

    rows, columns = wanted.height, wanted.width
    y, uv = _scaled(luma, columns, rows), _scaled(chroma, columns, rows)
    # The names are those of a register read from its end: "RGB888" is B, G, R in memory.
    blue_first = wanted.format in ("RGB888", "XRGB8888")
    code = cv2.COLOR_YCrCb2BGR if blue_first else cv2.COLOR_YCrCb2RGB
    coloured = cv2.cvtColor(cv2.merge((y, uv[..., 1], uv[..., 0])), code)
    if BYTES_PER_PIXEL[wanted.format] == 4:
        coloured = cv2.cvtColor(coloured, cv2.COLOR_BGR2BGRA)
    out = np.zeros((rows, wanted.stride), np.uint8)
    out[:, : columns * BYTES_PER_PIXEL[wanted.format]] = coloured.reshape(rows, -1)
    return out.reshape(-1)


def _scaled(plane: Bytes, width: int, height: int) -> Any:
    import cv2

    if plane.shape[:2] == (height, width):
        return plane
    shrinks = width < plane.shape[1] or height < plane.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(plane, (width, height), interpolation=interpolation)
