"""``tartlet data check``: what would spoil a training, before time is spent on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import json_option, print_json, say, write_file

if TYPE_CHECKING:
    from tartlet_host.dataset.check import CheckReport

_SHOWN = 3  # findings of a kind on the terminal; the page and JSON have more
_CLASSES = 12  # on the terminal


@click.command("check")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Data set to judge by: also look for pictures that are in both.",
)
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Whose labels, canvas and split the data are for.  [default: a canvas of 320x256]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with contact sheets, plots and findings: one HTML file.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=0),
    help="That decode pictures; 0 decodes in this one.  [default: one a core, for many pictures]",
)
@json_option
def command(
    dataset: Path,
    validation: Path | None,
    recipe_path: Path | None,
    output: Path | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Look at every picture and box of DATASET for what spoils training.

    Errors (unreadable pictures, impossible boxes, unknown classes, one picture in training and in
    validation) end the command with exit code 10; warnings advise. docs/data.md lists them all.
    Look at the page: wrong labels are found by eye faster than by any program.

    \b
    Examples:
      tartlet data check photos -o check.html
      tartlet data check data/train.json --validation data/validation.json --recipe recipe.toml
    \b
    Next:  tartlet data split photos -o data
    \b
    JSON: {errors, warnings, canvas: [width, height], parts: {train: {pictures, with_boxes,
           background, unlabelled, boxes, ignored, classes: {label: boxes}}, validation: {...}},
           counts: {kind: n}, findings: [{level, kind, where, text, hint}]}
    """
    from tartlet_host.dataset.check import TRAIN, VALIDATION, as_data, check
    from tartlet_host.dataset.check_page import THUMBNAILS, check_page
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.progress import bar
    from tartlet_host.recipe import default_recipe, load_recipe
    from tartlet_shared import errors

    recipe = load_recipe(recipe_path) if recipe_path else None
    labels = recipe.labels if recipe else None
    paths = {TRAIN: dataset} | ({VALIDATION: validation} if validation else {})
    problems: dict[str, list[errors.DatasetError]] = {name: [] for name in paths}
    datasets: dict[str, Dataset] = {}
    for name, path in paths.items():
        datasets[name] = read_dataset(path, labels=labels, problem=problems[name].append)
        labels = datasets[TRAIN].labels
    wanted = recipe or default_recipe(datasets[TRAIN].labels or ("object",))
    with bar("Looking at pictures", quiet=as_json) as progress:
        report = check(
            datasets,
            canvas=wanted.input,
            strides=wanted.model.strides,
            problems=problems,
            random_split=wanted.data.split == "holdout",
            thumbnails=THUMBNAILS if output else 0,
            processes=processes,
            progress=progress,
        )
    if output:
        title = " and ".join(path.name or str(path) for path in paths.values())
        write_file(output, check_page(report, title).encode())
    if as_json:
        print_json(as_data(report))
    else:
        _print(report)
        if output:
            say(f"look at {output}")
    wrong = report.number_of("error")
    if wrong:
        raise errors.DatasetError(
            f"{wrong} error{'s' * (wrong > 1)} in the data set",
            where=str(dataset),
            hint=f"mend them first; {output or 'with -o check.html a page'} shows them",
        )
    if not as_json and not validation:
        say(f"next: tartlet data split {dataset} -o data")


def _print(report: CheckReport) -> None:
    from itertools import groupby

    from tartlet_host.dataset.check import as_data
    from tartlet_host.dataset.findings import KINDS

    for name, part in as_data(report)["parts"].items():
        click.echo(
            f"{name}: {part['pictures']} pictures ({part['with_boxes']} with boxes, "
            f"{part['background']} background, {part['unlabelled']} without a label file), "
            f"{part['boxes']} boxes, {part['ignored']} regions to ignore"
        )
        classes = sorted(part["classes"].items(), key=lambda item: -item[1])
        more = f" and {len(classes) - _CLASSES} classes more" if len(classes) > _CLASSES else ""
        click.echo("  " + ", ".join(f"{label} {n}" for label, n in classes[:_CLASSES]) + more)
    for kind, group in groupby(report.findings, key=lambda finding: finding.kind):
        findings = list(group)
        level = KINDS[kind].level
        head = click.style(level, fg="red" if level == "error" else "yellow", bold=True)
        count = report.counts[kind]
        click.echo(f"{head}  {KINDS[kind].title}" + (f" ({count})" if count > 1 else ""))
        for finding in findings[:_SHOWN]:
            click.echo("  " + (f"{finding.where}: " if finding.where else "") + finding.text)
        if count > _SHOWN:
            click.echo(f"  and {count - _SHOWN} more")
        for hint in dict.fromkeys(finding.hint for finding in findings[:_SHOWN]):
            click.echo(f"  what to do: {hint}")
    numbers = {level: report.number_of(level) for level in ("error", "warning")}
    click.echo(", ".join(f"{n} {level}{'s' * (n != 1)}" for level, n in numbers.items()))
