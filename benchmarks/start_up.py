"""How long the command line takes to say what it can do, from a cold process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.row import Row

RUNS = 15
LIMIT_MS = 150.0


def run() -> list[Row]:
    """``tartlet --help`` as a whole process, median, against its limit."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tartlet_host.cli", "--help"],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        times.append((time.perf_counter() - started) * 1e3)
    median = statistics.median(times)
    return [
        Row(
            name="tartlet --help",
            ours=median,
            rival=LIMIT_MS,
            ratio=median / LIMIT_MS,
            goal=1.0,
            holds=median <= LIMIT_MS,
            unit="ms",
        )
    ]
