"""``tartlet data augment``: what training will see, looked at before it starts."""

from __future__ import annotations

from pathlib import Path

import click

from tartlet_host.commands.options import json_option, print_json, say, write_file


@click.command("augment")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Whose canvas and [train.augment] are shown.  [default: the default recipe]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="augment.html",
    show_default=True,
    help="The page: one HTML file.",
)
@json_option
def command(dataset: Path, recipe_path: Path | None, output: Path, as_json: bool) -> None:
    """Draw pictures of DATASET as training will see them, with their boxes.

    The page shows the first pictures of a run, single pictures in several views, and each change
    that the recipe makes on its own. Look whether you can still tell every object with a box; if
    not, the network cannot learn it either, and [train.augment] asks for too much.

    \b
    Examples:
      tartlet data augment photos
      tartlet data augment data/train.json --recipe recipe.toml -o augment.html
    \b
    Next:  tartlet train data/train.json --recipe recipe.toml
    \b
    JSON: {page, pictures, augment: {key: value}}
    """
    import msgspec

    from tartlet_host.dataset.augment_page import augment_page
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.progress import bar
    from tartlet_host.recipe import default_recipe, load_recipe

    recipe = load_recipe(recipe_path) if recipe_path else None
    data = read_dataset(dataset, labels=recipe.labels if recipe else None)
    recipe = recipe or default_recipe(data.labels or ("object",))
    with bar("Drawing pictures", quiet=as_json) as progress:
        page = augment_page(data, recipe, dataset.name or str(dataset), progress=progress)
    write_file(output, page.encode())
    if as_json:
        print_json(
            {
                "page": str(output),
                "pictures": len(data.samples),
                "augment": msgspec.structs.asdict(recipe.train.augment),
            }
        )
        return
    click.echo(f"{output}: pictures of {dataset} as training will see them")
    say("look at it; next: tartlet train")
