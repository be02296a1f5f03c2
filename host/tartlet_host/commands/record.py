"""``tartlet record``: a clip of what a device's camera sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    device_argument,
    json_option,
    print_json,
    say,
    session,
    size,
    writing,
)
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.recording import Recording
    from tartlet_shared.record_messages import Recorded

_CLIP = Path("clip.mp4")


@click.command()
@device_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=_CLIP,
    show_default=True,
    help="File to write, .mp4; the track of detections is beside it, .jsonl.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    help="Stop after so long.  [default: at Ctrl-C, an hour at most]",
)
@click.option(
    "--fps",
    type=click.FloatRange(0.5, 60),
    default=30,
    show_default=True,
    help="Frames per second at most; the camera may give fewer.",
)
@click.option(
    "--bitrate",
    type=click.IntRange(50, 50_000),
    default=4000,
    show_default=True,
    help="Kilobits that a second may take.",
)
@click.option("--full", is_flag=True, help="As large as `tartlet capture`'s photos.")
@click.option("--no-detect", is_flag=True, help="Do not look at the frames.")
@json_option
def command(
    device: str | None,
    output: Path,
    seconds: float | None,
    fps: float,
    bitrate: int,
    full: bool,
    no_detect: bool,
    as_json: bool,
) -> None:
    """Record what DEVICE's camera sees, as H.264 in an MP4 file.

    The device encodes; the clip comes over the connection as it is made. Ctrl-C ends the recording:
    the clip is whole then, and it is too if the connection ends. Beside it a .jsonl file has a line
    for each frame, with what the model saw in it. Frames that encoder or connection are too slow
    for are dropped and counted; fewer --fps or a lower --bitrate help.

    \b
    Examples:
      tartlet record                              clip.mp4, until Ctrl-C
      tartlet record garden --seconds 20 -o cat.mp4
      tartlet record --fps 10 --bitrate 800       for a slow connection
    \b
    JSON: {device, file, track, seconds, frames, dropped, looked_at, bytes}
    A line of the track: {time_ms, frame, monotonic_ns, time_s, clock_synchronized, width, height,
          tracks: [{track_id, label, score, xyxy, frames, since_ns, zones}] or null}
    """
    from tartlet_host.recording import Recording
    from tartlet_shared.record_messages import LONGEST_S

    if output.suffix.lower() != ".mp4":
        raise errors.UsageError("does not end in .mp4", where=str(output))
    with session(device) as opened, contextlib.closing(Recording(output)) as recording:
        parts = opened.client.record(
            seconds=seconds or LONGEST_S,
            rate=fps,
            bitrate_kbps=bitrate,
            full=full,
            detect=not no_detect,
        )
        _take(parts, recording, quiet=as_json)
        name = opened.device.name
    if as_json:
        print_json({"device": name, **_as_data(recording)})
        return
    dropped = f" and {recording.dropped} dropped" if recording.dropped else ""
    click.echo(
        f"{output}  ({recording.seconds:.1f} s, {recording.frames} frames{dropped}, "
        f"{size(output.stat().st_size)})"
    )
    click.echo(f"{recording.track_path}  (the model looked at {recording.looked_at} frames)")


def _take(parts: Iterator[Recorded], recording: Recording, *, quiet: bool) -> None:
    """Until the end, or Ctrl-C, or a fault; what came until then is a whole clip."""
    from tartlet_host.interruption import asking_to_stop
    from tartlet_host.progress import live_line

    try:
        # Not in the middle of a write, which would leave half a picture in the clip.
        with (
            asking_to_stop(lambda text: None) as stop,
            live_line("waiting for the first frame", quiet=quiet) as show,
        ):
            for part in parts:
                recording.add(part)
                show(_so_far(recording))
                if stop():
                    break
    except BaseException:
        with writing(recording.path):
            kept = recording.finish()
        if kept:
            say(f"{recording.path} has the {recording.seconds:.1f} s until then")
        raise
    with writing(recording.path):
        if not recording.finish():
            raise errors.DeviceError("not one frame came", hint="`tartlet status` may say why")


def _as_data(recording: Recording) -> dict[str, Any]:
    return {
        "file": str(recording.path),
        "track": str(recording.track_path),
        "seconds": round(recording.seconds, 3),
        "frames": recording.frames,
        "dropped": recording.dropped,
        "looked_at": recording.looked_at,
        "bytes": recording.path.stat().st_size,
    }


def _so_far(recording: Recording) -> str:
    dropped = f", {recording.dropped} dropped" if recording.dropped else ""
    return (
        f"recording {recording.seconds:.1f} s  {size(recording.size)}  "
        f"{recording.frames} frames{dropped}  (Ctrl-C ends it)"
    )
