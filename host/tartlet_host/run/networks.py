"""The networks of a run: trained, refined with its own labels, pruned. Each is a checkpoint.

A checkpoint that is there already is taken as it is, and a training that was cut off goes on from
its last state, so that a run can be started again after a break.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tartlet_host.dataset.sample import Dataset
from tartlet_host.dataset.unlabelled import join
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.files import write_atomically
from tartlet_host.model.detector import build_detector
from tartlet_host.model.summary import summarise
from tartlet_host.prune.pruner import prune_and_finetune
from tartlet_host.prune.report import PruneReport, compare
from tartlet_host.recipe import PruneRecipe, Recipe
from tartlet_host.run.data import RunData, refined
from tartlet_host.run.timeline import Timeline
from tartlet_host.train import checkpoint
from tartlet_host.train.loop import FitResult, fit
from tartlet_shared.errors import UsageError

FINETUNING = "Pruning and fine-tuning"
PARENT, PRUNED = "parent.safetensors", "pruned.safetensors"


class Fitted(msgspec.Struct, frozen=True):
    """A training as the report shows it; it lies beside its checkpoint.

    Attributes:
        losses: of every step.
        looks: (step, mAP50 on the validation pictures).
        seconds: it took.
        ratio: part of the channels that pruning took before it.
    """

    losses: tuple[float, ...]
    looks: tuple[tuple[int, float], ...]
    seconds: float
    ratio: float = 0.0


@dataclass(frozen=True, eq=False)
class Networks:
    """What was trained.

    Attributes:
        parent: checkpoint of the float network.
        pruned: of the smaller one; None where the recipe prunes nothing.
        data: with the labels that the parent was trained on.
        fits: trainings by name, those of earlier sittings included.
        pruning: what was cut; None where nothing was.
    """

    parent: Path
    pruned: Path | None
    data: RunData
    fits: Mapping[str, Fitted]
    pruning: PruneReport | None = None


def train_and_prune(
    recipe: Recipe,
    data: RunData,
    folder: Path,
    timeline: Timeline,
    stop: Callable[[], bool] | None = None,
) -> Networks:
    """Train, as often as the recipe refines; then prune.

    Args:
        recipe: what to train.
        data: pictures.
        folder: of the run.
        timeline: shows the steps.
        stop: asked during training; true writes a state and raises `KeyboardInterrupt`.

    Raises:
        UsageError: a checkpoint in `folder` was made with another recipe.
        TartletError: see `fit` and `prune_and_finetune`.
    """
    fits: dict[str, Fitted] = {}
    rounds = recipe.data.refine if recipe.data.motion else 0
    for done in range(rounds):
        name = f"Training, round {done + 1}"
        path = folder / f"round-{done + 1}.safetensors"
        _train(recipe, data, path, name, timeline, stop, fits)
        predictor = open_predictor(path, threads=None)
        with timeline.step("Refining the labels") as report:
            data = refined(data, predictor, folder / f"refined-{done + 1}", report)
    parent = folder / PARENT
    _train(recipe, data, parent, "Training", timeline, stop, fits)
    if not prunes(recipe.prune):
        return Networks(parent, None, data, fits)
    pruned = folder / PRUNED
    pruning = _prune(recipe, data, parent, pruned, timeline, fits)
    return Networks(parent, pruned, data, fits, pruning)


def prunes(recipe: PruneRecipe) -> bool:
    """Whether a recipe makes the network smaller at all."""
    return bool(
        recipe.keep_multiplies < 1 or recipe.keep_latency < 1 or recipe.strides or recipe.input
    )


def _train(
    recipe: Recipe,
    data: RunData,
    path: Path,
    name: str,
    timeline: Timeline,
    stop: Callable[[], bool] | None,
    fits: dict[str, Fitted],
) -> None:
    if _is_there(path, recipe):
        fits[name] = recalled = _recall(path)
        timeline.seconds[name] = round(recalled.seconds, 2)
        return
    detector = build_detector(recipe)
    states = path.with_suffix(".states")
    with timeline.training(name) as tell:
        result = fit(
            detector,
            data.train,
            recipe,
            progress=lambda now: tell(now.step, now.steps, now.loss, now.map50),
            validation=data.validation,
            states=states if recipe.train.checkpoint_every else None,
            resume=states.is_dir(),
            stop=stop,
        )
    fits[name] = _remember(path, result)
    checkpoint.save(path, detector, recipe, metrics=_metrics(result))
    shutil.rmtree(states, ignore_errors=True)


def _prune(
    recipe: Recipe,
    data: RunData,
    parent: Path,
    path: Path,
    timeline: Timeline,
    fits: dict[str, Fitted],
) -> PruneReport:
    loaded = checkpoint.load(parent)
    if path.exists():
        pruned = checkpoint.load(path)
        if pruned.recipe.prune == recipe.prune:
            fits[FINETUNING] = remembered = _recall(path)
            timeline.seconds[FINETUNING] = round(remembered.seconds, 2)
            before = summarise(loaded.detector, recipe.input)
            return compare(before, pruned.detector, pruned.recipe, ratio=remembered.ratio)
        raise UsageError(
            "this run was pruned with another recipe",
            where=str(path),
            hint="delete the file to prune again, or take back what you changed in the recipe",
        )
    with timeline.training(FINETUNING) as tell:
        detector, report, result = prune_and_finetune(
            loaded.detector,
            _with_unlabelled(data),
            recipe,
            progress=lambda now: tell(now.step, now.steps, now.loss, now.map50),
            validation=data.validation,
        )
    fits[FINETUNING] = _remember(path, result, report.ratio)
    checkpoint.save(
        path,
        detector,
        report.recipe,
        metrics=_metrics(result),
        parent=loaded.digest,
        pruning_history=(*loaded.pruning_history, report.step),
    )
    return report


def _with_unlabelled(data: RunData) -> Dataset:
    return data.train if data.unlabelled is None else join(data.train, data.unlabelled)


def _is_there(path: Path, recipe: Recipe) -> bool:
    """Whether the checkpoint was made already, as this recipe makes it."""
    if not path.exists():
        return False
    made = checkpoint.load(path).recipe
    # What comes after training may have changed since.
    later = {name: getattr(recipe, name) for name in ("prune", "quantize", "gate", "tune")}
    if msgspec.structs.replace(made, **later) != recipe:
        raise UsageError(
            "this run was begun with another recipe",
            where=str(path),
            hint="begin a new run, or take back what you changed in the recipe",
        )
    return True


def _remember(path: Path, result: FitResult, ratio: float = 0.0) -> Fitted:
    """Write down a training beside its checkpoint, before the checkpoint says that it is done."""
    fitted = Fitted(result.losses, result.looks, result.seconds, ratio)
    write_atomically(path.with_suffix(".json"), msgspec.json.encode(fitted))
    return fitted


def _recall(path: Path) -> Fitted:
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Fitted)
    except (OSError, msgspec.DecodeError):
        return Fitted((), (), 0.0)  # a checkpoint from elsewhere: the report has no curve


def _metrics(result: FitResult) -> dict[str, float]:
    figures = {"final_loss": result.losses[-1]}
    if result.map50 is not None:
        figures["map50"] = result.map50
    return figures
