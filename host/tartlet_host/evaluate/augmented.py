"""Test-time augmentation: look at a picture in several ways and put together what was seen.

It says how much accuracy a model of the same size could still gain; a device would pay for it with
several times the latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tartlet_device.preprocess import Picture
from tartlet_host.evaluate import fusion
from tartlet_host.evaluate.predictor import Predictor
from tartlet_shared.detections import Detections

PAD_VALUE = 114
CUT = 0.01
"""Of a tile's side: a box that ends so close to an inner edge is cut off, and left out."""

Merge = Literal["fusion", "nms"]


@dataclass(frozen=True)
class View:
    """One way to look at a picture.

    Attributes:
        flip: left and right exchanged.
        scale: size against the plain view. Below 1 the picture gets a border; above 1 it is looked
            at in four overlapping tiles, because a model's canvas has a fixed size.
    """

    flip: bool = False
    scale: float = 1.0


VIEWS = (View(), View(flip=True), View(scale=0.8), View(scale=1.3))


@dataclass(frozen=True, eq=False)
class AugmentedPredictor:
    """A predictor that looks several times; itself a `Predictor`.

    Attributes:
        predictor: looks once.
        views: how to look.
        merge: weighted boxes fusion, or non-maximum suppression.
    """

    predictor: Predictor
    views: Sequence[View] = VIEWS
    merge: Merge = "fusion"

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names."""
        return self.predictor.labels

    @property
    def score_threshold(self) -> float:
        """The model's own; fused scores are somewhat lower than plain ones."""
        return self.predictor.score_threshold

    @property
    def looks(self) -> int:
        """How often the model runs for one picture."""
        return sum(4 if view.scale > 1 else 1 for view in self.views)

    def predict(self, rgb: Picture) -> Detections:
        """See `Predictor`."""
        found = [_look(self.predictor.predict, rgb, view) for view in self.views]
        return fusion.fuse(found) if self.merge == "fusion" else fusion.suppress(found)


def _look(predict: Callable[[Picture], Detections], rgb: Picture, view: View) -> Detections:
    """What a view shows, in pixels of the picture."""
    height, width = rgb.shape[:2]
    picture = np.ascontiguousarray(rgb[:, ::-1]) if view.flip else rgb
    if view.scale > 1:
        tiles = [
            _moved(_whole(predict(tile), tile, (left, top), (width, height)), left, top)
            for tile, left, top in _tiles(picture, view.scale)
        ]
        found = fusion.suppress(tiles)
    elif view.scale < 1:
        bordered, left, top = _bordered(picture, view.scale)
        found = _moved(predict(bordered), -left, -top)
    else:
        found = predict(picture)
    xyxy = found.xyxy.copy()
    if view.flip:
        xyxy[:, [0, 2]] = width - xyxy[:, [2, 0]]
    xyxy = np.clip(xyxy, 0, np.array([width, height, width, height], np.float32))
    solid = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    return Detections(xyxy[solid], found.score[solid], found.class_id[solid])


def _bordered(picture: Picture, scale: float) -> tuple[Picture, int, int]:
    height, width = picture.shape[:2]
    size = (round(height / scale), round(width / scale), 3)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    bordered = np.full(size, PAD_VALUE, np.uint8)
    bordered[top : top + height, left : left + width] = picture
    return bordered, left, top


def _tiles(picture: Picture, scale: float) -> Iterator[tuple[Picture, int, int]]:
    """Four tiles, one in each corner, with the place of each."""
    height, width = picture.shape[:2]
    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    for top in (0, height - rows):
        for left in (0, width - columns):
            yield (
                np.ascontiguousarray(picture[top : top + rows, left : left + columns]),
                left,
                top,
            )


def _whole(
    found: Detections, tile: Picture, corner: tuple[int, int], size: tuple[int, int]
) -> Detections:
    """Without boxes that end at an edge of the tile that is no edge of the picture."""
    rows, columns = tile.shape[:2]
    (left, top), (width, height) = corner, size
    margin_x, margin_y = CUT * columns, CUT * rows
    cut = np.zeros(len(found), np.bool_)
    if left > 0:
        cut |= found.xyxy[:, 0] < margin_x
    if top > 0:
        cut |= found.xyxy[:, 1] < margin_y
    if left + columns < width:
        cut |= found.xyxy[:, 2] > columns - margin_x
    if top + rows < height:
        cut |= found.xyxy[:, 3] > rows - margin_y
    return found[~cut]


def _moved(found: Detections, right: int, down: int) -> Detections:
    shift = np.array([right, down, right, down], np.float32)
    return Detections(found.xyxy + shift, found.score, found.class_id)
