"""The command: run, print, write, judge."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.soak import report
from benchmarks.soak.run import Sample, soak
from benchmarks.soak.scene import scene
from benchmarks.soak.verdict import judge

_SAMPLES_S = 5.0
_LEAST_SAMPLES = 60


def main() -> int:
    """Run it; the exit code is 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="without suffix")
    given = parser.parse_args()
    seconds = given.minutes * 60
    with tempfile.TemporaryDirectory() as name:
        bundle, footage = scene(Path(name))
        interval_s = min(_SAMPLES_S, seconds / _LEAST_SAMPLES)
        found = soak(bundle, footage, seconds=seconds, interval_s=interval_s, say=_say)
    verdict = judge(found)
    report.write_json(given.out.with_suffix(".json"), found, verdict)
    report.write_plot(given.out.with_suffix(".png"), found.samples)
    print("\n".join(report.lines(found, verdict)))
    return 1 if verdict.problems else 0


def _say(sample: Sample) -> None:
    if not sys.stderr.isatty():
        return
    detection = sample.health.detection
    rate = 0.0 if detection is None else detection.rate
    memory = sum(use.own for use in sample.processes.values()) / 1e6
    text = f"{sample.seconds / 60:6.1f} min  {rate:6.1f} frames/s  {memory:6.1f} MB"
    print(f"\r{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
