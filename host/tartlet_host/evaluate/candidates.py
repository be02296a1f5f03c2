"""Which of the models that were made should go to the device?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_shared import errors

LARGEST_LOSS = 0.04
"""mAP50 that a compressed model may lose against the float one."""


@dataclass(frozen=True)
class Candidate:
    """A model file and what was measured of it.

    Attributes:
        name: for people.
        path: the model file.
        map50: in ``[0, 1]``.
        latency_ms: median inference, on one machine for all candidates.
    """

    name: str
    path: Path
    map50: float
    latency_ms: float


def choose(
    candidates: Sequence[Candidate], *, reference: float, largest_loss: float = LARGEST_LOSS
) -> Candidate:
    """The fastest candidate that is accurate enough; of equally fast ones the most accurate.

    Args:
        candidates: at least one.
        reference: mAP50 of the float model.
        largest_loss: how far below it a candidate may be.

    Raises:
        ParityFailed: none is accurate enough.
    """
    # A tolerance far below what can be measured, so that a limit met exactly counts as met.
    passing = [each for each in candidates if each.map50 >= reference - largest_loss - 1e-9]
    if not passing:
        scores = (
            ", ".join(f"{each.name} {each.map50:.3f}" for each in candidates) or "there is none"
        )
        raise errors.ParityFailed(
            f"no candidate is within {largest_loss:.2f} of the float model's mAP50 of "
            f"{reference:.3f}: {scores}",
            hint="prune less, fine-tune longer, or quantize with more calibration pictures",
        )
    return min(passing, key=lambda each: (each.latency_ms, -each.map50, each.name))
