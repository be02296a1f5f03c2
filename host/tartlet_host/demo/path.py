"""The steps of the demo, in order; each is what one command does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tartlet_device.config import ReplaySettings
from tartlet_device.pictures import decode_picture
from tartlet_device.preprocess import Picture
from tartlet_host import annotate, package
from tartlet_host.dataset.from_motion import Labelled, frame_name, label_from_motion, write_frame
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.demo.scene import Scene
from tartlet_host.demo.summary import Transfer
from tartlet_host.evaluate import candidates, latency, parity
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.parity import Parity
from tartlet_host.evaluate.predictor import ModelPredictor, open_predictor
from tartlet_host.files import write_atomically
from tartlet_host.model.detector import build_detector
from tartlet_host.progress import Report
from tartlet_host.prune.pruner import prune_and_finetune
from tartlet_host.quantize import calibration, conversion
from tartlet_host.quantize.calibration import spread
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.rollout import PushReport
from tartlet_host.remote.session import open_session
from tartlet_host.train import checkpoint
from tartlet_host.train.loop import fit
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.messages import Prediction, unpack

PARITY_PICTURES = 16
VALIDATION_PICTURES = 60
LARGEST_LOSS = 0.04
"""mAP50 that pruning and int8 together may cost; ten minutes of training leave no more room."""
PREDICTIONS = 12

NAMES = {
    "parent-float.tflite": "fp32",
    "pruned-float.tflite": "pruned",
    "pruned-int8.tflite": "int8 TFLite",
    "pruned-float.onnx": "pruned ONNX",
    "pruned-int8.onnx": "int8 ONNX",
    "parent-float.onnx": "fp32",
}


def training_camera(scene: Scene) -> ReplaySettings:
    """A camera that shows the frames to learn from."""
    return _camera(scene, scene.train)


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


def train(dataset: Dataset, scene: Scene, path: Path, report: Report) -> tuple[float, ...]:
    """Train and save a detector; returns the losses."""
    detector = build_detector(scene.recipe)
    result = fit(detector, dataset, scene.recipe, progress=lambda now: report(now.step, now.steps))
    checkpoint.save(path, detector, scene.recipe, metrics={"final_loss": result.losses[-1]})
    return result.losses


def prune(parent: Path, dataset: Dataset, path: Path, report: Report) -> tuple[float, ...]:
    """Prune, fine-tune and save; returns the losses."""
    loaded = checkpoint.load(parent)
    detector, pruned, result = prune_and_finetune(
        loaded.detector,
        dataset,
        loaded.recipe,
        progress=lambda now: report(now.step, now.steps),
    )
    checkpoint.save(
        path,
        detector,
        pruned.recipe,
        metrics={"final_loss": result.losses[-1]},
        parent=loaded.digest,
        pruning_history=(*loaded.pruning_history, pruned.step),
    )
    return result.losses


def convert(parent: Path, pruned: Path, dataset: Dataset, folder: Path) -> list[Path]:
    """int8 models of the pruned detector for every runtime, and float ones to compare with."""
    runtimes = conversion.default_runtimes()
    recipe = checkpoint.load(pruned).recipe
    prepared = calibration.collect(dataset, recipe)
    made = conversion.convert(pruned, folder, runtimes=runtimes, calibration=prepared)
    reference = conversion.convert(parent, folder, runtimes=runtimes[:1], calibration=None)
    return [each.path for each in (*reference, *made)]


def check_parity(models: list[Path], dataset: Dataset, report: Report) -> dict[Path, Parity]:
    """Compare each int8 model with the float one it was made from; refuses one that is blind."""
    pictures = [read_picture(sample) for sample in spread(dataset.samples, PARITY_PICTURES)]
    int8 = [path for path in models if "-int8" in path.name]
    found = {}
    for done, path in enumerate(int8, start=1):
        parent = path.with_name(path.name.replace("-int8", "-float"))
        found[path] = parity.compare(
            open_predictor(parent, labels=dataset.labels),
            open_predictor(path, labels=dataset.labels),
            pictures,
        )
        report(done, len(int8))
    return found


@dataclass(frozen=True, eq=False)
class Measured:
    """A model with its accuracy on the test pictures, and its latency taken in turns with others.

    Attributes:
        name: for people.
        predictor: the model.
        metrics: on the test pictures, at the score threshold chosen on training frames.
        latency: of inference alone, one thread.
        found: detections in each test picture.
    """

    name: str
    predictor: ModelPredictor
    metrics: Metrics
    latency: Latency
    found: list[Detections]


def measure(models: list[Path], test: Dataset, threshold: float, report: Report) -> list[Measured]:
    """Accuracy and latency of each model; the fp32 one comes first."""
    predictors = [
        open_predictor(path, labels=test.labels, score_threshold=threshold)
        for path in models
        if path.name != "pruned-float.onnx" or "pruned-float.tflite" not in {m.name for m in models}
    ]
    steps = len(predictors) + 1
    found = []
    for done, predictor in enumerate(predictors, start=1):
        found.append(precision.predict_all(predictor, test))
        report(done, steps)
    picture = read_picture(test.samples[0])
    names = [NAMES[each.path.name] for each in predictors]
    times = latency.measure(
        {
            name: latency.inference(each, picture)
            for name, each in zip(names, predictors, strict=True)
        }
    )
    report(steps, steps)
    return [
        Measured(
            name,
            predictor,
            precision.measure(test, detections, score_threshold=threshold),
            times[name],
            detections,
        )
        for name, predictor, detections in zip(names, predictors, found, strict=True)
    ]


def choose(models: list[Path], dataset: Dataset, report: Report) -> tuple[Path, float, Metrics]:
    """The fastest int8 model that keeps its parent's accuracy, and its best score threshold.

    Judged on training frames and their motion labels: the test pictures decide nothing.

    Raises:
        ParityFailed: no int8 model is accurate enough.
    """
    held = Dataset(dataset.labels, spread(dataset.samples, VALIDATION_PICTURES))
    reference, int8 = models[0], [path for path in models if "-int8" in path.name]
    figures = {}
    predictors = {}
    for done, path in enumerate((reference, *int8), start=1):
        predictors[path] = open_predictor(path, labels=dataset.labels)
        figures[path] = precision.measure(held, precision.predict_all(predictors[path], held))
        report(done, len(int8) + 1)
    picture = read_picture(held.samples[0])
    times = latency.measure(
        {str(path): latency.inference(predictors[path], picture) for path in int8}
    )
    chosen = candidates.choose(
        [
            candidates.Candidate(NAMES[path.name], path, figures[path].map50, times[str(path)].p50)
            for path in int8
        ],
        reference=figures[reference].map50,
        largest_loss=LARGEST_LOSS,
    )
    metrics = figures[chosen.path]
    return chosen.path, round(metrics.best.threshold, 2), metrics


def seal(
    model: Path, threshold: float, metrics: Metrics, labelled: Labelled, scene: Scene, folder: Path
) -> Bundle:
    """Package the model with golden pictures from the training frames."""
    predictor = open_predictor(model, labels=labelled.dataset.labels, score_threshold=threshold)
    return package.build_bundle(
        predictor,
        folder,
        name=scene.recipe.name,
        golden=package.choose_golden(predictor, labelled.dataset),
        metrics=metrics.figures(),
        provenance={**package.provenance(predictor), "labels": "from motion"},
    )


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


def _camera(scene: Scene, frames: tuple[int, int]) -> ReplaySettings:
    return ReplaySettings(path=str(scene.footage.resolve()), first=frames[0], last=frames[1])
