"""``tartlet data split``: pictures to learn from and pictures to judge by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import json_option, print_json, say

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.dataset.split import Fold
    from tartlet_host.dataset.stratify import Classes

Pairs = dict[str, "tuple[Dataset, Dataset]"]
"""Training and validation, by the beginning of their files' names."""


@click.command("split")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for train.json and validation.json; the pictures stay where they are.",
)
@click.option(
    "--by",
    type=click.Choice(["holdout", "grouped", "time", "k-fold", "iterated"]),
    default="holdout",
    show_default=True,
    help="Single pictures; groups of them; the last part of each video; folds.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Part for validation.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True)
@click.option(
    "--repetitions",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="For iterated: each shuffles anew.",
)
@click.option(
    "--group",
    metavar="REGEX",
    default="",
    help="Its first (group), in a picture's path, names what belongs together.  [default: folder]",
)
@click.option(
    "--keep-alike",
    is_flag=True,
    help="Keep pictures that show nearly the same on one side (looks at every picture).",
)
@click.option(
    "--gap",
    type=click.IntRange(min=0),
    help="For time: frames left out between.  [default: a tenth of the validation part]",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@json_option
def command(
    dataset: Path,
    output: Path,
    by: str,
    share: float,
    folds: int,
    repetitions: int,
    group: str,
    keep_alike: bool,
    gap: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Divide DATASET into training and validation, as COCO files that name its pictures.

    Both parts show the same mix of classes, as far as pictures with several classes allow. Frames
    of a video are never shuffled: use --by time. With k-fold each picture judges once; train on
    every fold and take the mean. The same seed gives the same split.

    \b
    Examples:
      tartlet data split photos -o data
      tartlet data split photos -o data --by grouped --group 'day-([0-9]+)'
      tartlet data split clip.mp4-labels -o data --by time --share 0.25
      tartlet data split photos -o folds --by iterated --folds 4 --repetitions 3
    \b
    Next:  tartlet train data/train.json --validation data/validation.json
    \b
    JSON: {labels, splits: [{train: file, validation: file, pictures: {train, validation},
           boxes: {train: {label: boxes}, validation: {...}}}]}
    """
    from tartlet_host.dataset import coco
    from tartlet_host.dataset.read import read_dataset
    from tartlet_shared import errors

    if group and by in ("holdout", "time"):
        raise errors.UsageError(
            f"--group says nothing to --by {by}",
            hint="use --by grouped, k-fold or iterated with it",
        )
    if keep_alike and by == "time":
        raise errors.UsageError(
            "--keep-alike would put a whole video on one side",
            hint="--by time leaves a gap instead; see --gap",
        )
    data = read_dataset(dataset)
    _warn_of_video(data, by)
    if by == "time":
        from tartlet_host.dataset.split import divide_by_time

        pairs: Pairs = {"": divide_by_time(data, share, gap=gap)}
    else:
        keys = _keys(data, by == "grouped", group, keep_alike, quiet=as_json)
        pairs = _pairs(data, by, share, folds, repetitions, seed, keys)
    written = []
    for start, (train, validation) in pairs.items():
        files = {name: output / f"{start}{name}.json" for name in ("train", "validation")}
        for part, path in zip((train, validation), files.values(), strict=True):
            if path.exists() and dataset.exists() and path.samefile(dataset):
                raise errors.UsageError(
                    "this is the data set that is to be split",
                    where=str(path),
                    hint="give another folder with -o",
                )
            coco.write(part, path, f"Part of {dataset.name}, split by {by}.")
        written.append(_as_data(files, train, validation))
    if as_json:
        print_json({"labels": list(data.labels), "splits": written})
        return
    for row in written:
        sizes = row["pictures"]
        click.echo(
            f"{row['train']}: {sizes['train']} pictures; "
            f"{row['validation']}: {sizes['validation']} pictures"
        )
    left_out = len(data.samples) - sum(written[0]["pictures"].values())
    if left_out:
        say(f"{left_out} pictures are in neither: the gap, or unlabelled ones beside validation")
    first = written[0]
    say(f"next: tartlet train {first['train']} --validation {first['validation']}")


def _warn_of_video(data: Dataset, by: str) -> None:
    from tartlet_host.dataset.sample import VideoFrame

    if by != "time" and any(isinstance(each.picture, VideoFrame) for each in data.samples):
        say("these are frames of a video, and neighbours show the same: --by time is for them")


def _keys(
    data: Dataset, grouped: bool, pattern: str, keep_alike: bool, *, quiet: bool
) -> Sequence[Hashable] | None:
    from tartlet_host.dataset.split import group_keys

    keys = group_keys(data.samples, pattern) if grouped or pattern else None
    if not keep_alike:
        return keys
    from tartlet_host.dataset.keep_alike import alike_keys
    from tartlet_host.progress import bar

    with bar("Looking for what is alike", quiet=quiet) as progress:
        return alike_keys(data, keys, progress=progress)


def _pairs(
    data: Dataset,
    by: str,
    share: float,
    folds: int,
    repetitions: int,
    seed: int,
    keys: Sequence[Hashable] | None,
) -> Pairs:
    from tartlet_host.dataset import split
    from tartlet_shared import errors

    def make(count: int, classes: Classes, groups: Sequence[Hashable] | None) -> list[Fold]:
        if by == "k-fold":
            return split.k_fold(count, folds, seed, classes=classes, groups=groups)
        if by == "iterated":
            rounds = split.iterated_k_fold(
                count, folds, repetitions, seed, classes=classes, groups=groups
            )
            return [fold for each in rounds for fold in each]
        return [split.holdout(count, share, seed, classes=classes, groups=groups)]

    try:
        pairs = split.divide(data, make, keys)
    except ValueError as error:
        raise errors.DatasetError(
            f"there are not enough pictures or groups for it: {error}", hint="use fewer --folds"
        ) from error
    if by == "k-fold":
        names = [f"fold-{fold}-" for fold in range(1, folds + 1)]
    elif by == "iterated":
        rounds = range(1, repetitions + 1)
        names = [f"round-{each}-fold-{fold}-" for each in rounds for fold in range(1, folds + 1)]
    else:
        names = [""]
    return dict(zip(names, pairs, strict=True))


def _as_data(files: dict[str, Path], train: Dataset, validation: Dataset) -> dict[str, Any]:
    parts = {"train": train, "validation": validation}
    return {
        **{name: str(path) for name, path in files.items()},
        "pictures": {name: len(part.samples) for name, part in parts.items()},
        "boxes": {name: _boxes(part) for name, part in parts.items()},
    }


def _boxes(part: Dataset) -> dict[str, int]:
    counts = dict.fromkeys(part.labels, 0)
    for sample in part.samples:
        for class_id in sample.class_ids[~sample.ignore].tolist():
            counts[part.labels[class_id]] += 1
    return counts
