"""Frames per second of the daemon's continuous detection against the bare interpreter's."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import footage
from benchmarks.models import litert_bundle, parent_bundle
from benchmarks.row import Row
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle
from tartlet_shared.client import Client

GOAL = 0.95
THREADS = 1
ROUNDS = 12
TURN_S = 2.0
_SETTLE_S = 1.0
_ON = DeviceConfig(detection=DetectionSettings(enabled=True))
_OFF = DeviceConfig()


def run() -> list[Row]:
    """Two rows; ``ratio`` is our frames per second over the interpreter's inferences per second.

    The two take turns, so that both see the same machine. The camera gives raw frames of the
    model's size, as a Pi's camera does for the daemon. The pruned model takes so few milliseconds
    that everything around it counts; the other one is as slow here as a pruned one on a small Pi.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            _row("the pruned int8 model", litert_bundle(folder)),
            _row("the unpruned float model", parent_bundle(folder)),
        ]


def _row(title: str, bundle: Bundle) -> Row:
    with tempfile.TemporaryDirectory() as name:
        path = footage.objects(Path(name) / "raw.avi", bundle)
        camera = ReplaySettings(path=str(path), rate=0)
        with (
            EmbeddedDevice(camera, threads=THREADS) as embedded,
            open_session(embedded.device) as session,
            _Bare(bundle) as bare,
        ):
            plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
            rollout.apply(plan, session.client, session.connection)
            ours, theirs = [], []
            for _ in range(ROUNDS):
                theirs.append(bare.rate(TURN_S))
                embedded.reconfigure(_ON)
                ours.append(_rate(session.client))
                embedded.reconfigure(_OFF)
                _wait_for(session.client, running=False)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Row(
        name=f"continuous detection against the bare interpreter, {title}, {THREADS} thread",
        ours=statistics.median(ours),
        rival=statistics.median(theirs),
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL,
        unit="/s",
    )


def bare_command(bundle: Bundle, threads: int) -> list[str]:
    """The command line of `benchmarks.bare` for a bundle's model."""
    words = [str(bundle.model_path), bundle.manifest.runtime, str(threads)]
    return [sys.executable, "-m", "benchmarks.bare", *words]


class _Bare:
    """`benchmarks.bare` as a process."""

    def __init__(self, bundle: Bundle) -> None:
        self._process = subprocess.Popen(
            bare_command(bundle, THREADS),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> _Bare:
        self._said()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def rate(self, seconds: float) -> float:
        """Inferences per second for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return float(self._said())

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare interpreter ended with {self._process.wait()}")
        return line


def _rate(client: Client) -> float:
    _wait_for(client, running=True)
    time.sleep(_SETTLE_S)
    before, began = _frames(client), time.perf_counter()
    time.sleep(TURN_S)
    return (_frames(client) - before) / (time.perf_counter() - began)


def _frames(client: Client) -> int:
    detection = client.status().detection
    return 0 if detection is None else detection.frames


def _wait_for(client: Client, *, running: bool) -> None:
    deadline = time.monotonic() + 30
    while (client.status().detection is not None) != running:
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon does not read its configuration again")
        time.sleep(0.05)
