"""``tartlet predict``: what a device sees, now or in a picture sent to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host import health
from tartlet_host.commands.options import (
    device_names_or_files,
    file_and_device,
    json_option,
    print_json,
    read_file,
    session,
    write_file,
)
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_shared.detections import Detections
    from tartlet_shared.picture_messages import Prediction

_OUTPUT = Path("prediction.jpg")


@click.command()
@click.argument("device", required=False, shell_complete=device_names_or_files)
@click.argument("picture", required=False, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=_OUTPUT,
    show_default=True,
    help="Annotated picture to write, .jpg or .png.",
)
@click.option("--no-picture", is_flag=True, help="Write none; none is sent back.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Least score of a detection.  [default: the model's own]",
)
@json_option
def command(
    device: str | None,
    picture: str | None,
    output: Path,
    no_picture: bool,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Show what DEVICE sees: in its next camera frame, or in PICTURE.

    PICTURE is a .jpg or .png file that is sent to the device. The boxes are drawn into a picture,
    prediction.jpg unless -o names another, and listed with where the time went on the device.

    \b
    Examples:
      tartlet predict                       the only device, its camera
      tartlet predict pi -o garden.jpg
      tartlet predict street.jpg            the only device, this picture
      tartlet predict pi street.jpg --threshold 0.5
    \b
    JSON: {device, model, width, height, frame: {number, monotonic_ns} or null,
           detections: [{label, class_id, score, box: [left, top, right, bottom]}],
           timings_ms: {capture, preprocess, inference, postprocess, encode, total, round_trip},
           conditions: {temperature_c, throttled: [word] or null} or null,
           picture: file or null}
    """
    from tartlet_shared.picture_messages import unpack

    if output.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise errors.UsageError("is neither .jpg nor .png", where=str(output))
    file, device = file_and_device(device, picture, file_first=False)
    sent = read_file(file) if file is not None else b""
    with session(device) as opened:
        started = time.perf_counter()
        prediction = opened.client.predict(
            sent, score_threshold=threshold, want_picture=not no_picture
        )
        round_trip_ms = (time.perf_counter() - started) * 1e3
        name = opened.device.name
    detections = unpack(prediction.detections)
    if not no_picture:
        write_file(output, _annotated(sent or prediction.jpeg, detections, prediction, output))
    written = None if no_picture else str(output)
    if as_json:
        print_json(
            {"device": name, **_as_data(prediction, detections, round_trip_ms), "picture": written}
        )
        return
    _print_table(prediction, detections, round_trip_ms)
    if written is not None:
        click.echo(f"boxes drawn in {written}")


def _annotated(
    encoded: bytes, detections: Detections, prediction: Prediction, output: Path
) -> bytes:
    import cv2

    from tartlet_device.pictures import decode_picture
    from tartlet_host import annotate

    picture = decode_picture(encoded, where="the picture")
    drawn = annotate.draw(picture, detections, prediction.labels)
    done, content = cv2.imencode(output.suffix.lower(), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
    if not done:
        raise errors.UsageError("cannot be encoded", where=str(output))
    return content.tobytes()


def _as_data(
    prediction: Prediction, detections: Detections, round_trip_ms: float
) -> dict[str, Any]:
    import msgspec

    frame = prediction.frame
    return {
        "model": prediction.model,
        "width": prediction.width,
        "height": prediction.height,
        "frame": None if frame is None else msgspec.to_builtins(frame),
        "detections": [
            {
                "label": _label(prediction, class_id),
                "class_id": class_id,
                "score": round(score, 4),
                "box": [round(side, 1) for side in box],
            }
            for box, score, class_id in detections
        ],
        "timings_ms": {
            **{name: round(ms, 3) for name, ms in msgspec.to_builtins(prediction.timings).items()},
            "round_trip": round(round_trip_ms, 3),
        },
        "conditions": msgspec.to_builtins(prediction.conditions),
    }


def _print_table(prediction: Prediction, detections: Detections, round_trip_ms: float) -> None:
    if len(detections):
        click.echo(
            f"{'object':<16} {'score':>5}  {'left':>6} {'top':>6} {'right':>6} {'bottom':>6}"
        )
    for (left, top, right, bottom), score, class_id in detections:
        click.echo(
            f"{_label(prediction, class_id):<16} {score:>5.2f}  "
            f"{left:>6.0f} {top:>6.0f} {right:>6.0f} {bottom:>6.0f}"
        )
    if not len(detections):
        click.echo("nothing found")
    spent = prediction.timings
    click.echo(
        f"{prediction.width}x{prediction.height}, model {prediction.model[:12]}: "
        f"capture {spent.capture:.1f}, preprocess {spent.preprocess:.1f}, "
        f"inference {spent.inference:.1f}, postprocess {spent.postprocess:.1f}, "
        f"encode {spent.encode:.1f} ms; {round_trip_ms:.1f} ms to here and back"
    )
    if prediction.conditions is not None:
        problems = health.power_problems(prediction.conditions)
        if problems:
            click.echo(f"slowed down by power or heat: {', '.join(problems)}")


def _label(prediction: Prediction, class_id: int) -> str:
    return prediction.labels[class_id] if class_id < len(prediction.labels) else str(class_id)
