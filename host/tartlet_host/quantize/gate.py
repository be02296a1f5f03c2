"""No int8 model leaves that sees less than it may.

Where int8 loses more than the recipe allows, the layers that lose most stay float, one after the
other, until the loss is small enough or the recipe's number of float layers is spent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.recipe import QuantizeRecipe
from tartlet_shared import errors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gated:
    """Model files and what was measured of them.

    Attributes:
        files: those given and the mixed ones that were made.
        map50: of those that were measured, in ``[0, 1]``, by path.
        best: the file of each runtime that holds the limit, int8 or mixed.
    """

    files: tuple[ModelFile, ...]
    map50: Mapping[Path, float]
    best: tuple[ModelFile, ...]


def hold(
    made: Sequence[ModelFile],
    quantize: QuantizeRecipe,
    *,
    reference: float,
    measure: Callable[[Path], float],
    keep_more_float: Callable[[ModelFile], ModelFile],
) -> Gated:
    """Measure each runtime's int8 file, and keep layers float until it loses little enough.

    Args:
        made: converted files.
        quantize: gives the largest loss and the number of float layers.
        reference: mAP50 of the float network on the pictures that `measure` uses.
        measure: mAP50 of a model file, in ``[0, 1]``.
        keep_more_float: makes the next mixed file from an int8 or mixed one.

    Raises:
        ParityFailed: no runtime's file holds the limit.
    """
    files = list(made)
    map50: dict[Path, float] = {}
    best: list[ModelFile] = []
    refused: list[str] = []
    for current in [each for each in made if each.precision == "int8"]:
        map50[current.path] = measure(current.path)
        while (loss := reference - map50[current.path]) > quantize.largest_loss + 1e-9:
            if len(current.float_layers) >= quantize.float_layers:
                break
            further = keep_more_float(current)
            if further.float_layers == current.float_layers:
                break  # there is no layer left
            logger.info(
                "%s loses %.3f mAP50: %s stay float",
                current.path.name,
                loss,
                ", ".join(further.float_layers),
            )
            files = [each for each in files if each.path != further.path]
            files.append(further)
            current = further
            map50[current.path] = measure(current.path)
        if loss <= quantize.largest_loss + 1e-9:
            best.append(current)
        else:
            refused.append(_why(current, loss))
    if refused and not best:
        raise errors.ParityFailed(
            f"int8 may lose {quantize.largest_loss:.3f} of the float model's mAP50 of "
            f"{reference:.3f}: {'; '.join(refused)}",
            where="recipe: quantize.largest_loss",
            hint="raise quantize.float_layers, train with quantize.aware_steps, try another "
            "quantize.calibration, or package the float16 model",
        )
    for reason in refused:
        logger.warning("left out: %s", reason)
    return Gated(tuple(files), map50, tuple(best))


def _why(current: ModelFile, loss: float) -> str:
    layers = ", ".join(current.float_layers)
    kept = f" even with {layers} float" if layers else ""
    return f"{current.path.name} loses {loss:.3f}{kept}"
