"""HTML pages that stand alone: one file, no script, font or picture from elsewhere.

A page is a template in ``templates/`` that extends ``base.html``, which has the colours (for light
and dark), the type and the cards; ``parts.html`` has what several pages draw.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import jinja2
import numpy as np

from tartlet_device.pictures import encode_jpeg
from tartlet_device.preprocess import Picture

JPEG_QUALITY = 82
LONGEST_SIDE = 960  # pixels; more than a page shows


@dataclass(frozen=True)
class Box:
    """A rectangle on a picture, in the picture's pixels; `kind` is a class of the page's style."""

    corners: tuple[float, float, float, float]
    kind: str
    words: str
    colour: str


def render(template: str, **values: object) -> str:
    """A page as HTML.

    Args:
        template: a file name in ``templates/``.
        values: what the template shows; text is escaped, a value that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tartlet_host"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(picture=picture_uri, size=_size, percent=_percent)
    page: str = environment.get_template(template).render(values)
    return page


def picture_uri(rgb: Picture, longest_side: int = LONGEST_SIDE, quality: int = JPEG_QUALITY) -> str:
    """A picture as JPEG inside a ``data:`` address, scaled down if it is large.

    Args:
        rgb: uint8, ``(height, width, 3)``.
        longest_side: at most so many pixels.
        quality: of the JPEG, 0 to 100.
    """
    jpeg = encode_jpeg(shrink(rgb, longest_side), quality)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def shrink(rgb: Picture, longest_side: int) -> Picture:
    """The picture with its longer side no longer than that, its shape kept."""
    scale = longest_side / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _percent(part: float) -> str:
    return f"{part:.0%}"
