"""``tartlet quantize``: a checkpoint becomes int8 model files that a Pi can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    data_option,
    json_option,
    print_json,
    say,
    size,
    write_file,
)

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.evaluate.parity import Parity
    from tartlet_host.quantize.candidates import Candidates
    from tartlet_host.quantize.conversion import ModelFile, Precision, RuntimeName
    from tartlet_host.quantize.gate import Gated

PARITY_PICTURES = 16
VALIDATION_PICTURES = 200
"""Where there is no --validation; enough to see a loss of a point."""

PRECISIONS = ("float16", "dynamic", "int8", "int8-signed")


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@data_option("Training pictures to calibrate with")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures to measure the loss on.  [default: some of --data, which is too kind]",
)
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
    "--precision",
    "wanted",
    type=click.Choice(PRECISIONS),
    multiple=True,
    help="What to make beside float and int8; can be repeated.  [default: float16]",
)
@click.option(
    "--calibration",
    "method",
    type=click.Choice(["min-max", "percentile", "entropy"]),
    help="How ranges come from the values seen.  [default: the recipe's]",
)
@click.option(
    "--pictures",
    type=click.IntRange(min=1),
    help="How many pictures to calibrate with.  [default: the recipe's]",
)
@click.option(
    "--aware-steps",
    type=click.IntRange(min=0),
    help="Train so many steps with simulated int8 first.  [default: the recipe's]",
)
@click.option(
    "--largest-loss",
    type=click.FloatRange(0, 1, min_open=True),
    help="mAP50 that int8 may lose before layers stay float.  [default: the recipe's]",
)
@click.option(
    "--float-layers",
    type=click.IntRange(min=0),
    help="How many layers may stay float.  [default: the recipe's]",
)
@click.option(
    "--report",
    "page_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write an HTML page with the error of every layer.",
)
@json_option
def command(
    checkpoint: Path | None,
    dataset: Path,
    validation: Path | None,
    output: Path | None,
    runtime: str,
    wanted: tuple[Precision, ...],
    method: str | None,
    pictures: int | None,
    aware_steps: int | None,
    largest_loss: float | None,
    float_layers: int | None,
    page_path: Path | None,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT to int8, a quarter of the size and a multiple of the speed.

    Without CHECKPOINT, the newest run's pruned.safetensors. The ranges of the activations come
    from pictures of the data set, prepared exactly as the Pi prepares them. Then mAP50 is measured:
    where int8 loses too much, the layers that lose most stay float, and where that does not help
    the command fails. What is not given comes from [quantize] of the recipe inside CHECKPOINT.

    \b
    Examples:
      tartlet quantize --data data --validation holdout
      tartlet quantize runs/latest/pruned.safetensors --data data --runtime litert
      tartlet quantize --data data --calibration entropy --report layers.html
      tartlet quantize --data data --precision dynamic --precision int8-signed
    \b
    Next:  tartlet bench runs/latest/pruned-*.tflite          which is the fastest?
           tartlet package runs/latest/pruned-int8.tflite --data data
    \b
    JSON: {map50_float, files: [{file, runtime, precision, bytes, seconds, map50 or null,
           holds, float_layers, layers: [{name, kind, signal_to_noise, own}],
           parity: {agreement, score_difference, iou, ...} or null}]}
    """
    import msgspec

    from tartlet_host import runs
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.progress import bar
    from tartlet_host.quantize import candidates, conversion
    from tartlet_host.train import checkpoint as checkpoints

    if checkpoint is None:
        checkpoint = runs.latest("pruned.safetensors")
    recipe = checkpoints.load(checkpoint).recipe
    asked = {
        "calibration": method,
        "calibration_pictures": pictures,
        "aware_steps": aware_steps,
        "largest_loss": largest_loss,
        "float_layers": float_layers,
    }
    settings = msgspec.structs.replace(
        recipe.quantize, **{name: value for name, value in asked.items() if value is not None}
    )
    data = read_dataset(dataset, labels=recipe.labels)
    if validation is not None:
        judged = read_dataset(validation, labels=recipe.labels)
    else:
        judged = candidates.validation_part(data, VALIDATION_PICTURES)
        say(f"no --validation: the loss is measured on {len(judged.samples)} pictures of --data")
    runtimes = _runtimes(runtime)
    made = candidates.make(
        checkpoint,
        output if output is not None else checkpoint.parent,
        data,
        judged,
        runtimes=runtimes,
        precisions=("float", "int8", *(wanted or ("float16",))),
        quantize=settings,
        stage=lambda name: bar(name, quiet=as_json),
    )
    gated = made.gated
    with bar("Comparing boxes with float", quiet=as_json) as report:
        parities = _parities(gated, judged, recipe.labels, report)
    if page_path is not None:
        _write_page(page_path, made.checkpoint, gated.files)
    if as_json:
        rows = [_as_data(each, gated, parities.get(each.path)) for each in gated.files]
        print_json({"map50_float": made.reference, "files": rows})
        return
    _table(made, parities, conversion.CALIBRATED)
    best = gated.best[0]
    say(f"next: tartlet package {best.path} --data {dataset}")


def _runtimes(asked: str) -> tuple[RuntimeName, ...]:
    from tartlet_host.quantize import conversion

    if asked == "litert":
        return ("litert",)
    if asked == "onnx":
        return ("onnx",)
    runtimes = conversion.default_runtimes()
    if "litert" not in runtimes:
        say("there is no converter to TFLite for this machine; the ONNX models are made")
    return runtimes


def _write_page(path: Path, checkpoint: Path, files: tuple[ModelFile, ...]) -> None:
    from tartlet_host.quantize import page

    write_file(path, page.render(f"int8, layer by layer: {checkpoint.stem}", files).encode())
    say(f"{path}: the error of every layer")


def _table(made: Candidates, parities: dict[Path, Parity], calibrated: tuple[str, ...]) -> None:
    for each in made.gated.files:
        words = [str(each.path), size(each.size)]
        if each.path in made.gated.map50:
            loss = made.reference - made.gated.map50[each.path]
            words.append(f"mAP50 {made.gated.map50[each.path]:.3f} ({-loss:+.3f})")
        words.append(_words(parities.get(each.path)))
        if each.float_layers:
            words.append("float: " + ", ".join(each.float_layers))
        if each.precision in calibrated and each.path in made.gated.map50:
            words.append("" if each in made.gated.best else "loses too much")
        click.echo("  ".join(word for word in words if word))


def _parities(
    gated: Gated, data: Dataset, labels: tuple[str, ...], report: Any
) -> dict[Path, Parity]:
    """Of the files that hold the limit; one that sees other boxes all the same is an error."""
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.evaluate import parity
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.quantize.calibration import spread

    pictures = [read_picture(sample) for sample in spread(data.samples, PARITY_PICTURES)]
    parents = {each.runtime: each.path for each in gated.files if each.precision == "float"}
    found: dict[Path, Parity] = {}
    for each in gated.best:
        reference = open_predictor(parents[each.runtime], labels=labels)
        candidate = open_predictor(each.path, labels=labels)
        found[each.path] = parity.compare(reference, candidate, pictures, progress=report)
    return found


def _as_data(made: ModelFile, gated: Gated, parity: Parity | None) -> dict[str, Any]:
    import dataclasses

    return {
        "file": str(made.path),
        "runtime": made.runtime,
        "precision": made.precision,
        "bytes": made.size,
        "seconds": round(made.seconds, 2),
        "map50": gated.map50.get(made.path),
        "holds": made in gated.best,
        "float_layers": made.float_layers,
        "layers": [
            {
                "name": each.name,
                "kind": each.kind,
                "signal_to_noise": each.signal_to_noise,
                "own": each.own,
            }
            for each in made.layers
        ],
        "parity": None if parity is None else dataclasses.asdict(parity),
    }


def _words(parity: Parity | None) -> str:
    if parity is None:
        return ""
    return (
        f"agrees with float on {parity.agreement:.0%} of {parity.reference} detections, "
        f"scores {parity.score_difference:.3f} apart"
    )
