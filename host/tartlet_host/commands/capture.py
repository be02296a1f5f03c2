"""``tartlet capture``: photos from a device's camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    device_argument,
    json_option,
    print_json,
    session,
    size,
    write_file,
)
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_shared.messages import Photo

_PHOTO = Path("photo.jpg")
_PHOTOS = Path("photos")


@click.command()
@device_argument
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    help="How many consecutive frames.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or for several photos a folder.  [default: photo.jpg, or photos/]",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of the JPEG."
)
@json_option
def command(
    device: str | None, count: int, output: Path | None, quality: int, as_json: bool
) -> None:
    """Take photos with DEVICE's camera.

    Several photos are consecutive frames, none left out; each is named after its number and is
    complete as soon as it is there, so Ctrl-C keeps those that were taken.

    \b
    Examples:
      tartlet capture                       photo.jpg from the only device
      tartlet capture pi -o garden.jpg
      tartlet capture pi -n 200 -o garden   garden/frame-000001.jpg and so on
    \b
    JSON: {device, photos: [{file, width, height, bytes, frame: {number, monotonic_ns}}]}
    """
    from tartlet_host.progress import bar

    target = output or (_PHOTO if count == 1 else _PHOTOS)
    if count > 1 and target.suffix.lower() in (".jpg", ".jpeg") and not target.is_dir():
        raise errors.UsageError(
            f"{count} photos do not fit into one file", where=str(target), hint="give -o a folder"
        )
    in_folder = count > 1 or target.is_dir()
    taken: list[dict[str, Any]] = []
    with session(device) as opened:
        name = opened.device.name
        with bar("Taking photos", quiet=as_json or count == 1) as report:
            for photo in opened.client.capture(count, quality):
                used = {each["file"] for each in taken}
                path = _free_name(target, photo, used) if in_folder else target
                write_file(path, photo.jpeg)
                taken.append(_as_data(path, photo))
                report(len(taken), count)
    if as_json:
        print_json({"device": name, "photos": taken})
        return
    if in_folder:
        total = sum(each["bytes"] for each in taken)
        click.echo(f"{len(taken)} photos in {target}  ({size(total)})")
    else:
        click.echo(f"{target}  ({photo.width}x{photo.height}, {size(len(photo.jpeg))})")


def _free_name(folder: Path, photo: Photo, used: set[str]) -> Path:
    """Named after the frame; replayed footage starts over, and its numbers with it."""
    stem = f"frame-{photo.frame.number:06d}"
    path, again = folder / f"{stem}.jpg", 2
    while str(path) in used:
        path, again = folder / f"{stem}-{again}.jpg", again + 1
    return path


def _as_data(path: Path, photo: Photo) -> dict[str, Any]:
    frame = {"number": photo.frame.number, "monotonic_ns": photo.frame.monotonic_ns}
    return {
        "file": str(path),
        "width": photo.width,
        "height": photo.height,
        "bytes": len(photo.jpeg),
        "frame": frame,
    }
