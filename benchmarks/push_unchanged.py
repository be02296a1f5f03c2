"""What pushing an unchanged bundle again costs: bytes on the wire and seconds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import CONFIG_DIR_VARIABLE
from tartlet_shared.bundle import Bundle

GOAL_BYTES = 4096.0
GOAL_S = 1.0
_FILLER = 3_000_000  # bytes, to make the bundle as large as a real one
_ROUNDS = 5
_PUSH = (sys.executable, "-m", "tartlet_host.cli", "push")


def run() -> list[Row]:
    """Two rows, against the first push; ``ratio`` is ours, ``goal`` its upper limit."""
    import cv2

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "footage").mkdir()
        cv2.imwrite(str(folder / "footage" / "1.png"), probe.spots_picture())
        camera = ReplaySettings(path=str(folder / "footage"), rate=0)
        bundle = probe.write_bundle(folder / "bundle", filler_bytes=_FILLER)
        with EmbeddedDevice(camera) as embedded:
            first_bytes, first_s = _push(embedded, bundle)
            again = [_push(embedded, bundle) for _ in range(_ROUNDS)]
    most_bytes = max(sent for sent, _ in again)
    seconds = statistics.median(took for _, took in again)
    return [
        Row(
            name="push of an unchanged bundle: bytes sent, SSH handshake included",
            ours=most_bytes,
            rival=first_bytes,
            ratio=most_bytes,
            goal=GOAL_BYTES,
            holds=most_bytes < GOAL_BYTES,
            unit="B",
        ),
        Row(
            name="push of an unchanged bundle: seconds of the whole command",
            ours=seconds,
            rival=first_s,
            ratio=seconds,
            goal=GOAL_S,
            holds=seconds < GOAL_S,
            unit="s",
        ),
    ]


def _push(embedded: EmbeddedDevice, bundle: Bundle) -> tuple[float, float]:
    """The whole command, Python's start included."""
    started = time.perf_counter()
    done = subprocess.run(
        [*_PUSH, str(bundle.folder), "--no-wait", "--json"],
        env={**os.environ, CONFIG_DIR_VARIABLE: str(embedded.config_dir)},
        capture_output=True,
        check=True,
    )
    took = time.perf_counter() - started
    return float(json.loads(done.stdout)["bytes_sent"]), took
