"""Which layer should stay float next?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tartlet_host.quantize.graph import Layer
from tartlet_host.quantize.layer_errors import LayerError

WORTH_IT = 1.26
"""One decibel: so much less noise at the outputs makes keeping more than one layer float pay."""


def next_float(
    layers: Sequence[Layer],
    report: Sequence[LayerError],
    kept: Sequence[str],
    *,
    most: int,
    noise_of: Callable[[tuple[str, ...]], float],
) -> tuple[str, ...]:
    """The layers that stay float after one more step.

    The layer that adds most noise is the place to look. Its own weights may be at fault: then it
    alone needs to be float. Or the range of what it reads is: then the layers that make its inputs
    must be float too, since a value that was rounded stays rounded. Both are tried.

    Args:
        layers: of the float model.
        report: of the model with `kept` float.
        kept: names of layers that are float already.
        most: how many may be float in all; more than there are.
        noise_of: noise over signal at the outputs with the layers of these names float.

    Returns:
        `kept` and at least one more; `kept` alone where no layer is left.
    """
    left = [each for each in report if each.name not in kept]
    if not left or len(kept) >= most:
        return tuple(kept)
    worst = min(left, key=lambda each: each.own)
    by_name = {layer.name: layer for layer in layers}
    makers = {layer.output: layer.name for layer in layers}
    before = [
        makers[name]
        for name in by_name[worst.name].inputs
        if name in makers and makers[name] not in kept
    ]
    alone = (*kept, worst.name)
    joined = (*alone, *before)
    if not before or len(joined) > most:
        return alone
    return joined if noise_of(joined) * WORTH_IT < noise_of(alone) else alone
