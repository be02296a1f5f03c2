"""Pictures that set the ranges of the activations, prepared exactly as the Pi prepares them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tartlet_device import preprocess
from tartlet_device.preprocess import Picture
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.files import write_atomically
from tartlet_host.quantize import description
from tartlet_host.recipe import Recipe
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing, Tensor

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Letterboxed pictures.

    Attributes:
        canvases: uint8 ``(n, height, width, 3)``, RGB. Kept as bytes: a quarter of the memory.
        preprocessing: what makes tensors of them.
    """

    canvases: Picture
    preprocessing: Preprocessing

    def tensors(self) -> Iterator[FloatArray]:
        """The input tensors, float32 ``(1, height, width, 3)``, one after the other."""
        height, width = self.preprocessing.height, self.preprocessing.width
        tensor = Tensor(name="picture", shape=(1, height, width, 3), dtype="float32")
        for canvas in self.canvases:
            yield preprocess.input_tensor(canvas, self.preprocessing, tensor)


def collect(
    dataset: Dataset,
    recipe: Recipe,
    *,
    pictures: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Prepare pictures spread evenly over the data set.

    Args:
        dataset: training pictures; never those of a test.
        recipe: gives the canvas and, by default, the number of pictures.
        pictures: how many at most.
        progress: called with pictures done and in all.

    Raises:
        DatasetNotFound: the data set is empty.
        PictureUnreadable: a picture is missing or damaged.
    """
    chosen = spread(dataset.samples, pictures or recipe.quantize.calibration_pictures)
    if not chosen:
        raise errors.DatasetNotFound(
            "there are no pictures to calibrate with", hint="name a data set with pictures"
        )
    canvas = description.preprocessing(recipe)
    canvases = np.empty((len(chosen), canvas.height, canvas.width, 3), np.uint8)
    for done, sample in enumerate(chosen):
        canvases[done], _ = preprocess.letterbox_picture(read_picture(sample), canvas)
        if progress is not None:
            progress(done + 1, len(chosen))
    return Calibration(canvases, canvas)


def spread(samples: tuple[Sample, ...], most: int) -> tuple[Sample, ...]:
    """At most ``most`` samples at even distances, the same ones every time, in order."""
    count = min(most, len(samples))
    # The middle of each of `count` equal parts: the first and last frames are not special.
    return tuple(samples[(2 * part + 1) * len(samples) // (2 * count)] for part in range(count))


def save(calibration: Calibration, path: Path) -> None:
    """Write the canvases for another process to read with `load`."""
    content = io.BytesIO()
    np.save(content, calibration.canvases, allow_pickle=False)
    write_atomically(path, content.getvalue())


def load(path: Path, recipe: Recipe) -> Calibration:
    """Read what `save` wrote.

    Raises:
        ConversionFailed: the file is damaged or was made for another canvas.
    """
    preprocessing = description.preprocessing(recipe)
    try:
        canvases = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise errors.ConversionFailed(
            f"the calibration pictures cannot be read: {error}", where=str(path)
        ) from error
    if canvases.dtype != np.uint8 or canvases.shape[1:] != (
        preprocessing.height,
        preprocessing.width,
        3,
    ):
        raise errors.ConversionFailed(
            f"calibration pictures are {canvases.dtype} {canvases.shape}, the recipe's canvas "
            f"is {preprocessing.height}x{preprocessing.width}",
            where=str(path),
        )
    return Calibration(canvases, preprocessing)
