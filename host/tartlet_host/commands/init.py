"""``tartlet init``: the start of a project of one's own."""

from __future__ import annotations

from pathlib import Path

import click

RECIPE = """\
# What decides a training, pruning and quantizing run. Every key has a default: a recipe names only
# what it changes. docs/recipe.md describes them all.
name = "{name}"
labels = [{labels}]

[data]             # for `tartlet run`; paths count from this file
train = "data"
split = "holdout"  # how validation pictures are split off; "time" for video, see docs/data.md

[input]            # pixels, multiples of the coarsest stride; smaller is faster, sees less far
height = {height}
width = {width}

[train]
steps = 400
batch_size = 8

[prune]
keep_multiplies = 0.4
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option(
    "--label",
    "labels",
    multiple=True,
    default=("person",),
    show_default=True,
    help="What to recognise; give it once per class, in the order of the class ids.",
)
@click.option("--width", default=320, show_default=True, help="Width of the model's input.")
@click.option("--height", default=256, show_default=True, help="Height of the model's input.")
def command(folder: Path, labels: tuple[str, ...], width: int, height: int) -> None:
    """Start a project in FOLDER (this one by default): a recipe and a place for pictures.

    \b
    Example:
      tartlet init birdhouse --label tit --label sparrow
    Nothing that is there already is overwritten.
    """
    import json
    import re

    from tartlet_host import recipe as recipes
    from tartlet_host.files import write_atomically
    from tartlet_shared import errors

    path = folder / "recipe.toml"
    if path.exists():
        raise errors.UsageError(
            "there is a recipe already",
            where=str(path),
            hint="change it with an editor, or name another folder",
        )
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "detector"
    text = RECIPE.format(
        name=name,
        labels=", ".join(json.dumps(label, ensure_ascii=False) for label in labels),
        width=width,
        height=height,
    )
    recipes.parse_recipe(text, where="the options given")  # refuse before anything is written
    write_atomically(path, text)
    (folder / "data").mkdir(exist_ok=True)
    click.echo(f"{path} is the recipe, {folder / 'data'} the place for pictures")
    click.echo(
        f"next: put labelled pictures of any format into {folder / 'data'} (docs/data.md), then\n"
        f"        tartlet data check {folder / 'data'}\n"
        f"        tartlet run {path}\n"
        "  or begin with the footage of a fixed camera: tartlet label --from-motion FOOTAGE "
        f"--label {labels[0]} --output {folder / 'data'}",
        err=True,
    )
