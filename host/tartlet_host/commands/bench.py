"""``tartlet bench``: how fast candidates are, here or on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import json_option, print_json, say, session, size

if TYPE_CHECKING:
    from tartlet_device.benchmark import Timing
    from tartlet_host.evaluate.benchmark import Outcome, Runnable
    from tartlet_shared.benchmark_messages import Conditions

BUSY = 0.7
"""Load of each core, before anything is timed, that spoils a benchmark."""


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    "dataset",
    type=click.Path(path_type=Path),
    help="Labelled pictures, to measure the accuracy as well (on this machine).",
)
@click.option("--device", help="Time on this device, over SSH, and not here.")
@click.option(
    "--threads",
    type=click.IntRange(min=1, max=64),
    help="For inference.  [default: 1 here, the device's own choice there]",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1, max=100_000),
    default=60,
    show_default=True,
    help="Inferences of each model that count.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page (.html) with the table and, with --data, accuracy against latency.",
)
@json_option
def command(
    models: tuple[Path, ...],
    dataset: Path | None,
    device: str | None,
    threads: int | None,
    runs: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time MODELS against each other: .tflite, .onnx, bundles' folders and, here only, checkpoints.

    Each runs in a process of its own, and they take turns, so that their ratio holds even when the
    machine gets warm or busy. On a device the files are sent along, timed and removed again; the
    model that serves there goes on serving.

    \b
    Examples:
      tartlet bench runs/latest/*-int8.* runs/latest/parent-float.tflite
      tartlet bench runs/latest/*.tflite runs/latest/*.onnx --device pi --data validation.json
    \b
    Next:  tartlet package the fastest that is accurate enough, then tartlet push
    \b
    JSON: {device, machine, threads, temperature_c, highest_c, throttled: [word] or null, load,
           models: [{model, runtime, bytes, p50_ms, p95_ms, runs, peak_bytes, map50, failure}]}
    """
    from tartlet_host.evaluate import benchmark
    from tartlet_host.progress import bar

    found = benchmark.find(models)
    if device is None:
        with bar("Timing", quiet=as_json) as report:
            outcome = benchmark.measure(found, runs=runs, threads=threads or 1, progress=report)
    else:
        outcome, device = _on_device(device, found, runs, threads, as_json)
    accuracy = {} if dataset is None else _accuracy(found, dataset, as_json)
    if output is not None:
        _write_page(output, found, outcome, accuracy, device)
    if as_json:
        print_json(_as_data(found, outcome, accuracy, device))
        return
    _print(found, outcome, accuracy)
    if output is not None:
        say(f"page: {output}")


def _on_device(
    text: str, models: tuple[Runnable, ...], runs: int, threads: int | None, quiet: bool
) -> tuple[Outcome, str]:
    """The outcome, and the device's name."""
    from tartlet_device.benchmark import Timing
    from tartlet_host.evaluate.benchmark import Outcome
    from tartlet_host.progress import bar
    from tartlet_host.remote import benchmark
    from tartlet_shared import errors, messages

    for each in models:
        if each.runtime == "torch":
            raise errors.UsageError(
                "a checkpoint cannot run on a device",
                where=str(each.path),
                hint="convert it first: tartlet quantize",
            )
    with session(text) as opened:
        with bar("Sending", quiet=quiet) as uploading:
            offered = benchmark.send(
                opened, [benchmark.ModelFile(each.path, each.runtime) for each in models], uploading
            )
        with bar(f"Timing on {opened.device.name}", quiet=quiet) as report:
            result = opened.client.benchmark(offered, runs=runs, threads=threads, progress=report)
    timings = {
        model.name: Timing(
            version=each.version,
            p50_ms=each.p50_ms,
            p95_ms=each.p95_ms,
            runs=each.runs,
            peak_bytes=each.peak_bytes,
            failure=None if each.failure is None else messages.to_error(each.failure),
        )
        for model, each in zip(models, result.timings, strict=True)
    }
    return Outcome(timings, result.conditions), opened.device.name


def _accuracy(models: tuple[Runnable, ...], dataset: Path, quiet: bool) -> dict[str, float]:
    """mAP50 of each model by name, on this machine."""
    from tartlet_host.dataset.read import read_dataset
    from tartlet_host.evaluate import mean_average_precision as precision
    from tartlet_host.evaluate.predictor import open_predictor
    from tartlet_host.progress import bar

    data = read_dataset(dataset)
    found: dict[str, float] = {}
    for model in models:
        predictor = open_predictor(model.source, labels=data.labels)
        aligned = precision.align(data, predictor.labels)
        with bar(f"Evaluating {model.name}", quiet=quiet) as report:
            seen = precision.predict_all(predictor, aligned, progress=report)
        found[model.name] = precision.measure(aligned, seen).map50
    return found


def _as_data(
    models: tuple[Runnable, ...], outcome: Outcome, accuracy: dict[str, float], device: str | None
) -> dict[str, Any]:
    import msgspec

    return {
        "device": device,
        **msgspec.to_builtins(outcome.conditions),
        "models": [
            _row_data(model, outcome.timings[model.name], accuracy.get(model.name))
            for model in models
        ],
    }


def _row_data(model: Runnable, timing: Timing, map50: float | None) -> dict[str, Any]:
    return {
        "model": str(model.source),
        "runtime": timing.version,
        "bytes": model.path.stat().st_size,
        "p50_ms": timing.p50_ms,
        "p95_ms": timing.p95_ms,
        "runs": timing.runs,
        "peak_bytes": timing.peak_bytes,
        "map50": map50,
        "failure": None if timing.failure is None else str(timing.failure),
    }


def _print(models: tuple[Runnable, ...], outcome: Outcome, accuracy: dict[str, float]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    machine, threads = outcome.conditions.machine, outcome.conditions.threads
    number = "" if threads is None else f", {threads} thread{'s' if threads > 1 else ''}"
    title = f"{machine}{number}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    headings = ["file", "p50 ms", "p95 ms", "speed", "memory"]
    for heading in [*headings, "mAP50"] if accuracy else headings:
        table.add_column(heading, justify="right")
    first = next((each.p50_ms for each in outcome.timings.values() if each.p50_ms), None)
    for model in models:
        timing = outcome.timings[model.name]
        cells = [model.name, size(model.path.stat().st_size), "-", "-", "-", "-"]
        if timing.p50_ms is not None and timing.p95_ms is not None and first is not None:
            cells[2:] = [
                f"{timing.p50_ms:.2f}",
                f"{timing.p95_ms:.2f}",
                f"{first / timing.p50_ms:.2f}x",
                size(timing.peak_bytes) if timing.peak_bytes else "-",
            ]
        if accuracy:
            cells.append(f"{accuracy[model.name]:.3f}")
        table.add_row(*cells)
    Console(highlight=False).print(table)
    for model in models:
        failure = outcome.timings[model.name].failure
        if failure is not None:
            click.echo(f"{model.name}: not timed: {failure}")
    click.echo("\n".join(in_words(outcome.conditions)))


def in_words(seen: Conditions) -> list[str]:
    """Heat and power while it was timed, in words; empty where nothing is known."""
    lines = []
    if seen.highest_c is not None:
        before = "" if seen.temperature_c is None else f"{seen.temperature_c:.0f} °C before, "
        lines.append(f"temperature: {before}{seen.highest_c:.0f} °C at most")
    if seen.throttled:
        lines.append(
            f"power and heat: {', '.join(seen.throttled)}; times taken now are not the board's "
            "best: use a better power supply or cooling"
        )
    elif seen.throttled is not None:
        lines.append("power and heat: good")
    if seen.load is not None and seen.load > BUSY:
        lines.append(
            f"others kept each core busy {seen.load:.1f} times over: the times are too long and "
            "their ratio is rough; time again when it is quiet"
        )
    return lines


def _write_page(
    output: Path,
    models: tuple[Runnable, ...],
    outcome: Outcome,
    accuracy: dict[str, float],
    device: str | None,
) -> None:
    import datetime

    from tartlet_host import page
    from tartlet_host.commands.options import write_file
    from tartlet_host.evaluate import plots

    timed = {name: each for name, each in outcome.timings.items() if each.p50_ms is not None}
    points = {
        name: (each.p50_ms, accuracy[name])
        for name, each in timed.items()
        if name in accuracy and each.p50_ms is not None
    }
    content = page.render(
        "bench.html",
        title=f"{len(models)} models on {device or 'this machine'}",
        machine=outcome.conditions.machine,
        threads=outcome.conditions.threads,
        created=datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M"),
        conditions=in_words(outcome.conditions),
        rows=[(model, outcome.timings[model.name], accuracy.get(model.name)) for model in models],
        first=next(iter(timed.values()), None),
        fastest=min(timed, key=lambda name: timed[name].p50_ms or 0.0, default=""),
        front=plots.front(points) if points else "",
    )
    write_file(output, content.encode())
