"""``tartlet evaluate``: accuracy on labelled pictures, latency on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tartlet_host.commands.options import data_option, json_option, print_json, say, size

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.evaluate.evaluation import Evaluation
    from tartlet_host.evaluate.latency import Latency
    from tartlet_host.evaluate.predictor import ModelPredictor, Predictor
    from tartlet_shared.detections import Detections

MOST_CLASSES = 12
"""Classes up to which each has a line on the terminal."""


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@data_option("Labelled pictures that training never saw")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Score from which precision and recall count.  [default: the model's own]",
)
@click.option("--tta", is_flag=True, help="Look at each picture flipped and at other sizes, too.")
@click.option(
    "--tta-merge",
    type=click.Choice(["fusion", "nms"]),
    default="fusion",
    show_default=True,
    help="For --tta: weighted boxes fusion, or non-maximum suppression.",
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
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page (.html) with curves, confusions and the first model's worst pictures.",
)
@json_option
def command(
    models: tuple[Path, ...],
    dataset: Path,
    threshold: float | None,
    tta: bool,
    tta_merge: Literal["fusion", "nms"],
    latency_runs: int,
    threads: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure MODELS: checkpoints, bundles' folders, .tflite or .onnx files.

    Accuracy is average precision as COCO defines it. Latency is that of the model alone, here and
    not on a Pi (`tartlet bench` times it there); several models take turns, so that their ratio
    holds on a busy machine too.

    \b
    Examples:
      tartlet evaluate runs/latest/bundle --data test.json -o page.html
      tartlet evaluate runs/latest/parent.safetensors runs/latest/*-int8.* --data test.json
    \b
    Next:  look at page.html; tartlet package MODEL --validation validation.json sets the thresholds
    \b
    JSON: {model, runtime, bytes, map50, map50_95, map30, threshold, precision, recall, f1,
           best_threshold, best_f1, pictures, boxes,
           classes: [{label, boxes, ap30, ap50, ap50_95, threshold, precision, recall, f1,
                      best_threshold, best_f1}],
           thresholds: [{threshold, precision, recall, f1}],
           sizes, canvas_sizes: [{name, low, high, boxes, ap50, ap50_95, recall}],
           confusion: {names, counts: row what is there, column what was seen},
           latency: {p50, p95, runs} in ms}; a list of these for several models
    """
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.evaluate import latency
    from tartlet_host.evaluate import mean_average_precision as precision
    from tartlet_host.evaluate.augmented import AugmentedPredictor
    from tartlet_host.evaluate.evaluation import evaluate
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar

    data = read_dataset(dataset)
    predictors = [
        open_predictor(path, labels=data.labels, score_threshold=threshold, threads=threads)
        for path in models
    ]
    measured: list[Evaluation] = []
    firsts: tuple[Dataset, list[Detections]] | None = None
    for predictor in predictors:
        aligned = precision.align(data, predictor.labels)
        looking: Predictor = AugmentedPredictor(predictor, merge=tta_merge) if tta else predictor
        with bar(f"Evaluating {predictor.path.name}", quiet=as_json) as report:
            found = precision.predict_all(looking, aligned, progress=report)
        firsts = firsts or (aligned, found)
        measured.append(
            evaluate(
                aligned,
                found,
                thresholds=predictor.thresholds,
                canvas=predictor.detector.preprocessing,
            )
        )
    rgb = read_picture(data.samples[0])
    calls = {str(place): latency.inference(each, rgb) for place, each in enumerate(predictors)}
    with bar("Timing", quiet=as_json) as report:
        times = latency.measure(calls, runs=latency_runs, progress=report)
    rows = list(zip(predictors, measured, times.values(), strict=True))
    note = _note(predictors[0], tta_merge) if tta else ""
    if output is not None and firsts is not None:
        _write_page(output, dataset, rows, *firsts, note)
    if as_json:
        reports = [_as_data(*row) for row in rows]
        print_json(reports[0] if len(reports) == 1 else reports)
        return
    _print(rows)
    if note:
        click.echo(note)
    if output is not None:
        say(f"page: {output}")
    else:
        say("next: add -o page.html for curves, confusions and the worst pictures")


def _as_data(predictor: ModelPredictor, measured: Evaluation, latency: Latency) -> dict[str, Any]:
    import dataclasses

    from tartlet_host.evaluate.evaluation import as_data

    return {
        "model": str(predictor.path),
        "runtime": predictor.runtime.version,
        "bytes": predictor.size,
        **as_data(measured),
        "latency": dataclasses.asdict(latency),
    }


def _note(predictor: ModelPredictor, merge: Literal["fusion", "nms"]) -> str:
    from tartlet_host.evaluate.augmented import AugmentedPredictor

    looks = AugmentedPredictor(predictor, merge=merge).looks
    return (
        f"With test-time augmentation: {looks} inferences for each picture, which the latency does "
        "not count. A device looks once, so this is what a better model could reach, not what it "
        "will do."
    )


def _write_page(
    output: Path,
    dataset: Path,
    rows: list[tuple[ModelPredictor, Evaluation, Latency]],
    data: Dataset,
    found: list[Detections],
    note: str,
) -> None:
    import datetime

    from tartlet_host.commands.options import write_file
    from tartlet_host.dataset.pictures import read_picture
    from tartlet_host.evaluate.evaluation_page import EvaluatedModel, EvaluationPage, render
    from tartlet_host.evaluate.samples import TestPicture, worst

    first = rows[0][0]
    pictures = [
        TestPicture("", read_picture(data.samples[place]), data.samples[place], finding)
        for place, finding in worst(data, found, first.thresholds)
    ]
    metrics = rows[0][1].metrics
    page = render(
        EvaluationPage(
            title=f"{_name(first)} on {metrics.pictures} pictures",
            data=f"{dataset}: {metrics.boxes} boxes of {len(data.labels)} "
            + ("class" if len(data.labels) == 1 else "classes"),
            created=datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
            models=[
                EvaluatedModel(_name(each), each.runtime.version, each.size, measured, latency)
                for each, measured, latency in rows
            ],
            pictures=pictures,
            note=note,
        )
    )
    write_file(output, page.encode())


def _name(predictor: ModelPredictor) -> str:
    """A bundle is called bundle everywhere; the folder around it tells them apart."""
    path = predictor.path
    return path.name if path.is_file() else str(Path(*path.resolve().parts[-2:]))


def _print(rows: list[tuple[ModelPredictor, Evaluation, Latency]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from tartlet_host.evaluate.remarks import remarks

    metrics = rows[0][1].metrics
    title = f"{metrics.pictures} pictures, {metrics.boxes} boxes"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in ("size", "mAP50", "50-95", "prec.", "recall", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    for predictor, measured, latency in rows:
        point = measured.metrics.at_threshold
        table.add_row(
            _name(predictor),
            size(predictor.size),
            f"{measured.metrics.map50:.3f}",
            f"{measured.metrics.map50_95:.3f}",
            f"{point.precision:.3f}",
            f"{point.recall:.3f}",
            f"{latency.p50:.1f}",
            f"{latency.p95:.1f}",
        )
    Console(highlight=False).print(table)
    for predictor, measured, _ in rows:
        metrics = measured.metrics
        click.echo(
            f"{_name(predictor)}: precision and recall at a score of "
            f"{metrics.at_threshold.threshold:.2f} (F1 {metrics.at_threshold.f1:.3f}); F1 is best "
            f"at {metrics.best.threshold:.2f} ({metrics.best.f1:.3f})"
        )
        if 1 < len(metrics.classes) <= MOST_CLASSES:
            for each in metrics.classes:
                best = f", F1 {each.best.f1:.3f} at {each.best.threshold:.2f}" if each.boxes else ""
                click.echo(f"  {each.label}: AP50 {each.ap50:.3f} on {each.boxes} boxes{best}")
    for remark in remarks(rows[0][1]):
        click.echo(f"- {remark}")
