"""States that a killed run goes on from.

A state is one safetensors file with everything that the next step depends on: weights, their
average, the optimizer's moments, the random number generator, and as JSON the losses so far. With
the loader, whose batch k is a function of k, a resumed run takes the very steps of an unbroken one.

The file is written aside and renamed. The one before it stays until then and a while longer, so a
crash, a full disk or a damaged file costs at most the steps between two states.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.torch
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.files import write_atomically
from tartlet_host.model.detector import Detector
from tartlet_host.recipe import Recipe, TrainRecipe
from tartlet_host.train.early_stopping import Look
from tartlet_host.train.metadata import read_metadata
from tartlet_host.train.training import Training, Weights
from tartlet_shared.errors import CheckpointCorrupt, ModelError, TartletError, UsageError

logger = logging.getLogger(__name__)

FORMAT = "tartlet-training-state-1"
KEPT = 2  # generations
_DAMAGED = (
    OSError,
    safetensors.SafetensorError,
    msgspec.MsgspecError,
    ValueError,
    KeyError,
    TypeError,
)

Origin = Mapping[str, str]
"""What a run depends on, by name, as digests: a state goes on only with the same."""


class _Description(msgspec.Struct, frozen=True):
    origin: dict[str, str]
    losses: list[float]
    looks: list[Look]
    updates: int
    parts: int
    seconds: float
    scaler: dict[str, float]
    has_best: bool


def origin_of(
    dataset: Dataset,
    validation: Dataset | None,
    recipe: Recipe,
    run: TrainRecipe,
    teacher: Detector | None,
    processes: int,
) -> Origin:
    """What decides a run's steps. Pictures count by name, so that a project may be moved."""
    settings = (recipe.input, recipe.model, recipe.labels, run)
    return {
        "recipe": hashlib.sha256(msgspec.json.encode(settings)).hexdigest(),
        "data set": _dataset_digest(dataset),
        "validation set": "" if validation is None else _dataset_digest(validation),
        "teacher": "" if teacher is None else _weights_digest(teacher),
        "number of processes": str(processes),
    }


def write(folder: Path, training: Training, origin: Origin, *, seconds: float) -> Path:
    """Write the state and remove those before the last one.

    Args:
        folder: of this run's states alone.
        training: between two steps.
        origin: see `origin_of`.
        seconds: spent so far, earlier sittings included.

    Raises:
        TartletError: it cannot be written, the disk being full for instance; the earlier states
            are whole.
        ModelError: a weight is no number; the earlier states are good.
    """
    tensors = _tensors(training)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"{name} is not finite after {training.step} steps",
                where="train",
                hint="lower train.learning_rate",
            )
    description = _Description(
        origin=dict(origin),
        losses=training.losses,
        looks=training.looks,
        updates=training.average.updates,
        parts=training.parts,
        seconds=seconds,
        scaler=training.scaler.state_dict(),
        has_best=training.best is not None,
    )
    metadata = {"format": FORMAT, "tartlet": msgspec.json.encode(description).decode()}
    path = folder / f"step-{training.step:08d}.safetensors"
    try:
        write_atomically(path, safetensors.torch.save(tensors, metadata=metadata))
    except OSError as error:
        raise TartletError(
            f"cannot write the state of the training: {error.strerror}",
            where=str(path),
            hint="make room; the states written before it are whole",
        ) from error
    for old in _generations(folder)[:-KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def read(folder: Path, training: Training, origin: Origin) -> None:
    """Put the newest whole state of the folder into `training`, in place.

    Raises:
        CheckpointCorrupt: there is no state, or none that is whole.
        UsageError: it belongs to a run with other settings or other data.
    """
    path, description, tensors = _newest(folder)
    _refuse_another_run(path, description.origin, origin)
    try:
        _restore(training, description, tensors)
    except (KeyError, RuntimeError) as error:
        raise _corrupt(path, error) from error


def any_in(folder: Path) -> bool:
    """Whether the folder holds a state."""
    return bool(_generations(folder))


def averaged(folder: Path) -> tuple[int, Weights]:
    """The averaged weights of the newest whole state, and after how many steps they were.

    Raises:
        CheckpointCorrupt: there is none.
    """
    description, tensors = _newest(folder)[1:]
    return len(description.losses), _of_kind(tensors, "average")


def _newest(folder: Path) -> tuple[Path, _Description, Weights]:
    failure: Exception | None = None
    for path in reversed(_generations(folder)):
        try:
            return path, *_parse(path.read_bytes())
        except _DAMAGED as error:
            logger.warning("%s is damaged (%s); an earlier state is tried", path, error)
            failure = error
    if failure is not None:
        raise _corrupt(folder, failure) from failure
    raise CheckpointCorrupt(
        "there is no state to go on from",
        where=str(folder),
        hint="the run was stopped before its first state; train again "
        "(train.checkpoint_every says how often one is written)",
    )


def _generations(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def _tensors(training: Training) -> Weights:
    """All tensors, by kind and name, contiguous and on the CPU."""
    found: Weights = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["random/cuda"] = torch.cuda.get_rng_state()
    kinds: dict[str, Mapping[str, torch.Tensor]] = {
        "detector": training.detector.state_dict(),
        "average": training.average.network.state_dict(),
        "best": training.best or {},
    }
    for kind, weights in kinds.items():
        found.update({f"{kind}/{name}": value for name, value in weights.items()})
    for name, parameter in training.detector.named_parameters():
        for key, value in training.optimizer.state.get(parameter, {}).items():
            if value is not None:
                found[f"optimizer/{name}/{key}"] = value
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}


def _restore(training: Training, description: _Description, tensors: Weights) -> None:
    training.detector.load_state_dict(_of_kind(tensors, "detector"))
    training.average.network.load_state_dict(_of_kind(tensors, "average"))
    training.average.updates = description.updates
    parameters = dict(training.detector.named_parameters())
    for name, value in _of_kind(tensors, "optimizer").items():
        parameter, key = parameters[name.rpartition("/")[0]], name.rpartition("/")[2]
        if value.shape == parameter.shape:
            # In the weights' memory layout; another one would be slower.
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        training.optimizer.state[parameter][key] = value
    if description.has_best:
        device = next(training.detector.parameters()).device
        training.best = {
            name: value.to(device) for name, value in _of_kind(tensors, "best").items()
        }
    training.scaler.load_state_dict(description.scaler)
    training.losses[:] = description.losses
    training.looks[:] = description.looks
    training.parts = description.parts
    training.seconds = description.seconds
    torch.set_rng_state(tensors["random/cpu"])
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])


def _of_kind(tensors: Weights, kind: str) -> Weights:
    start = f"{kind}/"
    return {name[len(start) :]: each for name, each in tensors.items() if name.startswith(start)}


def _parse(content: bytes) -> tuple[_Description, Weights]:
    description = msgspec.json.decode(read_metadata(content, FORMAT), type=_Description)
    return description, safetensors.torch.load(content)


def _refuse_another_run(path: Path, theirs: Origin, ours: Origin) -> None:
    for name, digest in ours.items():
        if theirs.get(name) != digest:
            raise UsageError(
                f"the run cannot go on: the {name} is not the one it began with",
                where=str(path),
                hint="undo the change, or train anew into another folder",
            )


def _dataset_digest(dataset: Dataset) -> str:
    digest = hashlib.sha256(repr(dataset.labels).encode())
    for sample in dataset.samples:
        name = Path(str(sample.picture)).name
        digest.update(f"{name}:{sample.width}x{sample.height}:{sample.labelled}".encode())
        digest.update(np.ascontiguousarray(sample.boxes, np.float32).tobytes())
        digest.update(np.ascontiguousarray(sample.class_ids, np.int64).tobytes())
        digest.update(np.ascontiguousarray(sample.ignore, np.bool_).tobytes())
    return digest.hexdigest()


def _weights_digest(network: Detector) -> str:
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _corrupt(path: Path, error: Exception) -> CheckpointCorrupt:
    return CheckpointCorrupt(
        f"not a whole state of this training: {error}",
        where=str(path),
        hint="train again from the start",
    )
