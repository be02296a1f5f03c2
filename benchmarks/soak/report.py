"""The run as a plot and as JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec

from benchmarks.soak.run import Sample, Soaked
from benchmarks.soak.verdict import WARM_UP, Verdict
from tartlet_host.files import write_atomically


def write_json(path: Path, found: Soaked, verdict: Verdict) -> None:
    """All samples, and what they say."""
    samples = [
        {
            "seconds": each.seconds,
            "processes": {pid: dataclasses.asdict(use) for pid, use in each.processes.items()},
            "health": msgspec.to_builtins(each.health),
        }
        for each in found.samples
    ]
    content = {
        "verdict": dataclasses.asdict(verdict),
        "frames_watched": found.seen,
        "scrapes": found.scrapes,
        "samples": samples,
    }
    write_atomically(path, json.dumps(content))


def write_plot(path: Path, samples: list[Sample]) -> None:
    """Memory, descriptors and threads, frames per second, latency, over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [each.seconds / 60 for each in samples]
    figure, axes = pyplot.subplots(4, 1, figsize=(9, 11), sharex=True, layout="constrained")
    for pid, name in _known(samples).items():
        use = [each.processes[pid].own / 1e6 if pid in each.processes else None
               for each in samples]  # fmt: skip
        axes[0].plot(minutes, use, label=f"{name} {pid}")
    axes[0].set_ylabel("own MB")
    for name in ("descriptors", "threads"):
        axes[1].plot(minutes, [_total(each, name) for each in samples], label=name)
    detections = [each.health.detection for each in samples]
    axes[2].plot(minutes, [each and each.rate for each in detections], label="frames per second")
    for label, values in (
        ("latency, median", [each and each.latency_p50_ms for each in detections]),
        ("latency, 95 %", [each and each.latency_p95_ms for each in detections]),
        ("inference, median", [each and each.inference_p50_ms for each in detections]),
    ):
        axes[3].plot(minutes, values, label=label)
    axes[3].set_ylabel("ms")
    axes[3].set_xlabel("minutes")
    for axis in axes:
        axis.axvspan(0, WARM_UP * minutes[-1], color="0.93")
        axis.set_ylim(bottom=0)
        axis.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def lines(found: Soaked, verdict: Verdict) -> list[str]:
    """What to print."""
    early_late = {
        "frames per second": verdict.rate,
        "latency, median, ms": verdict.latency_p50_ms,
        "latency, 95 %, ms": verdict.latency_p95_ms,
    }
    last = found.samples[-1]
    detection = last.health.detection
    frames = 0 if detection is None else detection.frames
    return [
        f"{last.seconds / 60:.1f} minutes, {frames} frames, {found.began} events, "
        f"{found.seen} frames watched, {found.scrapes} scrapes",
        *(f"{name}: {each}" for name, each in verdict.trends.items()),
        *(f"{name}: {a:.1f}, then {b:.1f}" for name, (a, b) in early_late.items()),
        "told: " + ", ".join(f"{name} {count}" for name, count in verdict.told.items()),
        "left out: " + ", ".join(f"{name} {count}" for name, count in verdict.dropped.items()),
        *(f"PROBLEM: {each}" for each in verdict.problems),
    ]


def _known(samples: list[Sample]) -> dict[int, str]:
    return {pid: use.name for each in samples for pid, use in each.processes.items()}


def _total(sample: Sample, name: str) -> int:
    return sum(int(getattr(use, name)) for use in sample.processes.values())
