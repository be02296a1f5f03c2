"""From a data set to batches of normalised tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tartlet_host.dataset import augment, copy_paste
from tartlet_host.dataset.augment import Picture, View
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.model.assigner import Targets
from tartlet_host.recipe import AugmentRecipe, InputRecipe
from tartlet_shared import letterbox
from tartlet_shared.errors import DatasetNotFound

# What the pretrained backbone was trained with: (value - 127) / 128.
NORMALIZATION_MEAN = 127.0
NORMALIZATION_SCALE = 128.0
# Pictures are kept at up to this many times the size they have on the canvas: enough for the
# zooms of augmentation, and a phone's twelve megapixels do not fill the memory.
KEPT_SCALE = 2.0


@dataclass(frozen=True)
class Batch:
    """One step's worth of pictures.

    Attributes:
        pictures: (B, 3, H, W) float32, normalised, channels last in memory.
        targets: their boxes on the canvas.
    """

    pictures: torch.Tensor
    targets: Targets


class PictureStore:
    """Decoded pictures, kept in memory up to a limit and read again beyond it."""

    def __init__(self, canvas: InputRecipe, limit_bytes: int) -> None:
        self._canvas = canvas
        self._free = limit_bytes
        self._kept: dict[Path, Picture] = {}

    def get(self, sample: Sample) -> Picture:
        """The sample's picture, RGB, scaled down where it is larger than any view needs.

        Raises:
            PictureUnreadable: missing, damaged, or of another size than the data set says.
        """
        kept = self._kept.get(sample.picture)
        if kept is not None:
            return kept
        picture = _shrink(read_picture(sample), self._canvas)
        if picture.nbytes <= self._free:
            self._free -= picture.nbytes
            self._kept[sample.picture] = picture
        return picture


def training_batches(
    dataset: Dataset,
    store: PictureStore,
    canvas: InputRecipe,
    recipe: AugmentRecipe,
    *,
    batch_size: int,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """`steps` random batches; every picture comes up once before any comes up again.

    Raises:
        DatasetNotFound: the data set is empty.
        PictureUnreadable: see `read_picture`.
    """
    order = _endless_order(len(dataset.samples), rng)
    donors = copy_paste.find_donors(dataset) if recipe.paste else ()
    for _ in range(steps):
        samples = [dataset.samples[next(order)] for _ in range(batch_size)]
        views = [augment.draw_view(rng, recipe) for _ in samples]
        pasted = [
            copy_paste.paste(sample, donors, store.get, int(rng.integers(recipe.paste + 1)), rng)
            for sample in samples
        ]
        yield make_batch(pasted, views, canvas)


def plain_batches(
    dataset: Dataset, store: PictureStore, canvas: InputRecipe, batch_size: int
) -> Iterator[Batch]:
    """All pictures once, in order, letterboxed and nothing else; the last batch may be smaller."""
    for start in range(0, len(dataset.samples), batch_size):
        samples = list(dataset.samples[start : start + batch_size])
        pictures = [(sample, store.get(sample)) for sample in samples]
        yield make_batch(pictures, [View()] * len(samples), canvas)


def make_batch(
    samples: list[tuple[Sample, Picture]], views: list[View], canvas: InputRecipe
) -> Batch:
    """One batch, each sample and its picture through its view."""
    pictures, boxes = [], []
    for (sample, picture), view in zip(samples, views, strict=True):
        fitted = letterbox.fit(sample.width, sample.height, canvas.width, canvas.height)
        placed = augment.place(fitted, view)
        pictures.append(augment.render(picture, placed, view))
        moved, ignore, in_view = augment.move_boxes(sample.boxes, sample.ignore, placed, view)
        boxes.append((moved[in_view], sample.class_ids[in_view], ignore[in_view]))
    return Batch(normalise(np.stack(pictures)), _pad_targets(boxes))


def normalise(pictures: Picture) -> torch.Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32 in about -1..1, channels last in memory."""
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(torch.float32)
    return (tensor - NORMALIZATION_MEAN) / NORMALIZATION_SCALE


def _shrink(picture: Picture, canvas: InputRecipe) -> Picture:
    height, width = picture.shape[:2]
    fitted = letterbox.fit(width, height, canvas.width, canvas.height)
    scale = KEPT_SCALE * fitted.width / width
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _endless_order(count: int, rng: np.random.Generator) -> Iterator[int]:
    if count == 0:
        raise DatasetNotFound("the data set has no pictures", hint="tartlet label makes one")
    while True:
        yield from rng.permutation(count).tolist()


def _pad_targets(
    boxes: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]],
) -> Targets:
    most = max(1, max(len(part[0]) for part in boxes))
    padded = np.zeros((len(boxes), most, 4), np.float32)
    class_ids = np.zeros((len(boxes), most), np.int64)
    present = np.zeros((len(boxes), most), np.bool_)
    ignore = np.zeros((len(boxes), most), np.bool_)
    for row, (xyxy, ids, ignored) in enumerate(boxes):
        padded[row, : len(xyxy)] = xyxy
        class_ids[row, : len(xyxy)] = ids
        present[row, : len(xyxy)] = ~ignored
        ignore[row, : len(xyxy)] = ignored
    return Targets(
        torch.from_numpy(padded),
        torch.from_numpy(class_ids),
        torch.from_numpy(present),
        torch.from_numpy(ignore),
    )
