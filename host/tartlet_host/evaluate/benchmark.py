"""Timing candidates on this machine as `tartlet_device.benchmark` does on a Pi."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_device import benchmark
from tartlet_device.benchmark import Timing
from tartlet_shared import bundle, errors
from tartlet_shared.benchmark_messages import Conditions
from tartlet_shared.manifest import MANIFEST_NAME

RUNTIME_OF_SUFFIX = {".tflite": "litert", ".onnx": "onnx", ".safetensors": "torch"}


@dataclass(frozen=True)
class Runnable:
    """A model file and what runs it.

    Attributes:
        name: for people; no two candidates have the same.
        source: what was asked for: the file, a bundle's folder.
        path: the model file.
        runtime: "litert", "onnx" or, for a checkpoint, "torch".
    """

    name: str
    source: Path
    path: Path
    runtime: str


@dataclass(frozen=True)
class Outcome:
    """Models that were timed in turns on one machine.

    Attributes:
        timings: by name, in the order given.
        conditions: of the machine.
    """

    timings: dict[str, Timing]
    conditions: Conditions


def find(paths: Sequence[Path]) -> tuple[Runnable, ...]:
    """The model files that checkpoints, bundles' folders and model files stand for.

    Raises:
        UsageError: one is none of these, or is not there.
        BundleCorrupt: a bundle is damaged.
    """
    names = _names([path.resolve() for path in paths])
    found: list[Runnable] = []
    for name, path in zip(names, paths, strict=True):
        if path.is_dir() or path.name == MANIFEST_NAME:
            opened = bundle.open_bundle(path if path.is_dir() else path.parent)
            found.append(Runnable(name, path, opened.model_path, opened.manifest.runtime))
            continue
        runtime = RUNTIME_OF_SUFFIX.get(path.suffix)
        if runtime is None or not path.is_file():
            raise errors.UsageError(
                "there is no such file"
                if runtime is not None
                else "neither a checkpoint (.safetensors), a model (.tflite, .onnx) nor a bundle",
                where=str(path),
            )
        found.append(Runnable(name, path, path, runtime))
    return tuple(found)


def measure(
    models: Sequence[Runnable],
    *,
    runs: int,
    threads: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Time models on this machine, each in a process of its own, in turns.

    Args:
        models: what to time.
        runs: inferences of each that count.
        threads: for inference.
        progress: called with rounds done and in all.
    """
    weather = benchmark.Weather()
    weather.look()
    with benchmark.Turns({each.name: _command(each, threads) for each in models}) as turns:
        rounds = benchmark.rounds(runs)
        for done in range(rounds):
            turns.take()
            weather.look()
            if progress is not None:
                progress(done + 1, rounds)
        timings = turns.timings()
    return Outcome(timings, weather.conditions(threads))


def _command(model: Runnable, threads: int | None) -> tuple[str, ...]:
    if model.runtime != "torch":
        return benchmark.command(str(model.path), model.runtime, threads)
    number = () if threads is None else (str(threads),)
    module = ("-P", "-m", "tartlet_host.evaluate.benchmark_child")
    return (sys.executable, *module, str(model.path), *number)


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    # The same file twice: counted.
    return [f"{path.name} ({number})" for number, path in enumerate(paths, start=1)]
