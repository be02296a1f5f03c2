"""``tartlet capture``: photos from a device's camera, one, a burst, or one every so often."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    device_argument,
    json_option,
    lasting_session,
    print_json,
    say,
    session,
    size,
    writing,
)
from tartlet_host.commands.times import Duration
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.remote.session import Session
    from tartlet_shared.picture_messages import Photo

_PHOTO = Path("photo.jpg")
_PHOTOS = Path("photos")


@click.command()
@device_argument
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 100_000),
    help="How many consecutive frames; with --every, how many photos.  [default: 1]",
)
@click.option("--every", type=Duration(), help="Take one every 10s, 5m, 1h30m: a time lapse.")
@click.option("--for", "length", type=Duration(), help="End the time lapse after 2h, 3d, ...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File, or for several photos a folder.  [default: photo.jpg, or photos/]",
)
@click.option(
    "--detect/--no-detect",
    default=None,
    help="Have the model look at them, if one serves.  [default: yes, but not in a burst]",
)
@click.option("--boxes", is_flag=True, help="Draw what it sees into the photos.")
@click.option(
    "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of the JPEG."
)
@json_option
def command(
    device: str | None,
    count: int | None,
    every: float | None,
    length: float | None,
    output: Path | None,
    detect: bool | None,
    boxes: bool,
    quality: int,
    as_json: bool,
) -> None:
    """Take photos with DEVICE's camera, as large as it gives them.

    What the model sees in a photo is in its Exif comment, and in a .json file beside it. Several
    photos are consecutive frames, none left out, named after their numbers. With --every they are a
    time lapse, named by the time; if the connection or the camera fails, it is tried again until
    the end. No photo of a folder is written over, and every file is whole, also after Ctrl-C.

    \b
    Examples:
      tartlet capture                            photo.jpg and photo.json from the only device
      tartlet capture garden -o garden.jpg --boxes
      tartlet capture garden -n 200 -o walk      a burst: walk/frame-000001.jpg and so on
      tartlet capture garden --every 10s --for 2h -o day
    \b
    JSON: {device, missed, photos: [{file, width, height, bytes, frame: {number, monotonic_ns},
           model, time_s, clock_synchronized, detections: [{label, class_id, score, box}]}]};
           from model on only if one looked
    """
    if length is not None and every is None:
        raise errors.UsageError("--for is for a time lapse", hint="give --every too")
    if boxes and detect is False:
        raise errors.UsageError("--boxes and --no-detect exclude each other")
    burst = every is None and (count or 1) > 1
    looks = boxes or (not burst if detect is None else detect)
    target = output or (_PHOTOS if burst or every is not None else _PHOTO)
    in_folder = burst or every is not None or target.is_dir()
    _check(target, in_folder)
    written = _Written(target, in_folder=in_folder, boxes=boxes, quality=quality, keep=as_json)
    if every is None:
        with session(device) as opened:
            name, missed = opened.device.name, 0
            _take_burst(opened, count or 1, written, looks, quiet=as_json)
    else:
        name, missed = _take_time_lapse(device, every, length, count, written, looks, quiet=as_json)
    if as_json:
        print_json({"device": name, "missed": missed, "photos": written.photos})
    else:
        _print(written, missed)
    if boxes and "detections" not in written.last:
        say("no model serves on the device, so there are no boxes")


class _Written:
    """Photos that were written, and where the next one goes.

    Attributes:
        count, size: of all, and their bytes.
        last: what there is to say about the last one.
        photos: about all of them, if that is to be kept: a time lapse may run for weeks.
    """

    def __init__(
        self, target: Path, *, in_folder: bool, boxes: bool, quality: int, keep: bool
    ) -> None:
        self.target, self.in_folder = target, in_folder
        self._boxes, self.quality, self._keep = boxes, quality, keep
        self.count = self.size = 0
        self.last: dict[str, Any] = {}
        self.photos: list[dict[str, Any]] = []

    def add(self, photo: Photo, stem: str) -> None:
        from tartlet_host import photos

        path = photos.free_name(self.target, stem) if self.in_folder else self.target
        with writing(path):
            self.last = photos.write(path, photo, boxes=self._boxes, quality=self.quality)
        self.count += 1
        self.size += self.last["bytes"]
        if self._keep:
            self.photos.append(self.last)


def _check(target: Path, in_folder: bool) -> None:
    suffix = target.suffix.lower()
    if in_folder and suffix in (".jpg", ".jpeg") and not target.is_dir():
        raise errors.UsageError(
            "several photos do not fit into one file", where=str(target), hint="give -o a folder"
        )
    if not in_folder and suffix not in ("", ".jpg", ".jpeg"):
        raise errors.UsageError("photos are JPEG files, .jpg", where=str(target))


def _take_burst(
    opened: Session, count: int, written: _Written, looks: bool, *, quiet: bool
) -> None:
    from tartlet_host.progress import bar

    with bar("Taking photos", quiet=quiet or count == 1) as report:
        for photo in opened.client.capture(count, written.quality, detect=looks):
            written.add(photo, f"frame-{photo.frame.number:06d}")
            report(written.count, count)


def _take_time_lapse(
    device: str | None,
    every_s: float,
    length_s: float | None,
    count: int | None,
    written: _Written,
    looks: bool,
    *,
    quiet: bool,
) -> tuple[str, int]:
    from tartlet_host import time_lapse
    from tartlet_host.progress import live_line

    plan = time_lapse.Plan(every_s, length_s, count)
    missed = time_lapse.Missed()
    of = "" if plan.photos is None else f" of {plan.photos}"

    def take(opened: Session) -> Photo:
        (photo,) = opened.client.capture(1, written.quality, detect=looks)
        return photo

    with (
        lasting_session(device, time_lapse.PASSING) as lasting,
        live_line("waiting for the first photo", quiet=quiet) as show,
        _until_interrupted(written),
    ):
        for photo in time_lapse.taken(lasting, plan, take, missed=missed):
            written.add(photo, _time_name(datetime.datetime.now(), exact=every_s < 1))
            show(f"{written.count}{of} photos, {missed.count} missed  (Ctrl-C ends it)")
    return lasting.name, missed.count


def _time_name(now: datetime.datetime, *, exact: bool) -> str:
    """In alphabetical order they are in the order of time."""
    return f"{now:%Y-%m-%d_%H-%M-%S}" + (f"-{now.microsecond // 1000:03d}" if exact else "")


@contextlib.contextmanager
def _until_interrupted(written: _Written) -> Iterator[None]:
    """Ctrl-C is how a time lapse ends, once there is something of it."""
    try:
        yield
    except KeyboardInterrupt:
        if not written.count:
            raise


def _print(written: _Written, missed: int) -> None:
    if written.in_folder:
        without = f", {missed} missed" if missed else ""
        click.echo(f"{written.count} photos in {written.target}  ({size(written.size)}){without}")
        return
    photo = written.last
    click.echo(f"{photo['file']}  ({photo['width']}x{photo['height']}, {size(photo['bytes'])})")
    if "detections" in photo:
        seen = ", ".join(f"{each['label']} {each['score']:.2f}" for each in photo["detections"])
        click.echo(f"{Path(photo['file']).with_suffix('.json')}  ({seen or 'nothing found'})")
