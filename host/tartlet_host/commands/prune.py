"""``tartlet prune``: a smaller detector that sees nearly as well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say, write_file

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.model.detector import Detector
    from tartlet_host.prune.report import PruneReport
    from tartlet_host.prune.study import Study
    from tartlet_host.recipe import Recipe
    from tartlet_host.train.checkpoint import Checkpoint

SHARE = click.FloatRange(0, 1, min_open=True)


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@data_option("Data set to fine-tune on")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures that judge what was lost; prune.largest_loss needs them.",
)
@click.option(
    "--unlabelled",
    type=click.Path(path_type=Path),
    help="More pictures, or a video: the unpruned network teaches the pruned one on them too.",
)
@click.option(
    "--recipe",
    "recipe_path",
    type=click.Path(path_type=Path),
    help="Take [prune] from this recipe, not from the one inside CHECKPOINT.",
)
@click.option("--keep", type=SHARE, help="Part of the multiplies that stays.")
@click.option(
    "--keep-latency", type=SHARE, help="Part of the parent's time that may stay; it is measured."
)
@click.option("--rounds", type=click.IntRange(1), help="Prune and fine-tune in so many rounds.")
@click.option(
    "--report",
    "page_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write an HTML page with every layer before and after; its time is measured.",
)
@click.option(
    "--unstructured",
    metavar="SHARE",
    type=SHARE,
    help="For study: set this part of the single weights to zero instead; no fine-tuning.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, min_open=True),
    help="For study: set weights smaller than this to zero instead; no fine-tuning.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Checkpoint to write.  [default: pruned.safetensors beside CHECKPOINT]",
)
@json_option
def command(
    checkpoint: Path | None,
    dataset: Path,
    validation: Path | None,
    unlabelled: Path | None,
    recipe_path: Path | None,
    keep: float | None,
    keep_latency: float | None,
    rounds: int | None,
    page_path: Path | None,
    unstructured: float | None,
    threshold: float | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Remove whole channels from CHECKPOINT and fine-tune what is left.

    Without CHECKPOINT, the newest run's parent.safetensors. What is not given comes from [prune] of
    the recipe inside it. The unpruned network teaches the pruned one.

    \b
    Examples:
      tartlet prune --data data
      tartlet prune runs/latest/parent.safetensors --data data --keep 0.3 --rounds 3
      tartlet prune --data data --validation holdout --keep-latency 0.25 --report pruned.html
    Fewer multiplies are not always faster: --keep-latency times networks until one is fast enough.
    \b
    For study:
      tartlet prune --data data --unstructured 0.8
    sets single weights to zero. The file packs smaller; no runtime here gets faster by it.
    \b
    Next:  tartlet quantize runs/latest/pruned.safetensors --data data
    \b
    JSON: {checkpoint, multiplies_before, multiplies_after, parameters_before, parameters_after,
           seconds, map50_before, map50_after, timing: {runtime, before, after}, rounds: [...],
           layers: [{name, channels_before, channels_after, multiplies_before, multiplies_after}]}
    """
    from tartlet_host import runs
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.train import checkpoint as checkpoints
    from tartlet_shared import errors

    if unstructured is not None and threshold is not None:
        raise errors.UsageError("--unstructured and --threshold are two ways to do one thing")
    if checkpoint is None:
        checkpoint = runs.latest("parent.safetensors")
    parent = checkpoints.load(checkpoint)
    labels = parent.recipe.labels
    data = read_dataset(dataset, labels=labels)
    if unstructured is not None or threshold is not None:
        _study(checkpoint, parent, data, unstructured, threshold, output, as_json)
        return
    recipe = _changed(parent.recipe, recipe_path, keep, keep_latency, rounds)
    if unlabelled is not None:
        from tartlet_host.dataset.unlabelled import join

        data = join(data, read_dataset(unlabelled, labels=labels, unlabelled=True))
    judges = None if validation is None else read_dataset(validation, labels=labels)
    if output is None:
        output = checkpoint.with_name("pruned.safetensors")
    detector, pruned, figures = _pruned(parent, data, recipe, judges, as_json)
    checkpoints.save(
        output,
        detector,
        pruned.recipe,
        metrics=figures,
        parent=parent.digest,
        pruning_history=(*parent.pruning_history, pruned.step),
    )
    if page_path is not None:
        _write_page(page_path, output, parent, detector, pruned, as_json)
    if as_json:
        print_json(_as_data(output, pruned, figures))
        return
    _tell(output, pruned)
    say(f"next: tartlet quantize {output} --data {dataset}")


def _changed(
    recipe: Recipe,
    recipe_path: Path | None,
    keep: float | None,
    keep_latency: float | None,
    rounds: int | None,
) -> Recipe:
    """The recipe with what the command line says about pruning."""
    import msgspec

    from tartlet_host import recipe as recipes

    pruning = recipes.load_recipe(recipe_path).prune if recipe_path else recipe.prune
    given = {"keep_multiplies": keep, "keep_latency": keep_latency, "rounds": rounds}
    if keep is None and keep_latency is not None:
        given["keep_multiplies"] = 1.0  # the time asked for decides alone
    changes = {key: value for key, value in given.items() if value is not None}
    pruning = msgspec.structs.replace(pruning, **changes)
    return recipes.check(msgspec.structs.replace(recipe, prune=pruning), where="recipe")


def _pruned(
    parent: Checkpoint, data: Dataset, recipe: Recipe, validation: Dataset | None, as_json: bool
) -> tuple[Detector, PruneReport, dict[str, float]]:
    from tartlet_host.progress import bar
    from tartlet_host.prune.pruner import prune_and_finetune

    with bar("Pruning and fine-tuning", quiet=as_json) as report:
        detector, pruned, fitted = prune_and_finetune(
            parent.detector,
            data,
            recipe,
            progress=lambda now: report(now.step, now.steps),
            validation=validation,
        )
    figures: dict[str, float] = {
        "multiplies_before": pruned.multiplies_before,
        "multiplies_after": pruned.multiplies_after,
        "seconds": fitted.seconds,
    }
    if pruned.map50_before is not None and pruned.map50_after is not None:
        figures |= {"map50_before": pruned.map50_before, "map50_after": pruned.map50_after}
    return detector, pruned, figures


def _write_page(
    path: Path,
    output: Path,
    parent: Checkpoint,
    detector: Detector,
    pruned: PruneReport,
    as_json: bool,
) -> None:
    from tartlet_host.progress import bar
    from tartlet_host.prune import page
    from tartlet_host.prune.layer_times import layer_times

    with bar("Timing the layers", quiet=as_json) as report:
        before = layer_times(parent.detector, parent.recipe)
        report(1, 2)
        times = page.LayerTimes(before, layer_times(detector, pruned.recipe))
    write_file(path, page.render(f"{output.stem} {pruned.recipe.name}", pruned, times).encode())
    say(f"look at {path}")


def _as_data(output: Path, pruned: PruneReport, figures: dict[str, float]) -> dict[str, Any]:
    import dataclasses

    return {
        "checkpoint": str(output),
        **figures,
        "parameters_before": pruned.parameters_before,
        "parameters_after": pruned.parameters_after,
        "timing": None if pruned.timing is None else dataclasses.asdict(pruned.timing),
        "rounds": [dataclasses.asdict(each) for each in pruned.rounds],
        "layers": [dataclasses.asdict(each) for each in pruned.changes],
    }


def _tell(output: Path, pruned: PruneReport) -> None:
    kept = pruned.multiplies_after / pruned.multiplies_before
    said = [f"{kept:.0%} of the multiplies left"]
    if pruned.timing is not None:
        said.append(f"{pruned.timing.share:.0%} of the time on {pruned.timing.runtime}, both float")
    if pruned.map50_before is not None and pruned.map50_after is not None:
        said.append(f"mAP50 {pruned.map50_after:.3f}, the parent's {pruned.map50_before:.3f}")
    click.echo(f"{output}  ({'; '.join(said)})")
    lost = [each for each in pruned.rounds if not each.kept]
    if lost:
        say(
            f"round {len(pruned.rounds)} lost more than prune.largest_loss allows (mAP50 "
            f"{lost[0].map50:.3f}), so the result is what was there before it"
        )
        say("to prune further: more rounds, a longer prune.finetune, or a larger largest_loss")


def _study(
    checkpoint: Path,
    parent: Checkpoint,
    data: Dataset,
    share: float | None,
    threshold: float | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Unstructured pruning: what it does to accuracy, size and time, and nothing else."""
    from tartlet_host.progress import bar
    from tartlet_host.prune.study import study
    from tartlet_host.train import checkpoint as checkpoints

    with bar("Pruning single weights", quiet=as_json) as report:
        found = study(
            parent.detector, parent.recipe, data, share=share, threshold=threshold, progress=report
        )
    if output is not None:
        checkpoints.save(
            output,
            found.detector,
            parent.recipe,
            metrics={"map50": found.map50_after, "sparsity": found.sparsity},
            parent=parent.digest,
            pruning_history=parent.pruning_history,
        )
    if as_json:
        print_json(found.as_data())
        return
    _print_study(found)
    if output is not None:
        click.echo(f"{output}  ({checkpoint} with {found.sparsity:.0%} of its weights at zero)")


def _print_study(found: Study) -> None:
    from rich.console import Console
    from rich.table import Table

    from tartlet_host.commands.options import size

    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "weights", "zeros", "sparsity"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for layer in found.layers:
        table.add_row(layer.name, f"{layer.weights:,}", f"{layer.zeros:,}", f"{layer.sparsity:.0%}")
    Console(highlight=False).print(table)
    click.echo(f"{found.sparsity:.1%} of the weights are zero")
    click.echo(f"mAP50   {found.map50_before:.3f} -> {found.map50_after:.3f}, not fine-tuned")
    click.echo(
        f"weights {size(found.bytes_before)} as before; compressed "
        f"{size(found.compressed_before)} -> {size(found.compressed_after)}"
    )
    click.echo(
        f"time    {found.timing.before:.2f} -> {found.timing.after:.2f} ms on "
        f"{found.timing.runtime}: zeros are multiplied like any other number"
    )
    say("for speed, take whole channels away: tartlet prune without this option")
