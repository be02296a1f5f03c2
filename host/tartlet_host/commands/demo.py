"""``tartlet demo``: the whole path on real footage."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from tartlet_host.commands.options import json_option, say


@click.command()
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    help="Your own footage of a fixed camera instead of the one that comes with Debian.",
)
@click.option("--label", default="person", show_default=True, help="What moves in your footage.")
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Recipe to use instead of that of models/people.",
)
@click.option(
    "--data",
    "data_folder",
    type=click.Path(path_type=Path),
    help="Only write the frames and the test set into this folder, for `tartlet run`.",
)
@json_option
def command(
    video: Path | None,
    label: str,
    recipe_path: Path | None,
    data_folder: Path | None,
    as_json: bool,
) -> None:
    """Show the whole path: camera, labels, training, int8, push over SSH, prediction.

    A device is started on this machine: a real SSH server on loopback with throw-away keys and,
    behind it, the daemon that runs on a Pi, whose camera replays the footage. Frames are fetched
    from it, labelled from motion, and a detector is trained, pruned, quantized, packaged, pushed
    and asked what it sees in the last part of the footage. Takes about ten minutes on two cores;
    nothing outside runs/ and the cache is touched.

    \b
    Examples:
      tartlet demo
      tartlet demo --video birdfeeder.mp4 --label bird
      tartlet demo --data models/people/data && tartlet run models/people/recipe.toml
    \b
    Results: runs/<time>/report.html, summary.json, prediction.jpg and the bundle.
    """
    from rich.console import Console

    from tartlet_host import runs
    from tartlet_host.demo import scene as scenes
    from tartlet_host.demo.run import run
    from tartlet_host.demo.testing import write_data
    from tartlet_host.progress import bar
    from tartlet_host.run import summary as summaries

    scene = scenes.own(video, label, recipe_path) if video else scenes.people(recipe_path)
    if data_folder is not None:
        with bar("Writing the frames", quiet=as_json) as report:
            write_data(scene, data_folder, report)
        click.echo(f"{data_folder / 'frames'} teach, {data_folder / 'test'} tests")
        return
    folder = runs.new_run()
    say(f"results go to {folder}")
    # Ended from outside, it must stop its servers as after Ctrl-C.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = run(scene, folder, quiet=as_json)
    finally:
        signal.signal(signal.SIGTERM, previous)
    runs.mark_latest(folder)
    if as_json:
        click.echo(summaries.to_json(summary).decode(), nl=False)
        return
    Console(highlight=False).print(summaries.tables(summary))
    click.echo(
        f"{summary.seconds / 60:.1f} minutes in all; look at {folder / 'report.html'} "
        f"and {folder / 'prediction.jpg'}"
    )
    say("next, with your own Pi: tartlet device add pi pi@raspberrypi.local && tartlet push")
