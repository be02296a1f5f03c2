"""Resident memory of ``tartlet-device serve`` with an int8 model on LiteRT, at work."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

from benchmarks.models import models, picture
from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_device.pictures import decode_picture
from tartlet_host import package, runs
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared import bundle, errors
from tartlet_shared.bundle import Bundle

GOAL_MB = 150.0
PREDICTIONS = 50


def run() -> list[Row]:
    """One row; ``ratio`` is the memory over its limit, ``goal`` 1."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = _bundle(folder)
        with EmbeddedDevice(_footage(folder)) as embedded, open_session(embedded.device) as session:
            plan = rollout.plan(served, *rollout.facts(session.client, served))
            rollout.apply(plan, session.client, session.connection)
            for _ in range(PREDICTIONS):
                session.client.predict()
            resident = session.client.status().resident_bytes / 1e6
    return [
        Row(
            name=f"memory of the daemon with LiteRT after {PREDICTIONS} predictions",
            ours=resident,
            rival=GOAL_MB,
            ratio=resident / GOAL_MB,
            goal=1.0,
            holds=resident <= GOAL_MB,
            unit="MB",
        )
    ]


def _bundle(folder: Path) -> Bundle:
    """The newest run's bundle; where that is not for LiteRT, one of its TFLite model; without any
    run, one of an untrained model, which sees something in noise.
    """
    golden = [picture()]
    try:
        found = bundle.open_bundle(runs.latest("bundle"))
    except errors.UsageError:
        pass
    else:
        if found.manifest.runtime == "litert":
            return found
        golden = [
            decode_picture((found.folder / each.picture).read_bytes(), where=each.picture)
            for each in found.manifest.golden
        ]
    with models() as made:
        predictor = open_predictor(made.pruned("litert"), labels=made.labels)
        return package.build_bundle(predictor, folder / "bundle", name="benchmark", golden=golden)


def _footage(folder: Path) -> ReplaySettings:
    """A camera that has its next frame ready whenever it is asked."""
    place = folder / "footage"
    place.mkdir()
    cv2.imwrite(str(place / "1.png"), picture())
    return ReplaySettings(path=str(place), rate=0)
