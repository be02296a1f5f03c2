"""``tartlet export``: a checkpoint as a float model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import json_option, print_json, say, size

if TYPE_CHECKING:
    from tartlet_host.quantize.export import Format

PICTURES = 4


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "torchscript", "tflite"]),
    default="onnx",
    show_default=True,
    help="Of the file.",
)
@click.option(
    "--data",
    "dataset",
    type=click.Path(path_type=Path),
    help="Pictures to compare the file with torch on.  [default: noise]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write.  [default: CHECKPOINT with the format's ending]",
)
@json_option
def command(
    checkpoint: Path | None,
    form: Format,
    dataset: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write CHECKPOINT as a float model that other programs read, checked against torch.

    Without CHECKPOINT, the newest run's parent.safetensors. The model takes a picture as float32
    (1, height, width, 3), RGB, (value - 127) / 128, and gives for each level, fine to coarse,
    scores (1, rows, columns, classes) before the logistic function and boxes (1, rows, columns, 4):
    distances left, top, right and bottom of the cell's centre, in strides.

    \b
    Examples:
      tartlet export
      tartlet export runs/latest/pruned.safetensors --format torchscript --data data
    For a Pi use `tartlet quantize` and `tartlet package` instead: they make int8 and a bundle.
    \b
    Next:  open the file in your own program, or look at it with netron.app
    \b
    JSON: {file, format, bytes, difference, pictures}
    """
    from tartlet_host import runs
    from tartlet_host.progress import bar
    from tartlet_host.quantize import export

    if checkpoint is None:
        checkpoint = runs.latest("parent.safetensors")
    path = output if output is not None else checkpoint.with_suffix(export.SUFFIX[form])
    pictures = []
    if dataset is not None:
        from tartlet_host.dataset.pictures import read_picture
        from tartlet_host.dataset.read import read_dataset
        from tartlet_host.quantize.calibration import spread

        samples = spread(read_dataset(dataset).samples, PICTURES)
        pictures = [read_picture(sample) for sample in samples]
    with bar(f"Exporting to {form}", quiet=as_json):
        made = export.export(checkpoint, path, form, pictures=pictures)
    if as_json:
        print_json(
            {
                "file": str(made.path),
                "format": form,
                "bytes": made.size,
                "difference": made.difference,
                "pictures": made.pictures,
            }
        )
        return
    what = "picture" if dataset is not None else "picture of noise"
    click.echo(
        f"{made.path}  {size(made.size)}  within {made.difference:.1g} of torch on "
        f"{made.pictures} {what}{'s' if made.pictures > 1 else ''}"
    )
    say(f"next: open {made.path} in your own program")
