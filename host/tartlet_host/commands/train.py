"""``tartlet train``: a labelled data set becomes a detector."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import json_option, print_json, say

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.model.detector import Detector
    from tartlet_host.recipe import Recipe
    from tartlet_host.train.distributed import Processes
    from tartlet_host.train.loop import FitResult
    from tartlet_host.train.unfinished import Order

NEWEST = "the newest"


@click.command()
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Recipe in TOML; without it, defaults that suit small data sets.",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Data set that decides which weights are the best, and when to stop.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Checkpoint to write; of a check, the PNG.  [default: runs/<time>/parent.safetensors]",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN]",
    help="Go on with a training that was stopped or killed; without RUN, the newest.",
)
@click.option("--log", is_flag=True, help="Write curves and pictures for TensorBoard.")
@click.option(
    "--find-rate",
    "rehearsal",
    flag_value="find-rate",
    help="Do not train: raise the learning rate step by step and say which one suits.",
)
@click.option(
    "--overfit-batch",
    "rehearsal",
    flag_value="overfit-batch",
    help="Do not train: learn one batch by heart, to see that network and labels are sound.",
)
@click.option(
    "--check-gradients",
    "rehearsal",
    flag_value="check-gradients",
    help="Do not train: compare the gradients with finite differences.",
)
@json_option
def command(
    dataset: Path | None,
    recipe_path: Path | None,
    validation: Path | None,
    output: Path | None,
    resume: str | None,
    log: bool,
    rehearsal: str | None,
    as_json: bool,
) -> int:
    """Train a detector on DATASET, a COCO .json file or a folder with a labels.json.

    \b
    Examples:
      tartlet train data
      tartlet train data --recipe recipe.toml --validation validation --log
      tartlet train --resume                     after Ctrl-C, a crash or a power cut
    \b
    Before a long training:
      tartlet train data --overfit-batch         are network and labels sound?
      tartlet train data --find-rate             which learning rate?
    \b
    On several GPUs, or with several processes:
      torchrun --nproc-per-node 2 -m tartlet_host train data
    \b
    Next:  tartlet evaluate runs/latest/parent.safetensors --data test
           tartlet prune --data data             make it smaller
    \b
    JSON: {checkpoint, last, final_loss, seconds, steps, best_step, map50, looks: [[step, map50]]};
          `last` is a second checkpoint, with the last weights where the best are earlier ones.
    The three checks exit with 1 where they do not pass.
    """
    from tartlet_host.train import distributed
    from tartlet_shared import errors

    if resume is not None:
        if dataset is not None or recipe_path or validation or output or log or rehearsal:
            raise errors.UsageError(
                "--resume takes everything from the run; give it alone",
                hint="tartlet train --resume [RUN]",
            )
    elif dataset is None:
        raise errors.UsageError(
            "what should be learnt?", hint="name a data set: tartlet train data"
        )
    elif rehearsal is not None:
        from tartlet_host.commands import rehearsals

        data, recipe = _read(dataset, recipe_path)
        return rehearsals.rehearse(rehearsal, data, recipe, output, as_json=as_json)
    with distributed.joined() as processes:
        if resume is not None:
            _resume(None if resume == NEWEST else Path(resume), processes, as_json)
        else:
            assert dataset is not None
            _begin(dataset, recipe_path, validation, output, log, processes, as_json)
    return 0


def _begin(
    dataset: Path,
    recipe_path: Path | None,
    validation: Path | None,
    output: Path | None,
    log: bool,
    processes: Processes,
    as_json: bool,
) -> None:
    import msgspec

    from tartlet_host import runs
    from tartlet_host.train import unfinished

    data, recipe = _read(dataset, recipe_path)
    judge = _read_validation(validation, recipe)
    if not processes.first:
        _train(None, None, data, judge, recipe, processes, resume=False, as_json=True)
        return
    _refuse_patience_alone(recipe, judge)
    checkpoint = output if output is not None else runs.new_run() / "parent.safetensors"
    order = unfinished.Order(
        dataset=str(dataset.resolve()),
        validation="" if validation is None else str(validation.resolve()),
        checkpoint=str(checkpoint.absolute()),
        recipe=msgspec.to_builtins(recipe),
        log=log,
        latest=output is None,
    )
    folder = unfinished.begin(order)
    _train(folder, order, data, judge, recipe, processes, resume=False, as_json=as_json)


def _resume(path: Path | None, processes: Processes, as_json: bool) -> None:
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.train import unfinished

    folder, order = unfinished.find(path)
    recipe = order.parsed_recipe(folder / unfinished.ORDER)
    data = read_dataset(Path(order.dataset), labels=recipe.labels)
    judge = _read_validation(Path(order.validation) if order.validation else None, recipe)
    quiet = as_json or not processes.first
    _train(folder, order, data, judge, recipe, processes, resume=True, as_json=quiet)


def _read(dataset: Path, recipe_path: Path | None) -> tuple[Dataset, Recipe]:
    """The data set and the recipe, or the default recipe for its labels."""
    from tartlet_host import recipe as recipes
    from tartlet_host.dataset.read import read_dataset

    if recipe_path is None:
        data = read_dataset(dataset)
        return data, recipes.default_recipe(data.labels)
    recipe = recipes.load_recipe(recipe_path)
    return read_dataset(dataset, labels=recipe.labels), recipe


def _read_validation(path: Path | None, recipe: Recipe) -> Dataset | None:
    from tartlet_host.dataset.read import read_dataset

    return None if path is None else read_dataset(path, labels=recipe.labels)


def _refuse_patience_alone(recipe: Recipe, validation: Dataset | None) -> None:
    from tartlet_shared import errors

    if recipe.train.patience and validation is None:
        raise errors.UsageError(
            "stopping early needs a data set that decides when",
            where="recipe: train.patience",
            hint="give one with --validation, or set patience = 0",
        )


def _train(
    folder: Path | None,
    order: Order | None,
    data: Dataset,
    validation: Dataset | None,
    recipe: Recipe,
    processes: Processes,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    """The training itself, and what is written after it by the process that has an `order`."""
    from tartlet_host.interruption import asking_to_stop
    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import training_bar
    from tartlet_host.train.loop import fit

    detector = build_detector(recipe)
    if not as_json:
        _introduce(detector, recipe)
    log = None
    if order is not None and order.log:
        checkpoint = Path(order.checkpoint)
        log = checkpoint.with_name(f"{checkpoint.stem}-log")
    with (
        _cleaning_up(folder, detector, recipe, order if processes.first else None),
        training_bar("Training", quiet=as_json) as tell,
        asking_to_stop(_write if processes.first else _ignore) as stop,
    ):
        result = fit(
            detector,
            data,
            recipe,
            progress=lambda now: tell(now.step, now.steps, now.loss, now.map50),
            validation=validation,
            states=folder,
            resume=resume,
            stop=stop,
            log=log,
            processes=processes,
        )
    if order is not None and folder is not None and processes.first:
        _save(folder, order, detector, recipe, result, as_json)


def _introduce(detector: Detector, recipe: Recipe) -> None:
    """What is trained, on what; `tartlet describe` says more."""
    from tartlet_host import machine
    from tartlet_host.commands.options import size
    from tartlet_host.model.memory import training_memory
    from tartlet_host.model.summary import summarise

    run = recipe.train
    memory = training_memory(detector, recipe.input, run.batch_size, optimizer=run.optimizer)
    say(f"{recipe.name}: {summarise(detector, recipe.input)}")
    say(f"{machine.examine()}; training takes about {size(memory.total)}")


@contextlib.contextmanager
def _cleaning_up(
    folder: Path | None, detector: Detector, recipe: Recipe, order: Order | None
) -> Iterator[None]:
    """Where a training ends early: say how to go on, or leave nothing behind."""
    from tartlet_host.train import state, unfinished
    from tartlet_shared import errors

    try:
        yield
    except BaseException as error:
        if folder is None or order is None:
            raise
        if not state.any_in(folder):
            unfinished.finish(folder)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # a run's folder with nothing in it
            raise
        if isinstance(error, errors.ModelError):  # nothing may hide this error
            with contextlib.suppress(OSError, errors.TartletError):
                _rescue(folder, detector, recipe, order)
        say(f"go on with: tartlet train --resume {folder.parent if order.latest else folder}")
        raise


def _rescue(folder: Path, detector: Detector, recipe: Recipe, order: Order) -> None:
    """The averaged weights of the last good state, as a checkpoint."""
    from tartlet_host.train import checkpoint, state

    step, weights = state.averaged(folder)
    detector.load_state_dict(weights)
    path = Path(order.checkpoint)
    path = path.with_name(f"{path.stem}-step-{step}{path.suffix}")
    checkpoint.save(path, detector, recipe, metrics={})
    say(f"the last good weights, of step {step}, are in {path}")


def _save(
    folder: Path,
    order: Order,
    detector: Detector,
    recipe: Recipe,
    result: FitResult,
    as_json: bool,
) -> None:
    from tartlet_host import runs
    from tartlet_host.train import checkpoint, unfinished

    path = Path(order.checkpoint)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    figures: dict[str, float] = {
        "final_loss": result.losses[-1],
        "seconds": result.seconds,
        "steps": len(result.losses),
        "best_step": result.best_step,
    }
    if result.map50 is not None:
        figures["map50"] = result.map50
    checkpoint.save(path, detector, recipe, metrics=figures)
    last: Path | None = None
    if result.last is not None:
        last = path.with_name(f"{path.stem}-last{path.suffix}")
        detector.load_state_dict(result.last)
        checkpoint.save(last, detector, recipe, metrics={"steps": len(result.losses)})
    unfinished.finish(folder)
    if order.latest:
        runs.mark_latest(path.parent)
    if as_json:
        looks = [list(look) for look in result.looks]
        names = {"checkpoint": str(path), "last": None if last is None else str(last)}
        print_json({**names, "map50": None, **figures, "looks": looks})
        return
    click.echo(f"{path}  ({_words(result)})")
    if order.log:
        say(f"the curves: tensorboard --logdir {path.with_name(f'{path.stem}-log')}")
    say(f"next: tartlet evaluate {path} --data TEST")


def _words(result: FitResult) -> str:
    words = f"{result.pictures} pictures seen in {result.seconds:.0f} s"
    if result.map50 is not None:
        words += f", mAP50 {result.map50:.3f} on the validation set after step {result.best_step}"
    return words


def _write(text: str) -> None:
    # From within a signal handler: the streams of Python may be in the middle of a write.
    os.write(2, f"\n{text}\n".encode())


def _ignore(text: str) -> None:
    pass
