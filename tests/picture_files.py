"""Picture files of every kind, made on the spot."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112  # EXIF's tag


def corners(width: int = 40, height: int = 24) -> NDArray[np.uint8]:
    """An RGB picture of four colours: red, green / blue, grey; no two orientations look alike."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 220, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    return picture


def encoded(picture: Image.Image, kind: str, orientation: int = 1) -> bytes:
    """A picture as a file of that kind, with EXIF data unless it stands upright."""
    stream = io.BytesIO()
    options: dict[str, object] = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    if orientation != 1:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    picture.save(stream, kind, **options)
    return stream.getvalue()


def write_picture(path: Path, width: int = 40, height: int = 24, orientation: int = 1) -> Path:
    """A JPEG, PNG or WebP file, by its suffix, whose stored pixels have that size."""
    kinds = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(corners(width, height))
    path.write_bytes(encoded(picture, kinds[path.suffix.lower()], orientation))
    return path
