"""From a data set to batches of normalised tensors."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tartlet_host.dataset import augment
from tartlet_host.dataset.augment import Picture, View
from tartlet_host.dataset.picture_cache import PictureStore
from tartlet_host.dataset.placed_boxes import PlacedBoxes
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.training_picture import Drawn, draw
from tartlet_host.dataset.training_plan import planner
from tartlet_host.model.assigner import Targets
from tartlet_host.recipe import InputRecipe, TrainRecipe
from tartlet_shared import letterbox
from tartlet_shared.errors import ConfigError

__all__ = ["Batch", "PictureStore", "normalise", "plain_batches", "training_batches"]

# What the pretrained backbone was trained with: (value - 127) / 128.
NORMALIZATION_MEAN = 127.0
NORMALIZATION_SCALE = 128.0


@dataclass(frozen=True)
class Batch:
    """One step's worth of pictures.

    Attributes:
        pictures: (B, 3, H, W) float32, normalised, channels last in memory.
        targets: their boxes on the canvas.
    """

    pictures: torch.Tensor
    targets: Targets


def training_batches(
    dataset: Dataset,
    canvas: InputRecipe,
    run: TrainRecipe,
    *,
    first_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Generator[Batch, None, None]:
    """The batches of steps ``first_step`` to ``run.steps - 1``; every picture comes up once
    (``run.sampling``: in proportion) before any comes up again.

    Batch k is a function of (dataset, canvas, run, k, rank, world_size) alone. Processes that
    train together split each step's pictures: together, and in the order of their ranks, they see
    what one process alone would see.

    Args:
        rank, world_size: this process among those that train together; each gets
            ``run.batch_size / world_size`` pictures a step.

    Raises:
        DatasetNotFound: the data set is empty.
        ConfigError: the batch cannot be split evenly.
        PictureUnreadable: see `read_picture`.
    """
    if run.batch_size % world_size:
        raise ConfigError(
            f"{run.batch_size} pictures a step cannot be split among {world_size} processes",
            where="recipe: train.batch_size",
            hint=f"make it a multiple of {world_size}",
        )
    share = run.batch_size // world_size
    slots = range(rank * share, (rank + 1) * share)
    store = PictureStore(canvas, run.cache_megabytes * 2**20)
    plan = planner(dataset, run)
    for step in range(first_step, run.steps):
        plans = [plan(step, slot) for slot in slots]
        yield make_batch([draw(each, store.get, canvas, run.augment) for each in plans])


def plain_batches(
    dataset: Dataset, store: PictureStore, canvas: InputRecipe, batch_size: int
) -> Iterator[Batch]:
    """All pictures once, in order, letterboxed and nothing else; the last batch may be smaller."""
    for start in range(0, len(dataset.samples), batch_size):
        samples = dataset.samples[start : start + batch_size]
        yield make_batch([plain(sample, store, canvas) for sample in samples])


def plain(sample: Sample, store: PictureStore, canvas: InputRecipe) -> Drawn:
    """A picture letterboxed and nothing else."""
    placed = letterbox.fit(sample.width, sample.height, canvas.width, canvas.height)
    picture = augment.render(store.get(sample), placed, View())
    return picture, augment.move_boxes(sample, placed, View())


def make_batch(drawn: list[Drawn]) -> Batch:
    """One batch of drawn pictures."""
    pictures = np.stack([picture for picture, _ in drawn])
    return Batch(normalise(pictures), pad_targets([boxes for _, boxes in drawn]))


def normalise(pictures: Picture) -> torch.Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) float32 in about -1..1, channels last in memory."""
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(torch.float32)
    return tensor.sub_(NORMALIZATION_MEAN).div_(NORMALIZATION_SCALE)


def pad_targets(boxes: list[PlacedBoxes]) -> Targets:
    """Boxes of several pictures, padded to the longest list."""
    most = max(1, *(len(part) for part in boxes))
    padded = np.zeros((len(boxes), most, 4), np.float32)
    class_ids = np.zeros((len(boxes), most), np.int64)
    present = np.zeros((len(boxes), most), np.bool_)
    ignore = np.zeros((len(boxes), most), np.bool_)
    for row, part in enumerate(boxes):
        padded[row, : len(part)] = part.xyxy
        class_ids[row, : len(part)] = part.class_ids
        present[row, : len(part)] = ~part.ignore
        ignore[row, : len(part)] = part.ignore
    return Targets(
        torch.from_numpy(padded),
        torch.from_numpy(class_ids),
        torch.from_numpy(present),
        torch.from_numpy(ignore),
    )
