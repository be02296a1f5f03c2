"""``tartlet run``: from pictures to a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from tartlet_host.commands.options import json_option, say


@click.command()
@click.argument(
    "recipe_path", metavar="RECIPE", type=click.Path(path_type=Path), default="recipe.toml"
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the run; one that was cut off goes on.  [default: runs/<time>]",
)
@click.option(
    "--train",
    type=click.Path(path_type=Path),
    help="Pictures to learn from, instead of the recipe's.",
)
@click.option(
    "--test",
    type=click.Path(path_type=Path),
    help="Pictures to measure on, instead of the recipe's.",
)
@click.option("--no-check", is_flag=True, help="Do not look at the pictures first.")
@json_option
def command(
    recipe_path: Path,
    output: Path | None,
    train: Path | None,
    test: Path | None,
    no_check: bool,
    as_json: bool,
) -> None:
    """Follow RECIPE from pictures to a bundle: check, train, prune, quantize, measure, package.

    [data] of the recipe says where the pictures are. Everything that is decided is decided on
    validation pictures; test pictures, if there are any, decide nothing. Of all the models that
    come out the fastest int8 one is packaged that loses no more accuracy than [gate] allows and
    sees what its float parent sees; if there is none, nothing is packaged and the run says why.

    \b
    Examples:
      tartlet init birds --label tit --label sparrow     write a recipe, then name the pictures
      tartlet run birds/recipe.toml
      tartlet run birds/recipe.toml -o runs/birds        the same again goes on after a break
    \b
    Results: report.html (look at it), summary.json, the checkpoints, the models, the bundle.
    Next:    tartlet push runs/latest/bundle
    \b
    JSON: summary.json: {candidates: [{name, map50, validation_map50, latency_p50_ms, speedup,
          packaged, refusal, ...}], steps, seconds, machine, bundle, ...}
    """
    import time

    import msgspec
    from rich.console import Console

    from tartlet_host import recipe as recipes
    from tartlet_host import runs
    from tartlet_host.files import write_atomically
    from tartlet_host.interruption import asking_to_stop
    from tartlet_host.run import data as run_data
    from tartlet_host.run import page, pipeline, summary
    from tartlet_host.run.timeline import Timeline

    recipe = recipes.load_recipe(recipe_path)
    # An absolute path stays what it is when it is joined to the recipe's folder.
    given = {"train": train, "test": test}
    paths = {name: str(path.absolute()) for name, path in given.items() if path is not None}
    recipe = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, **paths))
    folder = output if output is not None else runs.new_run()
    folder.mkdir(parents=True, exist_ok=True)
    say(f"results go to {folder}")
    started = time.monotonic()
    timeline = Timeline(quiet=as_json)
    with timeline.step("Reading the pictures") as report:
        data = run_data.gather(recipe, recipe_path.parent, folder, report)
    checked = None
    if not no_check:
        with timeline.step("Checking the pictures") as report:
            checked = run_data.look(data, recipe, report, thumbnails=60)
    with asking_to_stop(say) as stop:
        outcome = pipeline.run(recipe, data, folder, timeline, checked=checked, stop=stop)
    measured = pipeline.summarise(outcome, timeline, time.monotonic() - started)
    write_atomically(folder / "summary.json", summary.to_json(measured))
    path = page.write(outcome, measured, folder)
    if output is None:
        runs.mark_latest(folder)
    if as_json:
        click.echo(summary.to_json(measured).decode(), nl=False)
        return
    Console(highlight=False).print(summary.tables(measured))
    click.echo(f"{measured.seconds / 60:.1f} minutes in all; look at {path}")
    say(f"next: tartlet push {outcome.bundle.folder}")
