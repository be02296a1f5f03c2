"""``tartlet train``: a labelled data set becomes a detector."""

from __future__ import annotations

from pathlib import Path

import click

from tartlet_host.commands.options import json_option, print_json, say


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Recipe in TOML; without it, defaults that suit small data sets.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Checkpoint to write.  [default: runs/<time>/parent.safetensors]",
)
@json_option
def command(dataset: Path, recipe_path: Path | None, output: Path | None, as_json: bool) -> None:
    """Train a detector on DATASET, a COCO .json file or a folder with a labels.json.

    \b
    Example:
      tartlet label --from-motion footage.avi --output data
      tartlet train data
    The result is a checkpoint; `tartlet evaluate` measures it, `tartlet prune` makes it smaller.
    """
    from tartlet_host import recipe as recipes
    from tartlet_host import runs
    from tartlet_host.dataset import coco
    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import bar
    from tartlet_host.train import checkpoint
    from tartlet_host.train.loop import fit

    data = coco.read(coco.find(dataset))
    recipe = (
        recipes.load_recipe(recipe_path) if recipe_path else recipes.default_recipe(data.labels)
    )
    path = output if output is not None else runs.new_run() / "parent.safetensors"
    detector = build_detector(recipe)
    with bar("Training", quiet=as_json) as report:
        result = fit(detector, data, recipe, progress=lambda now: report(now.step, now.steps))
    figures = {"final_loss": result.losses[-1], "seconds": result.seconds}
    checkpoint.save(path, detector, recipe, metrics=figures)
    if output is None:
        runs.mark_latest(path.parent)
    if as_json:
        print_json({"checkpoint": str(path), **figures})
        return
    click.echo(f"{path}  ({result.pictures} pictures seen in {result.seconds:.0f} s)")
    say(f"next: tartlet evaluate {path} --data TEST.json")
