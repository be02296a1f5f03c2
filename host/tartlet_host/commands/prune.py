"""``tartlet prune``: a smaller detector that sees nearly as well."""

from __future__ import annotations

from pathlib import Path

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@data_option("Data set to fine-tune on")
@click.option(
    "--keep",
    type=click.FloatRange(0, 1, min_open=True),
    help="Part of the multiplies that stays.  [default: the recipe's]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Checkpoint to write.  [default: pruned.safetensors beside CHECKPOINT]",
)
@json_option
def command(
    checkpoint: Path | None, dataset: Path, keep: float | None, output: Path | None, as_json: bool
) -> None:
    """Remove whole channels from CHECKPOINT and fine-tune what is left.

    Without CHECKPOINT, the newest run's parent.safetensors.

    \b
    Examples:
      tartlet prune --data data
      tartlet prune runs/latest/parent.safetensors --data data --keep 0.5
    The unpruned network teaches the pruned one. Fewer multiplies are not always faster: measure
    with `tartlet evaluate` or on the device.
    """
    import msgspec

    from tartlet_host import runs
    from tartlet_host.dataset import coco
    from tartlet_host.progress import bar
    from tartlet_host.prune.pruner import prune_and_finetune
    from tartlet_host.train import checkpoint as checkpoints

    if checkpoint is None:
        checkpoint = runs.latest("parent.safetensors")
    data = coco.read(coco.find(dataset))
    parent = checkpoints.load(checkpoint)
    recipe = parent.recipe
    if keep is not None:
        pruning = msgspec.structs.replace(recipe.prune, keep_multiplies=keep)
        recipe = msgspec.structs.replace(recipe, prune=pruning)
    if output is None:
        output = checkpoint.with_name("pruned.safetensors")
    with bar("Pruning and fine-tuning", quiet=as_json) as report:
        detector, pruned, fitted = prune_and_finetune(
            parent.detector, data, recipe, progress=lambda now: report(now.step, now.steps)
        )
    figures = {
        "multiplies_before": pruned.multiplies_before,
        "multiplies_after": pruned.multiplies_after,
        "seconds": fitted.seconds,
    }
    checkpoints.save(
        output,
        detector,
        pruned.recipe,
        metrics=figures,
        parent=parent.digest,
        pruning_history=(*parent.pruning_history, pruned.step),
    )
    if as_json:
        print_json({"checkpoint": str(output), **figures})
        return
    kept = pruned.multiplies_after / pruned.multiplies_before
    click.echo(f"{output}  ({kept:.0%} of the multiplies left)")
    say(f"next: tartlet quantize {output} --data {dataset}")
