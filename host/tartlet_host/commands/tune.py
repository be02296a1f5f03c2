"""``tartlet tune``: values for a recipe, found by trying."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say, write_file

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.recipe import Recipe
    from tartlet_host.tune.result import Found
    from tartlet_host.tune.storage import PrunerName


@click.command()
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@data_option("Data set to train on")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures that judge the trials.  [default: a part of --data]",
)
@click.option(
    "--trials", type=click.IntRange(1), help="How many in all.  [default: the recipe's tune.trials]"
)
@click.option(
    "--study",
    "place",
    metavar="URL",
    help="Where the study is kept: a .db or .journal file, or a database's URL.  "
    "[default: runs/tune/NAME.db]",
)
@click.option("--resume", is_flag=True, help="Add trials to the study that is there.")
@click.option(
    "--latency", is_flag=True, help="Two goals: accuracy and measured time of an inference."
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "hyperband", "none"]),
    default="median",
    show_default=True,
    help="What ends hopeless trials early.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for best.toml and tune.html.  [default: runs/tune]",
)
@json_option
def command(
    recipe_path: Path,
    dataset: Path,
    validation: Path | None,
    trials: int | None,
    place: str | None,
    resume: bool,
    latency: bool,
    pruner: PrunerName,
    output: Path | None,
    as_json: bool,
) -> None:
    """Search for the values that RECIPE opens under [tune], by many short trainings.

    Learning rate and weight decay are always searched; width, neck_channels and input where the
    recipe lists choices. Trials that fall behind the others are ended early. Ctrl-C is fine: the
    study is kept, and --resume goes on.

    \b
    Examples:
      tartlet tune recipe.toml --data data
      tartlet tune recipe.toml --data data --resume --trials 40
    \b
    Several machines work on one study when all name the same database; the first begins it, the
    others join with --resume:
      tartlet tune recipe.toml --data data --study postgresql://me@server/studies --resume
    A SQLite file (.db) serves several processes of one machine, not a network share; a .journal
    file serves shares too.
    \b
    Next:  tartlet train data --recipe runs/tune/best.toml
    \b
    JSON: {study, recipe, page, best: {number, map50, time_share, values}, front: [number],
           importance: {key: share}, trials: [{number, state, map50, time_share, values, seconds}]}
    """
    import msgspec

    from tartlet_host import recipe as recipes
    from tartlet_host import runs
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.tune import result, space, storage
    from tartlet_shared import errors

    recipe = recipes.load_recipe(recipe_path)
    if trials is not None:
        recipe = msgspec.structs.replace(
            recipe, tune=msgspec.structs.replace(recipe.tune, trials=trials)
        )
    if latency and not space.architecture(recipe):
        raise errors.UsageError(
            "--latency compares networks, and this recipe has only one",
            where=f"{recipe_path}: tune",
            hint="list choices for tune.width, tune.neck_channels or tune.input",
        )
    data = read_dataset(dataset, labels=recipe.labels)
    data, judges = _divided(data, recipe, validation)
    output = output or runs.ROOT / "tune"
    kept = storage.Place(place or str(output / f"{recipe.name}.db"))
    study = storage.open_study(kept, recipe, timed=latency, join=resume, pruner=pruner)
    try:
        _run(study, recipe, data, judges, latency, as_json)
    except KeyboardInterrupt:
        say(f"the study is kept in {kept}; go on with --resume")
        raise
    found = result.read(study)
    _write(output, recipe_path, recipe, found, str(kept))
    if as_json:
        print_json(_as_data(str(kept), output, found))
        return
    values = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in found.best.values.items()
    )
    click.echo(f"{output / 'best.toml'}  (mAP50 {found.best.map50:.3f}: {values})")
    say(f"look at {output / 'tune.html'}")
    say(f"next: tartlet train {dataset} --recipe {output / 'best.toml'}")


def _divided(data: Dataset, recipe: Recipe, validation: Path | None) -> tuple[Dataset, Dataset]:
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.dataset.split import split_dataset

    if validation is not None:
        return data, read_dataset(validation, labels=recipe.labels)
    return split_dataset(data, recipe.data)


def _run(
    study: Any, recipe: Recipe, data: Dataset, judges: Dataset, latency: bool, as_json: bool
) -> None:
    from tartlet_host.interruption import asking_to_stop
    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import bar
    from tartlet_host.prune.timing import timer_against
    from tartlet_host.tune.search import search

    with contextlib.ExitStack() as stack:
        timer = None
        if latency:
            own = build_detector(recipe, pretrained=False).eval()
            timer = stack.enter_context(timer_against(own, recipe))
        # As a wish: an interrupt in the middle of a database's transaction would leave the trial
        # running for ever.
        stop = stack.enter_context(asking_to_stop(say))
        report = stack.enter_context(bar("Trials", quiet=as_json))
        steps = recipe.tune.steps
        search(
            study,
            recipe,
            data,
            judges,
            timer=timer,
            progress=lambda budget, now: report(
                budget.done * steps + now.step, budget.trials * steps
            ),
            stop=stop,
        )


def _write(output: Path, recipe_path: Path, recipe: Recipe, found: Found, place: str) -> None:
    from tartlet_host.recipe.dump import to_toml
    from tartlet_host.tune import page

    best = found.best
    text = to_toml(
        found.recipe(recipe),
        f"{recipe_path.name} with the best of {len(found.trials)} trials (number {best.number}).\n"
        f"mAP50 {best.map50:.3f} on the validation set after {recipe.tune.steps} steps.",
    )
    write_file(output / "best.toml", text.encode())
    html = page.render(f"{recipe.name}: {place}", found, text)
    write_file(output / "tune.html", html.encode())


def _as_data(place: str, output: Path, found: Found) -> dict[str, Any]:
    import dataclasses

    return {
        "study": place,
        "recipe": str(output / "best.toml"),
        "page": str(output / "tune.html"),
        "best": dataclasses.asdict(found.best),
        "front": found.front,
        "importance": found.importance,
        "trials": [dataclasses.asdict(each) for each in found.trials],
    }
