"""``tartlet watch``: what a device sees, as it happens."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from tartlet_host.commands.options import asking, device_argument, json_option, say, session
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_shared.observation import EventBegan, EventEnded, Observation
    from tartlet_shared.watch_messages import Watched


@click.command()
@device_argument
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Stop after so long.  [default: at Ctrl-C]",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1000, min_open=True),
    help="At most so many frames a second.  [default: each one that is looked at]",
)
@click.option("--all", "everything", is_flag=True, help="Also frames in which nothing changed.")
@click.option("--view", is_flag=True, help="Show the live page in a browser instead.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Of this computer, for --view.  [default: any]"
)
@click.option("--no-browser", is_flag=True, help="With --view: only print the page's address.")
@json_option
def command(
    device: str | None,
    seconds: float | None,
    rate: float | None,
    everything: bool,
    view: bool,
    port: int | None,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Show what DEVICE sees, frame after frame, until Ctrl-C.

    The device looks at its camera's frames for as long as somebody watches, even if its
    configuration does not say so. A line is printed when other objects are there than before, and
    when an event begins or ends. Objects keep their number while they are followed.

    With --view the device's own page is shown: the picture with its boxes, zones and lines to draw,
    events and health. It comes over the SSH connection; the device opens no port. Ctrl-C ends it.

    \b
    Examples:
      tartlet watch
      tartlet watch --view
      tartlet watch garden --seconds 60 --json > minute.jsonl
    \b
    JSON: a line for each frame: {observation: {frame: {number, monotonic_ns}, time_s,
          clock_synchronized, width, height, tracks: [{track_id, label, score, xyxy, frames,
          since_ns, zones}]} or null, events: [...], skipped, fault}
    """
    if view:
        if as_json or everything or seconds is not None or rate is not None:
            raise errors.UsageError("--view goes with --port and --no-browser only")
        _view(device, port or 0, browser=not no_browser)
        return
    if port is not None or no_browser:
        raise errors.UsageError("--port and --no-browser go with --view")
    shown: tuple[int, ...] | None = None
    fault = ""
    with session(device) as opened:
        for watched in opened.client.watch(seconds=seconds, rate=rate):
            if as_json:
                _print_line(watched)
                continue
            for event in watched.events:
                click.echo(_event_line(event))
            if watched.fault != fault:
                fault = watched.fault
                click.echo(f"nothing is looked at: {fault}" if fault else "frames come again")
            if watched.observation is None:
                continue
            tracks = tuple(track.track_id for track in watched.observation.tracks)
            if everything or tracks != shown:
                click.echo(_line(watched.observation))
                shown = tracks


def _view(device: str | None, port: int, *, browser: bool) -> None:
    from tartlet_host.remote.session import find_device
    from tartlet_host.remote.view import view

    def shown(address: str) -> None:
        click.echo(address)
        say("the live page, until Ctrl-C")
        if browser and _has_screen():
            webbrowser.open(address)

    with contextlib.suppress(KeyboardInterrupt):  # the way to end it
        view(find_device(device), port, ask=asking(), shown=shown, say=say)


def _has_screen() -> bool:
    """Whether a browser would have a window of its own, rather than take this terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _print_line(watched: Watched) -> None:
    import msgspec

    fields = msgspec.to_builtins(watched)
    for name in ("type", "request_id", "jpeg", "last"):
        del fields[name]
    click.echo(msgspec.json.encode(fields))


def _line(observation: Observation) -> str:
    seen = ", ".join(
        f"{track.label} {track.track_id} ({track.score:.2f}{_in(track.zones)})"
        for track in observation.tracks
    )
    return f"{_time(observation.time_s)}  {seen or 'nothing'}"


def _in(zones: tuple[str, ...]) -> str:
    return f" in {', '.join(zones)}" if zones else ""


def _event_line(event: EventBegan | EventEnded) -> str:
    from tartlet_shared.observation import EventBegan

    if isinstance(event, EventBegan):
        place = f" in {event.zone}" if event.zone else ""
        return f"{_time(event.time_s)}  event {event.rule} begins: {event.label}{place}"
    return f"{_time(event.time_s)}  event ends; best score {event.best_score:.2f}"


def _time(time_s: float) -> str:
    return datetime.datetime.fromtimestamp(time_s).strftime("%H:%M:%S.%f")[:-5]
