"""From a data set to batches of normalised tensors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tartlet_host.dataset.ahead import run_ahead
from tartlet_host.dataset.augment import Picture
from tartlet_host.dataset.picture_cache import PictureStore
from tartlet_host.dataset.placed_boxes import PlacedBoxes
from tartlet_host.dataset.sample import Dataset
from tartlet_host.dataset.training_picture import draw_plain
from tartlet_host.dataset.training_plan import planner
from tartlet_host.dataset.workers import DrawnStep, draw_here, draw_in_processes, drawing
from tartlet_host.model.assigner import Targets
from tartlet_host.recipe import InputRecipe, TrainRecipe
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

    Batch k is a function of (dataset, canvas, run, k, rank, world_size) alone, and not of
    ``run.workers``, the caches or ``first_step``. Batches are drawn ahead of the training, in a
    thread or in ``run.workers`` processes, which end when the generator is closed. Processes that
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
    steps = range(first_step, run.steps)
    plan = planner(dataset, run)
    settings = drawing(canvas, run)

    def make(left: threading.Event) -> Iterator[DrawnStep]:
        if run.workers:
            return draw_in_processes(settings, plan, steps, slots, left)
        return draw_here(settings, plan, steps, slots)

    with contextlib.closing(run_ahead(make)) as drawn:
        for step in drawn:
            # Here and not ahead: pictures wait as bytes, a quarter of the memory.
            yield Batch(normalise(step.canvases), pad_targets(step.boxes))


def plain_batches(
    dataset: Dataset, store: PictureStore, canvas: InputRecipe, batch_size: int
) -> Iterator[Batch]:
    """All pictures once, in order, letterboxed and nothing else; the last batch may be smaller."""
    for start in range(0, len(dataset.samples), batch_size):
        samples = dataset.samples[start : start + batch_size]
        drawn = [draw_plain(sample, store.get(sample), canvas) for sample in samples]
        pictures = np.stack([picture for picture, _ in drawn])
        yield Batch(normalise(pictures), pad_targets([boxes for _, boxes in drawn]))


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
