"""``tartlet describe``: what a network is, and whether this computer can train it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import json_option, print_json, size

if TYPE_CHECKING:
    from tartlet_host.machine import Machine
    from tartlet_host.model.detector import Detector
    from tartlet_host.model.memory import TrainingMemory
    from tartlet_host.model.summary import Layer, Summary
    from tartlet_host.recipe import Recipe


@click.command()
@click.argument("what", metavar="RECIPE|CHECKPOINT", type=click.Path(path_type=Path))
@click.option("--layers", is_flag=True, help="Every layer, not only every stage.")
@click.option("--time", "timed", is_flag=True, help="Also measure a training step (some seconds).")
@json_option
def command(what: Path, layers: bool, timed: bool, as_json: bool) -> None:
    """Show a network before it is trained: cost, receptive fields, memory, and this computer.

    RECIPE is a recipe.toml, CHECKPOINT a .safetensors file. Multiplies are those of one picture; a
    receptive field is all that a cell of a level can see; the memory is what one training step
    keeps.

    \b
    Examples:
      tartlet describe models/people/recipe.toml
      tartlet describe runs/latest/pruned.safetensors --layers
    \b
    Next:  tartlet train data --recipe models/people/recipe.toml
    \b
    JSON: {name, canvas, backbone, parameters, multiplies, layers: [{name, kernel, output,
           parameters, multiplies}], levels: [{stride, field, share}], memory: {weights,
           activations, batch_size, total}, machine: {...}, step_seconds}
    """
    from tartlet_host import machine
    from tartlet_host.model.memory import training_memory
    from tartlet_host.model.step_time import step_seconds
    from tartlet_host.model.summary import summarise
    from tartlet_host.progress import bar

    network, recipe = _open(what)
    computer = machine.examine()
    if computer.accelerators:
        network = network.to("cuda")
    summary = summarise(network, recipe.input)
    run = recipe.train
    memory = training_memory(network, recipe.input, run.batch_size, optimizer=run.optimizer)
    seconds = None
    if timed:
        with bar("Timing a training step", quiet=as_json):
            seconds = step_seconds(network, recipe)
    rows = summary.layers if layers else summary.stages()
    if as_json:
        print_json(_as_data(recipe, summary, rows, memory, computer, seconds))
        return
    click.echo(f"{recipe.name}: {summary}")
    _print_layers(rows, summary.multiplies)
    _print_levels(summary)
    _print_training(recipe, memory, computer, seconds)


def _open(what: Path) -> tuple[Detector, Recipe]:
    from tartlet_host.model.detector import build_detector
    from tartlet_host.recipe import load_recipe
    from tartlet_host.train import checkpoint

    if what.suffix == ".safetensors":
        loaded = checkpoint.load(what)
        return loaded.detector, loaded.recipe
    recipe = load_recipe(what)
    return build_detector(recipe, pretrained=False), recipe


def _as_data(
    recipe: Recipe,
    summary: Summary,
    rows: tuple[Layer, ...],
    memory: TrainingMemory,
    computer: Machine,
    seconds: float | None,
) -> dict[str, Any]:
    import dataclasses

    return {
        "name": recipe.name,
        "backbone": recipe.model.backbone,
        **dataclasses.asdict(summary),
        "layers": [dataclasses.asdict(row) for row in rows],
        "memory": {**dataclasses.asdict(memory), "total": memory.total},
        "machine": dataclasses.asdict(computer),
        "step_seconds": seconds,
    }


def _print_layers(rows: tuple[Layer, ...], total: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    table.add_column("kernel")
    for heading in ("output", "parameters", "multiplies", "share"):
        table.add_column(heading, justify="right")
    for row in rows:
        channels, height, width = row.output
        table.add_row(
            row.name,
            row.kernel,
            f"{width}x{height}x{channels}",
            f"{row.parameters:,}",
            f"{row.multiplies / 1e6:.1f} M",
            f"{row.multiplies / total:.1%}",
        )
    Console(highlight=False).print(table)


def _print_levels(summary: Summary) -> None:
    height, width = summary.canvas
    for level in summary.levels:
        sees = "the whole canvas" if level.share >= 1 else f"{level.share:.0%} of the canvas"
        click.echo(
            f"stride {level.stride:>2}: {width // level.stride}x{height // level.stride} cells, "
            f"each sees {level.field} px, {sees}"
        )


def _print_training(
    recipe: Recipe, memory: TrainingMemory, computer: Machine, seconds: float | None
) -> None:
    run = recipe.train
    click.echo(
        f"training: about {size(memory.total)} for a batch of {run.batch_size} "
        f"({size(memory.activations)} a picture)"
    )
    click.echo(f"here: {computer}, torch {computer.torch}")
    available = computer.training_memory
    if available is not None and memory.total > available:
        fits = memory.largest_batch(available)
        advice = f"train.batch_size = {fits}" if fits else "a smaller canvas or network"
        click.echo(f"  that is more than the {size(available)} free here: set {advice}")
    if seconds is not None:
        from tartlet_host.commands.options import duration

        click.echo(
            f"a step takes {seconds:.2f} s, the recipe's {run.steps} steps about "
            f"{duration(seconds * run.steps)}"
        )
