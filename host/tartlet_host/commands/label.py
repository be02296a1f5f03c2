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


SCORE = click.FloatRange(0, 1)


@click.command()
@click.argument("pictures", required=False, type=click.Path(path_type=Path))
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    help="Label PICTURES with what this checkpoint, model or bundle sees in them.",
)
@click.option(
    "--from-motion",
    "footage",
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
@click.option("--sure", type=SCORE, help="With --teacher: score that makes a box.  [default: 0.6]")
@click.option(
    "--unsure",
    type=SCORE,
    help="With --teacher: score that makes a region to ignore; below is background.  "
    "[default: 0.25]",
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="With --teacher: labelled pictures to find both scores on, for each class.",
)
@json_option
def command(
    pictures: Path | None,
    teacher: Path | None,
    footage: Path | None,
    output: Path,
    frames: tuple[int, int | None],
    label: str,
    model: Path | None,
    sure: float | None,
    unsure: float | None,
    validation: Path | None,
    as_json: bool,
) -> None:
    """Label pictures without a person: from motion, or by a detector that knows already.

    With --from-motion, the footage of a camera that stands still. What differs from the empty
    scene and has the size that a person has at that place becomes a box; what moves but cannot be
    told is marked to be ignored, so that it is not taught as background.

    With --teacher, PICTURES (a folder, a video, a data set that lacks labels) get what a bigger
    detector sees in them. What it is sure of becomes a box, what it is unsure of a region to
    ignore; pictures that have labels keep them.

    Look at the contact sheets before you train: boxes are orange, ignored regions dashed blue.

    \b
    Examples:
      tartlet label --from-motion footage.avi --frames 1-500 --output data
      tartlet label --from-motion footage.avi --output data2 --refine runs/latest/parent.safetensors
      tartlet label photos --teacher big.safetensors --validation labelled --output data
    \b
    Next:  tartlet train data
    \b
    JSON: {dataset, pictures, boxes, ignored, sheets: [file]}
    """
    from tartlet_shared import errors

    if footage is not None and teacher is None and pictures is None:
        labelled = _from_motion(footage, output, frames, label, as_json)
        if model is not None:
            labelled = _refined(labelled, model, output, as_json)
    elif teacher is not None and pictures is not None and footage is None:
        labelled = _taught(pictures, teacher, output, sure, unsure, validation, as_json)
    else:
        raise errors.UsageError(
            "say where the labels come from: motion in FOOTAGE, or a TEACHER for PICTURES",
            hint="tartlet label --from-motion FOOTAGE, or tartlet label PICTURES --teacher MODEL",
        )
    _tell(labelled, output, as_json)


def _tell(labelled: Labelled, output: Path, as_json: bool) -> None:
    from tartlet_host.dataset.sample import count

    number = len(labelled.dataset.samples)
    boxes, ignored = count(labelled.dataset)
    if as_json:
        print_json(
            {
                "dataset": str(labelled.path),
                "pictures": number,
                "boxes": boxes,
                "ignored": ignored,
                "sheets": [str(sheet) for sheet in labelled.sheets],
            }
        )
        return
    click.echo(f"{labelled.path}: {number} pictures, {boxes} boxes, {ignored} regions to ignore")
    if not boxes:
        say("nothing was labelled: does the camera stand still, does the teacher know what it is?")
    say(f"look at {output / 'sheets'}; next: tartlet train {output}")


def _from_motion(
    footage: Path, output: Path, frames: tuple[int, int | None], label: str, as_json: bool
) -> Labelled:
    from tartlet_host.dataset.from_motion import label_from_motion
    from tartlet_host.progress import bar

    with bar("Labelling from motion", quiet=as_json) as report:
        return label_from_motion(
            footage, output, label, first=frames[0], last=frames[1], progress=report
        )


def _taught(
    pictures: Path,
    teacher: Path,
    output: Path,
    sure: float | None,
    unsure: float | None,
    validation: Path | None,
    as_json: bool,
) -> Labelled:
    from tartlet_host.dataset import pseudo
    from tartlet_host.dataset.from_motion import save
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar
    from tartlet_shared import errors

    if validation is not None and (sure is not None or unsure is not None):
        raise errors.UsageError("--validation finds the scores that --sure and --unsure would set")
    judges = None if validation is None else read_dataset(validation)
    # A bare model file has no labels inside: the labelled pictures name them, if there are any.
    names = None if judges is None else judges.labels
    predictor = open_predictor(teacher, labels=names, threads=None)
    dataset = read_dataset(pictures, labels=predictor.labels, unlabelled=True)
    if judges is not None:
        with bar("Finding the thresholds", quiet=as_json) as report:
            thresholds = pseudo.measured(predictor, judges, progress=report)
        for name, high, low in zip(
            predictor.labels, thresholds.sure, thresholds.unsure, strict=True
        ):
            say(f"{name}: a box from a score of {high:.2f}, ignored from {low:.2f}")
    else:
        thresholds = pseudo.fixed(
            len(predictor.labels),
            pseudo.SURE if sure is None else sure,
            pseudo.UNSURE if unsure is None else unsure,
        )
    with bar("Labelling with the teacher", quiet=as_json) as report:
        labelled = pseudo.pseudo_label(dataset, predictor, thresholds, progress=report)
    return save(labelled, output, f"Made by tartlet with {teacher.name} as teacher, not by hand.")


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
