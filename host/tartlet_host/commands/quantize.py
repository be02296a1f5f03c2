"""``tartlet quantize``: a checkpoint becomes int8 model files that a Pi can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say, size

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.evaluate.parity import Parity
    from tartlet_host.quantize.conversion import ModelFile

PARITY_PICTURES = 16


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@data_option("Training pictures to calibrate with")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the model files.  [default: that of CHECKPOINT]",
)
@click.option(
    "--runtime",
    type=click.Choice(["litert", "onnx", "all"]),
    default="all",
    show_default=True,
    help="What will run the model: LiteRT (.tflite), ONNX Runtime (.onnx).",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    help="How many pictures to calibrate with.  [default: the recipe's]",
)
@json_option
def command(
    checkpoint: Path | None,
    dataset: Path,
    output: Path | None,
    runtime: str,
    pictures: int | None,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT to int8, a quarter of the size and a multiple of the speed.

    Without CHECKPOINT, the newest run's pruned.safetensors. The ranges of the activations come
    from pictures of the data set, prepared exactly as the Pi prepares them. Afterwards the int8
    model must see what the float one sees, or the command fails.

    \b
    Examples:
      tartlet quantize --data data
      tartlet quantize runs/latest/pruned.safetensors --data data --runtime litert
    \b
    Next:  tartlet evaluate runs/latest/*-int8.* --data test.json    compare them
           tartlet package runs/latest/pruned-int8.tflite --data data
    \b
    JSON: [{file, runtime, precision, bytes, seconds,
            parity: {agreement, score_difference, iou, ...} or null for the float files}]
    """
    from tartlet_host import runs
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.progress import bar
    from tartlet_host.quantize import calibration, conversion
    from tartlet_host.train import checkpoint as checkpoints

    if checkpoint is None:
        checkpoint = runs.latest("pruned.safetensors")
    recipe = checkpoints.load(checkpoint).recipe
    data = read_dataset(dataset, labels=recipe.labels)
    with bar("Reading calibration pictures", quiet=as_json) as report:
        prepared = calibration.collect(data, recipe, pictures=pictures, progress=report)
    if runtime == "all":
        runtimes = conversion.default_runtimes()
        if "litert" not in runtimes:
            say("there is no converter to TFLite for this machine; the ONNX model is made")
    else:
        runtimes = ("litert",) if runtime == "litert" else ("onnx",)
    with bar("Converting and quantizing", quiet=as_json):
        made = conversion.convert(
            checkpoint,
            output if output is not None else checkpoint.parent,
            runtimes=runtimes,
            calibration=prepared,
        )
    with bar("Comparing int8 with float", quiet=as_json) as report:
        parities = _parities(made, data, recipe.labels, report)
    if as_json:
        print_json([_as_data(each, parities.get(each.path)) for each in made])
        return
    for each in made:
        click.echo(f"{each.path}  {size(each.size)}  {_words(parities.get(each.path))}".rstrip())
    best = next(each for each in made if each.precision == "int8")
    say(f"next: tartlet package {best.path} --data {dataset}")


def _parities(
    made: tuple[ModelFile, ...], data: Dataset, labels: tuple[str, ...], report: Any
) -> dict[Path, Parity]:
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.evaluate import parity
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.quantize.calibration import spread

    pictures = [read_picture(sample) for sample in spread(data.samples, PARITY_PICTURES)]
    by_kind = {(each.runtime, each.precision): each.path for each in made}
    found: dict[Path, Parity] = {}
    for (runtime, precision), path in by_kind.items():
        if precision == "int8":
            reference = open_predictor(by_kind[runtime, "float"], labels=labels)
            candidate = open_predictor(path, labels=labels)
            found[path] = parity.compare(reference, candidate, pictures, progress=report)
    return found


def _as_data(made: ModelFile, parity: Parity | None) -> dict[str, Any]:
    import dataclasses

    return {
        "file": str(made.path),
        "runtime": made.runtime,
        "precision": made.precision,
        "bytes": made.size,
        "seconds": round(made.seconds, 2),
        "parity": None if parity is None else dataclasses.asdict(parity),
    }


def _words(parity: Parity | None) -> str:
    if parity is None:
        return ""
    return (
        f"agrees with float on {parity.agreement:.0%} of {parity.reference} detections, "
        f"scores {parity.score_difference:.3f} apart"
    )
