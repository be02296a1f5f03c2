"""``tartlet evaluate``: accuracy on labelled pictures, latency on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import data_option, json_option, print_json, size

if TYPE_CHECKING:
    from tartlet_host.evaluate.latency import Latency
    from tartlet_host.evaluate.mean_average_precision import Metrics
    from tartlet_host.evaluate.predictor import ModelPredictor


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option("Labelled pictures that training never saw")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Score from which precision and recall count.  [default: the model's own]",
)
@click.option(
    "--runs",
    "latency_runs",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="How many inferences to time.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="For inference.",
)
@json_option
def command(
    models: tuple[Path, ...],
    dataset: Path,
    threshold: float | None,
    latency_runs: int,
    threads: int,
    as_json: bool,
) -> None:
    """Measure MODELS: checkpoints, bundles' folders, .tflite or .onnx files.

    Accuracy is average precision as COCO defines it. Latency is that of the model alone, here and
    not on a Pi; several models take turns, so that their ratio holds on a busy machine too.

    \b
    Examples:
      tartlet evaluate runs/latest/bundle --data test.json
      tartlet evaluate runs/latest/parent.safetensors runs/latest/*-int8.* --data test.json
    \b
    JSON: {model, runtime, bytes, map50, map50_95, map30, threshold, precision, recall, f1,
           best_threshold, best_f1, pictures, boxes, classes: [{label, boxes, ap30, ap50, ap50_95}],
           latency: {p50, p95, runs} in ms}; a list of these for several models
    """
    from tartlet_host.dataset import coco
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.evaluate import latency
    from tartlet_host.evaluate import mean_average_precision as precision
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar

    data = coco.read(coco.find(dataset))
    predictors = [
        open_predictor(path, labels=data.labels, score_threshold=threshold, threads=threads)
        for path in models
    ]
    measured: list[Metrics] = []
    for predictor in predictors:
        aligned = precision.align(data, predictor.labels)
        with bar(f"Evaluating {predictor.path.name}", quiet=as_json) as report:
            found = precision.predict_all(predictor, aligned, progress=report)
        measured.append(
            precision.measure(aligned, found, score_threshold=predictor.score_threshold)
        )
    rgb = read_picture(data.samples[0])
    calls = {str(place): latency.inference(each, rgb) for place, each in enumerate(predictors)}
    with bar("Timing", quiet=as_json) as report:
        times = latency.measure(calls, runs=latency_runs, progress=report)
    rows = list(zip(predictors, measured, times.values(), strict=True))
    if as_json:
        reports = [_as_data(*row) for row in rows]
        print_json(reports[0] if len(reports) == 1 else reports)
        return
    _print(rows)


def _as_data(predictor: ModelPredictor, metrics: Metrics, latency: Latency) -> dict[str, Any]:
    import dataclasses

    return {
        "model": str(predictor.path),
        "runtime": predictor.runtime.version,
        "bytes": predictor.size,
        **metrics.figures(),
        "classes": [
            # JSON has no NaN: a class without boxes has no average precision.
            {
                key: None if value != value else value
                for key, value in dataclasses.asdict(each).items()
            }
            for each in metrics.classes
        ],
        "latency": dataclasses.asdict(latency),
    }


def _print(rows: list[tuple[ModelPredictor, Metrics, Latency]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    metrics = rows[0][1]
    title = f"{metrics.pictures} pictures, {metrics.boxes} boxes"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in ("size", "mAP50", "50-95", "prec.", "recall", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    for predictor, metrics, latency in rows:
        point = metrics.at_threshold
        table.add_row(
            predictor.path.name,
            size(predictor.size),
            f"{metrics.map50:.3f}",
            f"{metrics.map50_95:.3f}",
            f"{point.precision:.3f}",
            f"{point.recall:.3f}",
            f"{latency.p50:.1f}",
            f"{latency.p95:.1f}",
        )
    Console(highlight=False).print(table)
    for predictor, metrics, _ in rows:
        best = metrics.best
        click.echo(
            f"{predictor.path.name}: precision and recall at a score of "
            f"{metrics.at_threshold.threshold:.2f}; F1 is best at {best.threshold:.2f} "
            f"({best.f1:.3f})"
        )
        if len(metrics.classes) > 1:
            for each in metrics.classes:
                click.echo(f"  {each.label}: AP50 {each.ap50:.3f} on {each.boxes} boxes")
