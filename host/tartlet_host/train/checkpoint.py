"""Checkpoints: one safetensors file with the weights and, as JSON, all that rebuilds the network.

A pruned network is rebuilt from the channel counts in its pruning history, so no code is ever
stored or run from the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch

from tartlet_host.files import write_atomically
from tartlet_host.model.channels import ChannelCounts, channel_counts, resize_channels
from tartlet_host.model.detector import Detector, build_detector, channels_last
from tartlet_host.recipe import Recipe, Stride, from_builtins
from tartlet_host.train.metadata import read_metadata
from tartlet_shared.errors import CheckpointCorrupt, TartletError

FORMAT = "tartlet-checkpoint-1"


class PruningStep(msgspec.Struct, frozen=True):
    """One pruning: output channels of every convolution after it, and what it saved."""

    channels: ChannelCounts
    multiplies_before: int
    multiplies_after: int


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network with its past.

    Attributes:
        detector: in evaluation mode.
        recipe: what it was trained with.
        pruning_history: prunings so far, oldest first.
        metrics: figures measured when it was saved, by name.
        digest: SHA-256 of the file, hexadecimal.
        parent: digest of the checkpoint it was made from, None for a first training.
    """

    detector: Detector
    recipe: Recipe
    pruning_history: tuple[PruningStep, ...]
    metrics: Mapping[str, float]
    digest: str
    parent: str | None


def save(
    path: Path,
    detector: Detector,
    recipe: Recipe,
    *,
    metrics: Mapping[str, float],
    parent: str | None = None,
    pruning_history: tuple[PruningStep, ...] = (),
) -> str:
    """Write a checkpoint aside and rename it to `path`; returns its digest."""
    description = {
        "recipe": msgspec.to_builtins(recipe),
        "strides": detector.strides,
        "channels": channel_counts(detector),
        "pruning_history": msgspec.to_builtins(pruning_history),
        "metrics": dict(metrics),
        "parent": parent,
    }
    tensors = {name: value.contiguous() for name, value in detector.state_dict().items()}
    content = safetensors.torch.save(
        tensors, metadata={"format": FORMAT, "tartlet": json.dumps(description, sort_keys=True)}
    )
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; the network gives bit for bit the outputs of the one saved.

    Raises:
        CheckpointCorrupt: missing, truncated, or not a checkpoint of this kind.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointCorrupt(
            f"cannot read the checkpoint: {error.strerror}",
            where=str(path),
            hint="tartlet train writes one",
        ) from error
    try:
        description = _description(content)
        recipe = from_builtins(description["recipe"], where=f"{path}: recipe")
        history = msgspec.convert(description["pruning_history"], tuple[PruningStep, ...])
        metrics = msgspec.convert(description["metrics"], dict[str, float])
        parent = msgspec.convert(description["parent"], str | None)
        counts = msgspec.convert(description["channels"], ChannelCounts)
        strides = msgspec.convert(description["strides"], tuple[Stride, ...])
        detector = build_detector(recipe, pretrained=False, strides=strides)
        resize_channels(detector, counts)
        detector.load_state_dict(safetensors.torch.load(content))
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _corrupt(path, error) from error
    except TartletError as error:
        raise _corrupt(path, error) from error
    return Checkpoint(
        channels_last(detector).eval(),
        recipe,
        history,
        metrics,
        hashlib.sha256(content).hexdigest(),
        parent,
    )


def _description(content: bytes) -> dict[str, object]:
    description = json.loads(read_metadata(content, FORMAT))
    if not isinstance(description, dict):
        raise TypeError("its description is not an object")
    return description


def _corrupt(path: Path, error: Exception) -> CheckpointCorrupt:
    return CheckpointCorrupt(
        f"not a whole tartlet checkpoint: {error}",
        where=str(path),
        hint="copy it again, or train it again with tartlet train",
    )
