"""A run's curves and pictures for TensorBoard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tartlet_host import annotate
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.validation import detections
from tartlet_host.model.detector import Detector
from tartlet_host.model.loss import Loss
from tartlet_host.quantize.description import DEFAULT_SCORE_THRESHOLD
from tartlet_host.recipe import Recipe
from tartlet_shared.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PICTURES = 4


class TrainingLog:
    """Writes what `tensorboard --logdir` shows."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def step(self, step: int, loss: Loss, rate: float) -> None:
        """The terms of one step's loss and its learning rate."""
        self._add("loss/total", float(loss.total), step)
        self._add("loss/score", loss.score, step)
        self._add("loss/box", loss.box, step)
        if loss.imitation:
            self._add("loss/imitation", loss.imitation, step)
        self._add("learning rate", rate, step)

    def look(
        self, step: int, map50: float, network: Detector, recipe: Recipe, validation: Dataset
    ) -> None:
        """The accuracy on the validation set, and a few of its pictures with what is found."""
        self._add("validation/mAP50", map50, step)
        count = len(validation.samples)
        chosen = np.unique(np.linspace(0, count - 1, min(PICTURES, count)).astype(np.int64))
        few = Dataset(validation.labels, tuple(validation.samples[place] for place in chosen))
        for number, (sample, found) in enumerate(
            zip(few.samples, detections(network, recipe, few), strict=True)
        ):
            shown = found[found.score >= DEFAULT_SCORE_THRESHOLD]
            drawn = annotate.draw(read_picture(sample), shown, recipe.labels)
            self._writer.add_image(f"validation/{number}", drawn, step, dataformats="HWC")
        self._writer.flush()

    def _add(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)


@contextlib.contextmanager
def logging_to(folder: Path, step: int) -> Iterator[TrainingLog]:
    """A log in `folder`; of an earlier sitting only the first `step` steps stay.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    try:
        # Late: it takes a second that only this option should pay.
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "TensorBoard is not installed",
            where=str(folder),
            hint="pip install tensorboard, or train without --log",
        ) from error
    writer = SummaryWriter(str(folder), purge_step=step + 1)
    try:
        yield TrainingLog(writer)
    finally:
        writer.close()
