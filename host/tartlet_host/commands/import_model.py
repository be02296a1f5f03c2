"""``tartlet import``: someone else's model becomes a bundle that a device accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tartlet_host.commands.options import json_option, print_json, read_file, say, size, write_file
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_device.preprocess import Picture
    from tartlet_host.foreign.importing import Imported
    from tartlet_host.foreign.labels import Labels
    from tartlet_shared.bundle import Bundle
    from tartlet_shared.detections import Detections


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    help="Text file, one class a line.  [default: the names inside MODEL, where there are any]",
)
@click.option(
    "--picture",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Picture with something to see; several times. They become the bundle's self-test.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Score from which an object counts as seen.",
)
@click.option(
    "--size", "wanted", metavar="WxH", help="Input size, for a model that leaves it open."
)
@click.option(
    "--fit",
    type=click.Choice(["auto", "letterbox", "stretch"]),
    default="auto",
    help="How pictures were placed when the model was trained.",
)
@click.option(
    "--scale",
    type=click.Choice(["auto", "0-1", "-1-1", "0-255", "imagenet"]),
    default="auto",
    help="What pixels become, for a float input.",
)
@click.option("--bgr", is_flag=True, help="The model wants blue first.")
@click.option("--background", is_flag=True, help="The model's class 0 is the background.")
@click.option("--name", help="Of the model, for people.  [default: the file's]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder to write.  [default: NAME-bundle beside MODEL]",
)
@json_option
def command(
    model: Path,
    labels_file: Path | None,
    files: tuple[Path, ...],
    threshold: float,
    wanted: str | None,
    fit: Literal["auto", "letterbox", "stretch"],
    scale: Literal["auto", "0-1", "-1-1", "0-255", "imagenet"],
    bgr: bool,
    background: bool,
    name: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Seal MODEL, a .tflite or .onnx file that tartlet did not make, into a bundle.

    Known heads: SSD with TFLite's post-processing, YOLOv5, YOLOv8 and its successors, YOLO with
    finished objects, classification. Which one it is is read off the tensors; what they do not tell
    is assumed and said. Look at the picture that is written: boxes in wrong places or of wrong
    names mean that an assumption was wrong. Without --picture nothing is sealed.

    \b
    Examples:
      tartlet import yolov8n.onnx --picture street.jpg
      tartlet import ssd.tflite --labels labels.txt --picture street.jpg -o ssd
    \b
    Next:  tartlet push yolov8n-bundle
    \b
    JSON: {head, notes, labels, input, bundle, digest, pictures: [{file, drawn, detections:
           [{xyxy, score, label}]}]}; bundle and digest are null where nothing was sealed
    """
    from tartlet_device.pictures import decode_picture
    from tartlet_host.annotate import draw
    from tartlet_host.foreign.importing import Wishes, drawn_picture, imported

    labels = _labels(model, labels_file)
    pictures = [decode_picture(read_file(file), where=str(file)) for file in files]
    wishes = Wishes(
        size=_size(wanted),
        scale=scale,
        fit=fit,
        bgr=bgr,
        background=background,
        score_threshold=threshold,
    )
    folder = output or model.with_name(f"{model.stem}-bundle")
    with imported(model, labels, pictures, wishes=wishes) as found:
        canvas = found.predictor.detector.preprocessing
        shown = pictures or [drawn_picture(canvas.width, canvas.height)]
        looks = [found.predictor.detector.detect(rgb)[0] for rgb in shown]
        drawings = [folder.with_name(f"{folder.name}-{k}.jpg") for k in range(len(shown))]
        for rgb, detections, drawing in zip(shown, looks, drawings, strict=True):
            write_file(drawing, _jpeg(draw(rgb, detections, labels.names)))
        if not as_json:
            _say_what_it_is(model, found)
            _say_what_it_sees(files, looks, drawings, labels)
        bundle = _sealed(found, pictures, folder, name or model.stem) if pictures else None
    if as_json:
        print_json(_as_data(found, files, looks, drawings, bundle))
    elif bundle is None:
        say("nothing sealed: give --picture with something in it, for the device's self-test")
    else:
        total = sum(entry.size for entry in bundle.manifest.files)
        click.echo(f"{bundle.folder}  {size(total)}  {bundle.digest[:12]}")
        say(f"next: tartlet push {bundle.folder}")


def _labels(model: Path, file: Path | None) -> Labels:
    from tartlet_host.foreign.labels import labels_inside, read_labels

    if file is not None:
        return read_labels(file)
    inside = labels_inside(model) if model.is_file() else None
    if inside is None:
        raise errors.UsageError(
            "the model has no class names inside" if model.is_file() else "no such file",
            where=str(model),
            hint="give a text file with one class a line: --labels labels.txt",
        )
    return inside


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = re.fullmatch(r"(\d{2,4})(?:x(\d{2,4}))?", text)
    if sides is None:
        raise errors.UsageError(f"{text!r} is no size", where="--size", hint="such as 640x480")
    return int(sides[1]), int(sides[2] or sides[1])


def _sealed(found: Imported, pictures: list[Picture], folder: Path, name: str) -> Bundle:
    from tartlet_host import golden_pictures, package

    predictor = found.predictor
    return package.build_bundle(
        predictor,
        folder,
        name=name,
        golden=[golden_pictures.limited(rgb) for rgb in pictures],
        provenance={
            **package.provenance(predictor),
            "imported_as": found.head,
            "assumed": "; ".join(found.notes),
        },
    )


def _jpeg(rgb: Picture) -> bytes:
    from tartlet_device.pictures import encode_jpeg

    return encode_jpeg(rgb, 90)


def _say_what_it_is(model: Path, found: Imported) -> None:
    detector = found.predictor.detector
    canvas, tensor = detector.preprocessing, found.predictor.runtime.input
    click.echo(f"{model.name}: {found.head}, {len(detector.labels)} classes")
    click.echo(f"  input {canvas.width}x{canvas.height} {tensor.dtype}, {canvas.layout.upper()}")
    for note in found.notes:
        click.echo(f"  assumed: {note}")


def _say_what_it_sees(
    files: tuple[Path, ...], looks: list[Detections], drawings: list[Path], labels: Labels
) -> None:
    titles = [file.name for file in files] or ["a drawn picture"]
    for title, detections, drawing in zip(titles, looks, drawings, strict=True):
        named = [f"{labels.names[class_id]} {score:.2f}" for _, score, class_id in detections]
        more = f" and {len(named) - 8} more" if len(named) > 8 else ""
        click.echo(f"  {title}: {', '.join(named[:8]) or 'nothing'}{more}  ({drawing})")


def _as_data(
    found: Imported,
    files: tuple[Path, ...],
    looks: list[Detections],
    drawings: list[Path],
    bundle: Bundle | None,
) -> dict[str, Any]:
    detector = found.predictor.detector
    canvas = detector.preprocessing
    return {
        "head": found.head,
        "notes": list(found.notes),
        "labels": list(detector.labels),
        "input": {"width": canvas.width, "height": canvas.height, "fit": canvas.fit},
        "bundle": None if bundle is None else str(bundle.folder),
        "digest": None if bundle is None else bundle.digest,
        "pictures": [
            {
                "file": str(file) if file else None,
                "drawn": str(drawing),
                "detections": [
                    {
                        "xyxy": [round(side, 2) for side in box],
                        "score": round(score, 4),
                        "label": detector.labels[class_id],
                    }
                    for box, score, class_id in detections
                ],
            }
            for file, detections, drawing in zip(files or (None,), looks, drawings, strict=True)
        ],
    }
