"""The accuracy of a network in memory, for steps that change it and want to know what they did.

Pictures go through the letterbox and the decoding that the device runs, several at a time, so the
figure is the one that `tartlet evaluate` gives for the same weights in a file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import torch
from torch import nn

from tartlet_device import preprocess
from tartlet_device.preprocess import Picture
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.predictor import EVALUATION_THRESHOLD
from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.quantize import description
from tartlet_host.recipe import InputRecipe, Recipe
from tartlet_shared import decode
from tartlet_shared.detections import Detections
from tartlet_shared.letterbox import Letterbox
from tartlet_shared.manifest import Preprocessing, Tensor

BATCH_SIZE = 8


def map50_of_network(
    network: Detector,
    recipe: Recipe,
    dataset: Dataset,
    *,
    canvas: InputRecipe | None = None,
    batch_size: int = BATCH_SIZE,
) -> float:
    """Mean average precision at IoU 0.5, in ``[0, 1]``, of a network that need not be saved.

    The network is left as it was found: in training mode, frozen, on its device.

    Args:
        network: with the recipe's labels.
        recipe: gives labels and canvas.
        dataset: the truth.
        canvas: instead of the recipe's, for a network that was pruned for another one.
        batch_size: pictures at a time.

    Raises:
        DatasetError: the data set has no box.
        UnknownClass: it has a class that the recipe does not know.
        PictureUnreadable: a picture is missing or damaged.
    """
    if canvas is not None:
        recipe = msgspec.structs.replace(recipe, input=canvas)
    aligned = precision.align(dataset, recipe.labels)
    found = list(detections(network, recipe, aligned, batch_size=batch_size))
    return precision.measure(aligned, found).map50


def detections(
    network: Detector, recipe: Recipe, dataset: Dataset, *, batch_size: int = BATCH_SIZE
) -> Iterator[Detections]:
    """What a network finds in every picture, in order, down to `EVALUATION_THRESHOLD`.

    Raises:
        PictureUnreadable: a picture is missing or damaged.
    """
    prepared = description.preprocessing(recipe)
    described = Tensor(
        name="picture", shape=(1, prepared.height, prepared.width, 3), dtype="float32"
    )
    wrapped = ExportWrapper(network)
    device = next(network.parameters()).device
    samples = dataset.samples
    parts = [samples[at : at + batch_size] for at in range(0, len(samples), batch_size)]
    # The next pictures are read while the network works on these.
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(_canvases, parts[0], prepared) if parts else None
        for place in range(len(parts)):
            assert waiting is not None
            canvases, boxes = waiting.result()
            if place + 1 < len(parts):
                waiting = reader.submit(_canvases, parts[place + 1], prepared)
            inputs = [preprocess.input_tensor(each, prepared, described) for each in canvases]
            with _evaluating(network), torch.inference_mode():
                outputs = [
                    output.cpu().numpy()
                    for output in wrapped(torch.from_numpy(np.concatenate(inputs)).to(device))
                ]
            tensors = tuple(
                Tensor(name=f"output_{number}", shape=(1, *output.shape[1:]), dtype="float32")
                for number, output in enumerate(outputs)
            )
            decoding = description.decoding_of(prepared, tensors, recipe.labels, where=recipe.name)
            for row, box in enumerate(boxes):
                yield decode.decode(
                    [output[row : row + 1] for output in outputs],
                    tensors,
                    decoding,
                    box,
                    score_threshold=EVALUATION_THRESHOLD,
                )


def _canvases(
    samples: tuple[Sample, ...], prepared: Preprocessing
) -> tuple[list[Picture], list[Letterbox]]:
    both = [preprocess.letterbox_picture(read_picture(sample), prepared) for sample in samples]
    return [canvas for canvas, _ in both], [box for _, box in both]


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in the mode it had, frozen norms too."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
