"""Memory of ``tartlet-device serve`` and its processes, with an int8 model on LiteRT, at work.

Pages that several processes share, such as those of libraries, count once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

from benchmarks.models import litert_bundle, picture
from benchmarks.row import Row
from benchmarks.soak.processes import family
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session

GOAL_MB = 150.0
PREDICTIONS = 50


def run() -> list[Row]:
    """One row; ``ratio`` is the memory over its limit, ``goal`` 1."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = litert_bundle(folder)
        with EmbeddedDevice(_footage(folder)) as embedded, open_session(embedded.device) as session:
            plan = rollout.plan(served, *rollout.facts(session.client, served))
            rollout.apply(plan, session.client, session.connection)
            for _ in range(PREDICTIONS):
                session.client.predict()
            assert embedded.daemon_pid is not None
            usage = family(embedded.daemon_pid).values()
            proportional = sum(each.proportional for each in usage) / 1e6
    return [
        Row(
            name=f"memory of daemon and children with LiteRT after {PREDICTIONS} predictions",
            ours=proportional,
            rival=GOAL_MB,
            ratio=proportional / GOAL_MB,
            goal=1.0,
            holds=proportional <= GOAL_MB,
            unit="MB",
        )
    ]


def _footage(folder: Path) -> ReplaySettings:
    """A camera that has its next frame ready whenever it is asked."""
    place = folder / "footage"
    place.mkdir()
    cv2.imwrite(str(place / "1.png"), picture())
    return ReplaySettings(path=str(place), rate=0)
