"""What the demo does with its device; the model in between is that of `tartlet run`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tartlet_device.config import ReplaySettings
from tartlet_device.pictures import decode_picture
from tartlet_device.preprocess import Picture
from tartlet_host import annotate
from tartlet_host.dataset.from_motion import Labelled, frame_name, label_from_motion, write_frame
from tartlet_host.demo.scene import Scene
from tartlet_host.files import write_atomically
from tartlet_host.progress import Report
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.rollout import PushReport
from tartlet_host.remote.session import open_session
from tartlet_host.run.summary import Transfer
from tartlet_shared.bundle import Bundle
from tartlet_shared.picture_messages import Prediction, unpack

PREDICTIONS = 12


def training_camera(scene: Scene) -> ReplaySettings:
    """A camera that shows the frames to learn from, as fast as they are fetched."""
    return _camera(scene, scene.train, rate=0)


def test_camera(scene: Scene) -> ReplaySettings:
    """A camera that shows the frames that training never sees."""
    return _camera(scene, scene.test)


def fetch(device: EmbeddedDevice, scene: Scene, folder: Path, report: Report) -> Path:
    """Fetch every training frame from the device, each under its number; returns their folder."""
    frames = folder / "frames"
    count = scene.train[1] - scene.train[0] + 1
    with open_session(device.device) as session:
        for done, photo in enumerate(session.client.capture(count), start=1):
            write_atomically(frames / frame_name(photo.frame.number), photo.jpeg)
            report(done, count)
    return frames


def label(frames: Path, folder: Path, scene: Scene, report: Report) -> Labelled:
    """Label the fetched frames from motion."""
    return label_from_motion(frames, folder, scene.recipe.labels[0], progress=report)


def push(
    device: EmbeddedDevice, bundle: Bundle, name: str, report: Report
) -> tuple[PushReport, Transfer]:
    """Push over a connection of its own, as `tartlet push` does."""
    started = time.monotonic()
    with open_session(device.device) as session:
        have, wanted = rollout.facts(session.client, bundle)
        pushed = rollout.apply(
            rollout.plan(bundle, have, wanted),
            session.client,
            session.connection,
            progress=report,
        )
        connection = session.connection
        transfer = Transfer(
            name=name,
            seconds=time.monotonic() - started,
            bytes_sent=connection.bytes_sent,
            bytes_received=connection.bytes_received,
        )
    return pushed, transfer


@dataclass(frozen=True, eq=False)
class Watched:
    """What came of predicting on the device's camera.

    Attributes:
        prediction: the last one.
        annotated: its picture with the boxes drawn.
        added_ms: what the way there and back added to the device's own time, median.
    """

    prediction: Prediction
    annotated: Picture
    added_ms: float


def predict(device: EmbeddedDevice, picture: Path, report: Report) -> tuple[Watched, Transfer]:
    """Predict on camera frames over one connection; the last picture is written with its boxes."""
    seconds, added = [], []
    with open_session(device.device) as session:
        sent, received = session.connection.bytes_sent, session.connection.bytes_received
        for done in range(PREDICTIONS):
            started = time.monotonic()
            prediction = session.client.predict()
            seconds.append(time.monotonic() - started)
            added.append(seconds[-1] * 1e3 - prediction.timings.total)
            report(done + 1, PREDICTIONS)
        transfer = Transfer(
            name="predict",
            seconds=float(np.median(seconds)),
            bytes_sent=(session.connection.bytes_sent - sent) // PREDICTIONS,
            bytes_received=(session.connection.bytes_received - received) // PREDICTIONS,
        )
    rgb = decode_picture(prediction.jpeg, where="the device's picture")
    annotated = annotate.draw(rgb, unpack(prediction.detections), prediction.labels)
    write_frame(picture, annotated)
    return Watched(prediction, annotated, float(np.median(added))), transfer


def _camera(scene: Scene, frames: tuple[int, int], *, rate: float | None = None) -> ReplaySettings:
    path = str(scene.footage.resolve())
    return ReplaySettings(path=path, first=frames[0], last=frames[1], rate=rate)
