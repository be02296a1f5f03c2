"""``tartlet events``: what a device kept of what its rules found."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import (
    device_argument,
    duration,
    json_option,
    lasting_session,
    print_json,
    say,
    size,
)
from tartlet_host.commands.times import When

if TYPE_CHECKING:
    from tartlet_host.event_files import Pulled
    from tartlet_shared.event_messages import EventFolder, ListedEvent

_SHOWN = 50
_HEADINGS = ("when", "rule", "label", "zone", "duration", "score", "picture", "clip")


@click.command()
@device_argument
@click.option(
    "--since", type=When(), help="Began then or later: 2h (ago), today, 2026-11-20 08:30."
)
@click.option("--until", type=When(), help="Began before that.")
@click.option("--rule", help="Only of this rule.")
@click.option("--label", help="Only with this label.")
@click.option("--zone", help="Only in this zone.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"At most so many, the newest.  [default: {_SHOWN}; all with --pull]",
)
@click.option(
    "--pull",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Fetch pictures and clips into this folder.",
)
@json_option
def command(
    device: str | None,
    since: float | None,
    until: float | None,
    rule: str | None,
    label: str | None,
    zone: str | None,
    limit: int | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """List the events that DEVICE kept, the newest last, and fetch their pictures and clips.

    With --pull, files that are in the folder already are left as they are and a transfer that broke
    off is gone on with, so running it again fetches what is new. Beside each picture and clip lies
    what was seen in it, and records/ has each event. The device keeps events if its configuration
    has [events].

    \b
    Examples:
      tartlet events
      tartlet events garden --since today --label cat
      tartlet events garden --since 2026-11-20 --pull garden
    \b
    JSON: {device, events: [{sequence, event_id, rule, label, zone, began: {time_s,
          clock_synchronized, monotonic_ns}, ended, ended_by, best_score, best_xyxy, picture, clip,
          removed, ..., files: [{folder, name, size}]}],
          pulled: {folder, files, bytes, present, gone, going_on} or null}
    """
    from tartlet_host import event_files
    from tartlet_host.progress import live_line

    wanted = {"since_s": since, "until_s": until, "rule": rule, "label": label, "zone": zone}
    if limit is None and folder is None:
        limit = _SHOWN
    pulled = None
    with lasting_session(device) as opened:
        events = event_files.listed(opened, wanted, limit=limit)
        if folder is not None:
            with live_line("looking for what is new", quiet=as_json) as show:
                pulled = event_files.pull(
                    opened, events, folder, progress=lambda so_far: show(_so_far(so_far))
                )
        name = opened.name
    if as_json:
        print_json(
            {
                "device": name,
                "events": [_as_data(event) for event in events],
                "pulled": None if pulled is None else _pulled_as_data(folder, pulled),
            }
        )
    elif pulled is not None:
        _print_pulled(pulled, len(events), folder)
    else:
        _print_table(events)
        if len(events) == limit:
            say(f"these are the newest {limit}; --limit and --since show others")


def _as_data(event: ListedEvent) -> dict[str, Any]:
    import msgspec

    data: dict[str, Any] = msgspec.to_builtins(event)
    return {**data["record"], "files": data["files"]}


def _pulled_as_data(folder: Path | None, pulled: Pulled) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "files": pulled.done,
        "bytes": pulled.fetched,
        "present": pulled.present,
        "gone": pulled.gone,
        "going_on": pulled.going_on,
    }


def _so_far(pulled: Pulled) -> str:
    return (
        f"fetching  {pulled.done} of {pulled.files} files, "
        f"{size(pulled.fetched)} of {size(pulled.size)}"
    )


def _print_pulled(pulled: Pulled, events: int, folder: Path | None) -> None:
    before = f", {pulled.present} were there" if pulled.present else ""
    click.echo(f"{events} events: {pulled.done} files ({size(pulled.fetched)}) in {folder}{before}")
    if pulled.gone:
        click.echo(f"{len(pulled.gone)} files were deleted on the device meanwhile, to make room")
    if pulled.going_on:
        click.echo(f"{pulled.going_on} events go on or are still being written: run it again later")


def _print_table(events: Sequence[ListedEvent]) -> None:
    if not events:
        click.echo("no events")
        return
    rows = [_HEADINGS, *(_row(event) for event in events)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    if any(not event.record.began.clock_synchronized for event in events):
        click.echo("~ the device's clock was not set by a time server then, and may be wrong")


def _row(event: ListedEvent) -> tuple[str, ...]:
    record = event.record
    began = datetime.datetime.fromtimestamp(record.began.time_s)
    return (
        f"{began:%Y-%m-%d %H:%M:%S}{'' if record.began.clock_synchronized else '~'}",
        record.rule,
        record.label,
        record.zone or "-",
        _lasted(event),
        "-" if record.best_score is None else f"{record.best_score:.2f}",
        _there(event, "pictures"),
        _there(event, "clips"),
    )


def _lasted(event: ListedEvent) -> str:
    record = event.record
    if record.ended is not None:
        return duration((record.ended.monotonic_ns - record.began.monotonic_ns) / 1e9)
    return "goes on" if record.ended_by is None else "unknown"


def _there(event: ListedEvent, folder: EventFolder) -> str:
    record = event.record
    name = record.picture if folder == "pictures" else record.clip
    if any(file.folder == folder for file in event.files):
        return "yes"
    if name is None:
        return "-"
    removed = ("picture" if folder == "pictures" else "clip") in record.removed
    return "deleted" if removed else "not yet"
