"""``tartlet data convert``: any data set becomes one COCO file."""

from __future__ import annotations

from pathlib import Path

import click

from tartlet_host.commands.options import json_option, print_json, say


@click.command("convert")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for labels.json and the pictures.",
)
@click.option("--link", is_flag=True, help="Leave the pictures where they are; only name them.")
@click.option(
    "--unlabelled",
    is_flag=True,
    help="Take a folder of pictures or a video without any labels as well.",
)
@json_option
def command(dataset: Path, output: Path, link: bool, unlabelled: bool, as_json: bool) -> None:
    """Bring DATASET into COCO's format: OUTPUT/labels.json and OUTPUT/pictures.

    DATASET is a folder or a plain .tar archive with COCO, Pascal VOC, YOLO, LabelMe or CVAT labels,
    or the label file itself; data.yaml#val is one part of it. Every other command reads these
    formats too: convert to keep a copy that no other tool changes, or to take an archive or a video
    apart. Pictures without a label file stay known as unlabelled; they never count as background.

    \b
    Examples:
      tartlet data convert voc-folder -o data
      tartlet data convert yolo/data.yaml#train -o data --link
    \b
    Next:  tartlet data check data
    \b
    JSON: {dataset, labels: [name], pictures, boxes, ignored, background, unlabelled}
    """
    from tartlet_host.dataset.convert import convert
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.dataset.sample import count, count_pictures
    from tartlet_host.progress import bar

    data = read_dataset(dataset, unlabelled=unlabelled)
    with bar("Converting", quiet=as_json) as report:
        made = convert(
            data, output, link=link, description=f"From {dataset.name}.", progress=report
        )
    boxes, ignored = count(made)
    pictures = count_pictures(made)
    if as_json:
        print_json(
            {
                "dataset": str(output / "labels.json"),
                "labels": list(made.labels),
                "pictures": len(made.samples),
                "boxes": boxes,
                "ignored": ignored,
                "background": pictures.background,
                "unlabelled": pictures.unlabelled,
            }
        )
        return
    click.echo(
        f"{output / 'labels.json'}: {len(made.samples)} pictures, {boxes} boxes "
        f"({', '.join(made.labels)})"
    )
    if ignored:
        say(f"{ignored} regions are ignored: marked as difficult or as a crowd")
    if pictures.background:
        say(f"{pictures.background} pictures are background: labelled, with nothing in them")
    if pictures.unlabelled:
        say(f"{pictures.unlabelled} pictures have no label file; they are not taught as background")
    say(f"next: tartlet data check {output}")
