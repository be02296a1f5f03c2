"""``tartlet label``: training boxes without a labelling party."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import json_option, print_json, say

if TYPE_CHECKING:
    from tartlet_host.dataset.from_motion import Labelled


def frame_range(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[int, int | None]:
    """``1-500``, ``500-`` or ``7``: frames counted from 1, both ends included."""
    match = re.fullmatch(r"(\d+)(-(\d*))?", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a range of frames such as 1-500")
    first = int(match[1])
    last = first if match[2] is None else int(match[3]) if match[3] else None
    if first < 1 or (last is not None and last < first):
        raise click.BadParameter(f"{value!r}: frames count from 1, the first comes first")
    return first, last


@click.command()
@click.option(
    "--from-motion",
    "footage",
    required=True,
    type=click.Path(path_type=Path),
    help="Footage of a fixed camera: a video file, or a folder of frames in name order.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="data",
    show_default=True,
    help="Folder for labels.json, frames and contact sheets.",
)
@click.option(
    "--frames",
    metavar="RANGE",
    callback=frame_range,
    default="1-",
    help="Only these, such as 1-500.",
)
@click.option("--label", default="person", show_default=True, help="What it is that moves.")
@click.option(
    "--refine",
    "model",
    type=click.Path(path_type=Path),
    help="Merge in what this checkpoint, model or bundle sees: a second round of labels.",
)
@json_option
def command(
    footage: Path,
    output: Path,
    frames: tuple[int, int | None],
    label: str,
    model: Path | None,
    as_json: bool,
) -> None:
    """Label what moves in the footage of a camera that stands still.

    What differs from the empty scene and has the size that a person has at that place becomes a
    box; what moves but cannot be told is marked to be ignored, so that it is not taught as
    background. Look at the contact sheets before you train: boxes are orange, ignored regions
    dashed blue.

    \b
    Examples:
      tartlet label --from-motion footage.avi --frames 1-500 --output data
      tartlet label --from-motion footage.avi --output data2 --refine runs/latest/parent.safetensors
    \b
    Next:  tartlet train data
    \b
    JSON: {dataset, pictures, boxes, ignored, sheets: [file]}
    """
    from tartlet_host.dataset.from_motion import label_from_motion
    from tartlet_host.dataset.sample import count
    from tartlet_host.progress import bar

    with bar("Labelling from motion", quiet=as_json) as report:
        labelled = label_from_motion(
            footage, output, label, first=frames[0], last=frames[1], progress=report
        )
    if model is not None:
        labelled = _refined(labelled, model, output, as_json)
    pictures = len(labelled.dataset.samples)
    boxes, ignored = count(labelled.dataset)
    if as_json:
        print_json(
            {
                "dataset": str(labelled.path),
                "pictures": pictures,
                "boxes": boxes,
                "ignored": ignored,
                "sheets": [str(sheet) for sheet in labelled.sheets],
            }
        )
        return
    click.echo(f"{labelled.path}: {pictures} frames, {boxes} boxes, {ignored} regions to ignore")
    if not boxes:
        say("nothing was labelled: does the camera stand still, and do whole things move?")
    say(f"look at {output / 'sheets'}; next: tartlet train {output}")


def _refined(labelled: Labelled, model: Path, output: Path, as_json: bool) -> Labelled:
    import dataclasses

    from tartlet_host.dataset.from_motion import DESCRIPTION, save
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.dataset.refine import refine
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar
    from tartlet_shared import errors

    dataset = labelled.dataset
    predictor = open_predictor(model, labels=dataset.labels, threads=None)
    if predictor.labels != dataset.labels:
        raise errors.UnknownClass(
            f"the model knows {', '.join(predictor.labels)}, the footage is labelled "
            f"{', '.join(dataset.labels)}",
            where=str(model),
            hint=f"label with --label {predictor.labels[0]}, or refine with another model",
        )
    samples = []
    with bar("Refining with the model", quiet=as_json) as report:
        for sample in dataset.samples:
            samples.append(refine(sample, predictor.predict(read_picture(sample))))
            report(len(samples), len(dataset.samples))
    refined = dataclasses.replace(dataset, samples=tuple(samples))
    return save(refined, output, f"{DESCRIPTION} Refined with {model.name}.")
