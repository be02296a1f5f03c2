"""Any data set, whatever its format: `read_dataset` looks and calls the reader that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_shared import errors

Problem = Callable[[errors.DatasetError], None]
"""Called with what is wrong in a data set; returning means: leave that out and go on."""


def fail(error: errors.DatasetError) -> None:
    """The usual answer to a problem: stop."""
    raise error


def read_dataset(
    path: Path,
    *,
    labels: tuple[str, ...] | None = None,
    unlabelled: bool = False,
    problem: Problem = fail,
) -> Dataset:
    """Read a data set; see docs/data.md for the formats.

    Args:
        path: a COCO file or a folder with a ``labels.json``.
        labels: the classes wanted, in their order; without them the data set's own.
        unlabelled: whether pictures without any labels (a folder, a video) are welcome.
        problem: called with each thing that is wrong; by default the first one ends the reading.

    Raises:
        DatasetError: it cannot be read.
    """
    return coco.read(coco.find(path))
