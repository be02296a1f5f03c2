"""What `predict` costs on top of the device's own work, over SSH on loopback."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import cv2

from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import probe, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared.client import Client

GOAL_MS = 5.0
_SIZE = (768, 576)  # pixels of the camera
_WARM_UP, _ROUNDS = 5, 60


def run() -> list[Row]:
    """One row per kind of answer; ``ratio`` is the overhead in ms, ``goal`` its upper limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        footage = _footage(folder / "footage")
        bundle = probe.write_bundle(folder / "bundle")
        with EmbeddedDevice(footage) as embedded, open_session(embedded.device) as session:
            plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
            rollout.apply(plan, session.client, session.connection)
            return [
                _row("predict over SSH, picture sent back", session.client, want_picture=True),
                _row("predict over SSH, boxes only", session.client, want_picture=False),
            ]


def _row(name: str, client: Client, *, want_picture: bool) -> Row:
    round_trips, overheads, works = [], [], []
    for _ in range(_WARM_UP + _ROUNDS):
        started = time.perf_counter()
        timings = client.predict(want_picture=want_picture).timings
        round_trip = (time.perf_counter() - started) * 1e3
        work = timings.capture + timings.preprocess + timings.inference + timings.postprocess
        round_trips.append(round_trip)
        works.append(work)
        overheads.append(round_trip - work)
    overhead = statistics.median(overheads[_WARM_UP:])
    return Row(
        name=f"{name}: ms on top of capture and inference",
        ours=statistics.median(round_trips[_WARM_UP:]),
        rival=statistics.median(works[_WARM_UP:]),
        ratio=overhead,
        goal=GOAL_MS,
        holds=overhead <= GOAL_MS,
        unit="ms",
    )


def _footage(folder: Path) -> ReplaySettings:
    """A camera that has its next frame ready whenever it is asked."""
    folder.mkdir()
    picture = cv2.resize(probe.spots_picture(), _SIZE, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "1.png"), picture)
    return ReplaySettings(path=str(folder), rate=0)
