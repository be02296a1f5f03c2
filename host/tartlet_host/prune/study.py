"""What unstructured pruning brings and what it does not: measured, not believed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.validation import map50_of_network
from tartlet_host.model.detector import Detector
from tartlet_host.prune import unstructured
from tartlet_host.prune.timing import Timer, Timing, timer_against
from tartlet_host.prune.unstructured import LayerSparsity
from tartlet_host.recipe import Recipe

STEPS = 3  # accuracy before, accuracy after, time


@dataclass(frozen=True, eq=False)
class Study:
    """A network whose small weights are zero, beside the one it was.

    Attributes:
        detector: with the zeros.
        layers: how sparse each is.
        map50_before, map50_after: on the data given; nothing was fine-tuned.
        bytes_before, compressed_before, compressed_after: of the weights.
        timing: of both, float.
    """

    detector: Detector
    layers: tuple[LayerSparsity, ...]
    map50_before: float
    map50_after: float
    bytes_before: int
    compressed_before: int
    compressed_after: int
    timing: Timing

    @property
    def sparsity(self) -> float:
        """Part of all convolution weights that is zero, in ``[0, 1]``."""
        weights = sum(layer.weights for layer in self.layers)
        return sum(layer.zeros for layer in self.layers) / weights

    def as_data(self) -> dict[str, Any]:
        """For JSON: everything but the network."""
        return {
            "sparsity": self.sparsity,
            "map50_before": self.map50_before,
            "map50_after": self.map50_after,
            "bytes": self.bytes_before,
            "compressed_before": self.compressed_before,
            "compressed_after": self.compressed_after,
            "timing": dataclasses.asdict(self.timing),
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }


def study(
    parent: Detector,
    recipe: Recipe,
    dataset: Dataset,
    *,
    share: float | None = None,
    threshold: float | None = None,
    timer: Timer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Prune a copy of `parent` weight by weight and measure it; exactly one of two ways.

    Args:
        parent: a trained network.
        recipe: its recipe.
        dataset: labelled pictures.
        share: part of the weights that becomes zero.
        threshold: magnitude below which a weight becomes zero.
        timer: by default both networks are converted and timed.
        progress: called with steps done and in all.

    Raises:
        ValueError: both ways, or none.
        DatasetError: the data set has no box.
        ConversionFailed: a network cannot be converted.
    """
    if (share is None) == (threshold is None):
        raise ValueError("give a share or a threshold")
    report = progress or (lambda done, total: None)
    report(0, STEPS)
    before = map50_of_network(parent, recipe, dataset)
    report(1, STEPS)
    detector = copy.deepcopy(parent)
    if share is not None:
        unstructured.zero_smallest(detector, share)
    elif threshold is not None:
        unstructured.zero_below(detector, threshold)
    after = map50_of_network(detector, recipe, dataset)
    report(2, STEPS)
    if timer is not None:
        timing = timer(detector, recipe)
    else:
        with timer_against(parent, recipe) as usual:
            timing = usual(detector, recipe)
    report(3, STEPS)
    stored, compressed_before = unstructured.sizes(parent)
    return Study(
        detector=detector,
        layers=unstructured.sparsity_by_layer(detector),
        map50_before=before,
        map50_after=after,
        bytes_before=stored,
        compressed_before=compressed_before,
        compressed_after=unstructured.sizes(detector)[1],
        timing=timing,
    )
