"""Which of the models that were made should go to the device?

Every compression step makes candidates. The gate lets those through that are as accurate as the
float model on validation pictures and see the same objects in the golden ones; the fastest of them
is packaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tartlet_device.preprocess import Picture
from tartlet_host.evaluate import parity
from tartlet_host.evaluate.parity import Limits
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_shared import errors

LARGEST_LOSS = 0.01
"""mAP50 that a compressed model may lose against the float one on the validation pictures."""

LIMITS = Limits()

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Candidate:
    """A model file and what was measured of it.

    Attributes:
        name: for people.
        path: the model file.
        map50: on validation pictures, in ``[0, 1]``.
        latency_ms: median inference, all candidates on one machine in turns.
        disparity: why its boxes in the golden pictures are not those of its float parent; empty
            where they are, and for a float model.
    """

    name: str
    path: Path
    map50: float
    latency_ms: float
    disparity: str = ""


def choose(
    candidates: Sequence[Candidate], *, reference: float, largest_loss: float = LARGEST_LOSS
) -> Candidate:
    """The fastest candidate that passes the gate; of equally fast ones the most accurate.

    Args:
        candidates: at least one.
        reference: mAP50 of the float model on the same pictures.
        largest_loss: how far below it a candidate may be.

    Raises:
        ParityFailed: none passes; the text has the reason for each.
    """
    passing = [each for each in candidates if not refusal(each, reference, largest_loss)]
    if not passing:
        reasons = (
            "; ".join(
                f"{each.name}: {refusal(each, reference, largest_loss)}" for each in candidates
            )
            or "there is none"
        )
        raise errors.ParityFailed(
            f"no candidate is within {largest_loss:.2f} of the float model's mAP50 of "
            f"{reference:.3f} and sees the same: {reasons}",
            hint="prune less, fine-tune longer, or quantize with more calibration pictures",
        )
    return min(passing, key=lambda each: (each.latency_ms, -each.map50, each.name))


def refusal(candidate: Candidate, reference: float, largest_loss: float = LARGEST_LOSS) -> str:
    """Why the gate stops a candidate; empty if it passes."""
    # A tolerance far below what can be measured, so that a limit met exactly counts as met; and
    # written so that a value that is not a number fails.
    if not candidate.map50 >= reference - largest_loss - 1e-9:
        return f"mAP50 {candidate.map50:.3f}"
    return candidate.disparity


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that no other beats in both accuracy and latency, the fastest first."""
    best: list[Candidate] = []
    for each in sorted(candidates, key=lambda each: (each.latency_ms, -each.map50, each.name)):
        if not best or each.map50 > best[-1].map50:
            best.append(each)
    return tuple(best)


def compare_boxes(
    candidate: Candidate,
    parent: ModelPredictor,
    compressed: ModelPredictor,
    golden: Sequence[Picture],
    *,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
) -> Candidate:
    """The candidate with its `Candidate.disparity` filled in.

    Args:
        candidate: what is known of it so far.
        parent: the float model that it was made from, the same network.
        compressed: the candidate itself.
        golden: pictures, RGB; those that `tartlet_host.golden_pictures.choose` finds.
        limits: how far the two may differ.
        progress: called with pictures done and in all.

    Raises:
        DatasetNotFound: there are no pictures.
    """
    try:
        parity.compare(parent, compressed, golden, limits=limits, progress=progress)
    except errors.ParityFailed as error:
        return replace(candidate, disparity=error.what)
    return replace(candidate, disparity="")
