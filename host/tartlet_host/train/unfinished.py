"""The folder of a training that is not done yet: what was asked for, and its states.

Beside the checkpoint that will be written, ``parent.safetensors``, lies ``parent-training/``. It
holds all that `tartlet train --resume` needs and is removed when the checkpoint is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from tartlet_host import runs
from tartlet_host.files import write_atomically
from tartlet_host.recipe import Recipe, from_builtins
from tartlet_shared.errors import CheckpointCorrupt, UsageError

SUFFIX = "-training"
ORDER = "order.json"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a training was asked to do.

    Attributes:
        dataset, validation: absolute paths; no validation set is "".
        checkpoint: absolute path of the file to write.
        recipe: as plain values.
        log: whether TensorBoard's log is written.
        latest: whether the finished run becomes ``runs/latest``.
    """

    dataset: str
    validation: str
    checkpoint: str
    recipe: dict[str, object]
    log: bool
    latest: bool

    def parsed_recipe(self, where: Path) -> Recipe:
        """The recipe again; `where` names the order's file in errors."""
        return from_builtins(self.recipe, where=f"{where}: recipe")


def folder_of(checkpoint: Path) -> Path:
    """Where the training that will write `checkpoint` keeps its states."""
    return checkpoint.with_name(checkpoint.stem + SUFFIX)


def begin(order: Order) -> Path:
    """Make the folder of a new training; states of an abandoned one for the same file go."""
    folder = folder_of(Path(order.checkpoint))
    if folder.exists():
        shutil.rmtree(folder)
    write_atomically(folder / ORDER, msgspec.json.format(msgspec.json.encode(order)))
    return folder


def find(path: Path | None, root: Path = runs.ROOT) -> tuple[Path, Order]:
    """An unfinished training's folder and order.

    Args:
        path: that folder, a run's folder, or the checkpoint to come; None means the newest run.
        root: where runs are.

    Raises:
        UsageError: there is none.
        CheckpointCorrupt: the order cannot be read.
    """
    if path is None:
        found = sorted(root.glob(f"[0-9]*/*{SUFFIX}/{ORDER}"))
    elif path.is_dir():
        found = [*path.glob(ORDER), *sorted(path.glob(f"*{SUFFIX}/{ORDER}"))]
    else:
        found = list(folder_of(path).glob(ORDER))
    if not found:
        raise UsageError(
            "there is no unfinished training",
            where=str(path if path is not None else root),
            hint="name the run's folder; a finished training has none left",
        )
    try:
        return found[-1].parent, msgspec.json.decode(found[-1].read_bytes(), type=Order)
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckpointCorrupt(
            f"cannot read what the training was to do: {error}",
            where=str(found[-1]),
            hint="train again from the start",
        ) from error


def finish(folder: Path) -> None:
    """Remove the folder; the checkpoint is written."""
    shutil.rmtree(folder, ignore_errors=True)
