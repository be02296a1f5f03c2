"""What a pruning did, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tartlet_host.model.channels import channel_counts
from tartlet_host.model.detector import Detector
from tartlet_host.model.summary import Summary, summarise
from tartlet_host.prune.plan import inside_ratio
from tartlet_host.prune.timing import Timing
from tartlet_host.recipe import Recipe
from tartlet_host.train.checkpoint import PruningStep


@dataclass(frozen=True)
class LayerChange:
    """A convolution before and after, each network on its own canvas; 0 after: it went.

    Attributes:
        name: of the layer.
        stage: part of the network it belongs to.
        channels_before, channels_after: outputs.
        multiplies_before, multiplies_after: multiply-accumulates for one picture.
    """

    name: str
    stage: str
    channels_before: int
    channels_after: int
    multiplies_before: int
    multiplies_after: int


@dataclass(frozen=True)
class Round:
    """A part of the pruning and the fine-tuning after it.

    Attributes:
        multiplies: what the network has now.
        steps: of fine-tuning.
        map50: on the validation set; None without one.
        kept: whether it lost no more than `prune.largest_loss`; the first that does is the last
            begun, and does not count.
    """

    multiplies: int
    steps: int
    map50: float | None
    kept: bool


@dataclass(frozen=True)
class PruneReport:
    """What a pruning did.

    Attributes:
        multiplies_before, multiplies_after: multiply-accumulates of one picture, each on its
            network's own canvas.
        parameters_before, parameters_after: weights and biases.
        ratio: part of the channels taken from every group, before rounding.
        changes: every convolution of the network before.
        step: what a checkpoint needs to rebuild the network.
        recipe: the recipe of the pruned network, to be saved with it: it has its canvas.
        timing: of the pruned network against its parent, where `prune.keep_latency` asked.
        map50_before: of the parent on its own canvas, on the validation set; None without one.
        rounds: in order; empty before fine-tuning.
    """

    multiplies_before: int
    multiplies_after: int
    parameters_before: int
    parameters_after: int
    ratio: float
    changes: tuple[LayerChange, ...]
    step: PruningStep
    recipe: Recipe
    timing: Timing | None = None
    map50_before: float | None = None
    rounds: tuple[Round, ...] = ()

    @property
    def inside_ratio(self) -> float:
        """Part of the channels that only their own block sees."""
        return inside_ratio(self.ratio, self.recipe.prune)

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """Output channels before and after of the convolutions that stayed and differ."""
        return {
            each.name: (each.channels_before, each.channels_after)
            for each in self.changes
            if 0 < each.channels_after != each.channels_before
        }

    @property
    def map50_after(self) -> float | None:
        """Of the result; None without a validation set."""
        kept = [each.map50 for each in self.rounds if each.kept]
        return kept[-1] if kept else self.map50_before


def compare(
    before: Summary,
    network: Detector,
    recipe: Recipe,
    *,
    ratio: float,
    timing: Timing | None = None,
    map50_before: float | None = None,
    rounds: tuple[Round, ...] = (),
) -> PruneReport:
    """The report on a network that was pruned; `before` and `recipe` have each its own canvas."""
    after = summarise(network, recipe.input)
    left = {layer.name: layer for layer in after.layers}
    changes = []
    for layer in before.layers:
        same = left.get(layer.name)
        changes.append(
            LayerChange(
                name=layer.name,
                stage=layer.stage,
                channels_before=layer.output[0],
                channels_after=same.output[0] if same else 0,
                multiplies_before=layer.multiplies,
                multiplies_after=same.multiplies if same else 0,
            )
        )
    return PruneReport(
        multiplies_before=before.multiplies,
        multiplies_after=after.multiplies,
        parameters_before=before.parameters,
        parameters_after=after.parameters,
        ratio=ratio,
        changes=tuple(changes),
        step=PruningStep(channel_counts(network), before.multiplies, after.multiplies),
        recipe=recipe,
        timing=timing,
        map50_before=map50_before,
        rounds=rounds,
    )
