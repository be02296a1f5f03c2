"""A model file with all that a device must know becomes a bundle."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

from tartlet_device import health
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_host import __version__
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_host.files import sync_folder, write_atomically
from tartlet_host.quantize.calibration import spread
from tartlet_host.quiet import native_output_dropped
from tartlet_shared import bundle, errors, manifest
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import MANIFEST_NAME, Expected, Golden, Manifest

GOLDEN_PICTURES = 5
CANDIDATE_PICTURES = 40  # of the data set, looked at to find the golden ones
LONGEST_SIDE = 1024
"""Pixels. Golden pictures are stored lossless; one of 12 megapixels would be 20 MB."""

THRESHOLDS = (0.1, 0.7)
"""A score threshold beyond these is a sign of too few validation pictures."""

LEAST_BOXES = 20
"""Of a class in the validation pictures, for a score threshold of its own."""

NEEDED_MARGIN = 2 * health.SCORE_MARGIN
"""A golden picture is good when no score in it is this close to the threshold: processors round
differently, and a detection that comes and goes tests nothing."""

SHAKES = 3
"""How often a golden picture is tried with noise of one grey level."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class GoldenPicture:
    """A picture for the self-test and how well it suits.

    Attributes:
        rgb: the picture.
        detections: clear ones in it, at the model's score threshold.
        margin: smallest distance of a score from the threshold, over it or under it; 0 where noise
            of one grey level changes what is found.
    """

    rgb: Picture
    detections: int
    margin: float


def choose_golden(
    predictor: ModelPredictor,
    dataset: Dataset,
    *,
    pictures: int = GOLDEN_PICTURES,
    progress: Progress | None = None,
) -> tuple[Picture, ...]:
    """Pictures spread over a data set in which the model sees something beyond doubt.

    The data set is cut into as many parts as pictures are wanted; each part gives the picture with
    the clearest scores.

    Raises:
        BundleError: the model is sure of nothing in any picture.
        DatasetNotFound: the data set is empty.
        PictureUnreadable: a picture is missing or damaged.
    """
    samples = spread(dataset.samples, max(CANDIDATE_PICTURES, pictures))
    if not samples:
        raise errors.DatasetNotFound("there are no pictures to choose golden ones from")
    looked_at: list[GoldenPicture] = []
    for sample in samples:
        rgb = limited(read_picture(sample))
        looked_at.append(_judge(rgb, predictor))
        if progress is not None:
            progress(len(looked_at), len(samples))
    chosen: list[Picture] = []
    parts = min(pictures, len(looked_at))
    for part in range(parts):
        candidates = looked_at[
            part * len(looked_at) // parts : (part + 1) * len(looked_at) // parts
        ]
        # Beyond the margin that is needed more detections are worth more than more margin.
        best = max(candidates, key=lambda each: (min(each.margin, NEEDED_MARGIN), each.detections))
        if best.detections and best.margin > 0:
            chosen.append(best.rgb)
    if not chosen:
        raise errors.BundleError(
            f"the model is sure of nothing in {len(samples)} pictures, so nothing could be tested "
            "on the device",
            where=str(predictor.path),
            hint="train longer, or lower the threshold with --threshold",
        )
    return tuple(chosen)


def build_bundle(
    predictor: ModelPredictor,
    folder: Path,
    *,
    name: str,
    golden: Sequence[Picture],
    metrics: Mapping[str, float] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Bundle:
    """Seal a bundle and run the device's own self-test on it.

    Everything is written into a temporary folder beside ``folder``, the manifest last, and renamed
    when it is complete; a bundle that was there before is replaced. Where the same bundle, but for
    the time of its making, is there already, that one is kept, so that a device that has it is
    sent nothing.

    Args:
        predictor: the model file, opened with the labels and score threshold that it shall have.
        folder: where the bundle goes.
        name: of the model, for people.
        golden: lossless RGB pictures; what the model sees in them becomes the expectation.
        metrics, provenance: for the manifest.

    Raises:
        BundleError: the model is a checkpoint, no golden picture shows anything, or ``folder`` is
            something else than a bundle.
        SelfTestFailed: the model does not give the same detections twice.
    """
    runtime = predictor.runtime.name
    if runtime not in ("litert", "onnx"):
        raise errors.BundleError(
            "a checkpoint cannot run on a device",
            where=str(predictor.path),
            hint="convert it first: tartlet quantize",
        )
    _refuse_other_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as work:
        aside = Path(work) / folder.name
        aside.mkdir()
        model = "model" + predictor.model_path.suffix
        shutil.copyfile(predictor.model_path, aside / model)
        expectations = _write_golden(predictor, golden, aside)
        names = [model, *(each.picture for each in expectations)]
        made = Manifest(
            name=name,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            runtime="litert" if runtime == "litert" else "onnx",
            model=model,
            labels=predictor.labels,
            input=predictor.runtime.input,
            outputs=predictor.runtime.outputs,
            preprocessing=predictor.detector.preprocessing,
            decoding=predictor.detector.decoding,
            golden=expectations,
            files=tuple(bundle.file_entry(aside, each) for each in names),
            metrics=dict(metrics or {}),
            provenance=dict(provenance or {}),
        )
        existing = _same_bundle(folder, made)
        if existing is not None:
            return existing
        write_atomically(aside / MANIFEST_NAME, manifest.encode(made))
        sealed = bundle.open_bundle(aside)
        with native_output_dropped():
            detector = Detector.open(sealed, threads=1)
        health.self_test(detector, sealed)
        _put_in_place(aside, folder)
    return Bundle(folder, sealed.digest, sealed.manifest)


def score_threshold(metrics: Metrics) -> float:
    """The score threshold with the best F1 on validation pictures, within `THRESHOLDS`."""
    low, high = THRESHOLDS
    return min(max(metrics.best.threshold, low), high)


def score_thresholds(metrics: Metrics) -> tuple[float, ...]:
    """The same for each class; one with fewer than `LEAST_BOXES` takes the one for all together."""
    low, high = THRESHOLDS
    return tuple(
        round(min(max(each.best.threshold, low), high), 2)
        if each.boxes >= LEAST_BOXES
        else round(score_threshold(metrics), 2)
        for each in metrics.classes
    )


def provenance(predictor: ModelPredictor) -> dict[str, str]:
    """How a model file came here: its name and what ran it on the laptop."""
    return {
        "file": predictor.model_path.name,
        "checked_with": predictor.runtime.version,
        "tartlet": __version__,
    }


def _judge(rgb: Picture, predictor: ModelPredictor) -> GoldenPicture:
    found = predictor.predict(rgb)
    threshold = np.array(predictor.thresholds, np.float32)[found.class_id]
    margin = float(np.abs(found.score - threshold).min()) if len(found) else 0.0
    clear = found[found.score >= threshold]
    if len(clear) and not _is_steady(rgb, clear, predictor):
        margin = 0.0
    return GoldenPicture(rgb, len(clear), margin)


def _is_steady(rgb: Picture, found: Detections, predictor: ModelPredictor) -> bool:
    """Whether the least noise leaves the detections as they are.

    Processors round differently, when they scale a picture too. Where two boxes of one object have
    nearly the same score, that decides which of them is found, and a device would fail for nothing.
    """
    golden = Golden(picture="golden", detections=_expected(found))
    for seed in range(SHAKES):
        noise = np.random.default_rng(seed).integers(-1, 2, rgb.shape)
        shaken = np.clip(rgb + noise, 0, 255).astype(np.uint8)
        seen, _ = predictor.detector.detect(shaken)
        if health.compare(golden, seen, predictor.thresholds).complaints:
            return False
    return True


def limited(rgb: Picture) -> Picture:
    """The picture with no side above `LONGEST_SIDE`."""
    longest = max(rgb.shape[:2])
    if longest <= LONGEST_SIDE:
        return rgb
    scale = LONGEST_SIDE / longest
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _write_golden(
    predictor: ModelPredictor, golden: Sequence[Picture], folder: Path
) -> tuple[Golden, ...]:
    (folder / "golden").mkdir()
    expectations: list[Golden] = []
    for number, rgb in enumerate(golden):
        name = f"golden/{number}.png"
        write_atomically(folder / name, _png(rgb))
        found, _ = predictor.detector.detect(rgb)
        expectations.append(Golden(picture=name, detections=_expected(found)))
    if not any(each.detections for each in expectations):
        raise errors.BundleError(
            "the model sees nothing in the golden pictures",
            where=str(predictor.path),
            hint="choose pictures with objects in them, or lower the threshold with --threshold",
        )
    return tuple(expectations)


def _expected(found: Detections) -> tuple[Expected, ...]:
    # Hundredths of a pixel and ten-thousandths of score are far below what rounding changes.
    return tuple(
        Expected(
            xyxy=(round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2)),
            score=round(score, 4),
            class_id=class_id,
        )
        for box, score, class_id in found
    )


def _png(rgb: Picture) -> bytes:
    done, encoded = cv2.imencode(
        ".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise errors.BundleError(f"no PNG can be made of a picture of shape {rgb.shape}")
    return encoded.tobytes()


def _same_bundle(folder: Path, made: Manifest) -> Bundle | None:
    try:
        existing = bundle.open_bundle(folder)
    except errors.BundleCorrupt:
        return None
    same = msgspec.structs.replace(made, created=existing.manifest.created) == existing.manifest
    return existing if same else None


def _refuse_other_folder(folder: Path) -> None:
    """Replacing deletes: never do that to something that is not a bundle."""
    if not folder.exists() or (folder / MANIFEST_NAME).is_file():
        return
    if folder.is_dir() and next(folder.iterdir(), None) is None:
        return
    raise errors.BundleError(
        "there is something else than a bundle in its place",
        where=str(folder),
        hint="choose another folder with --output",
    )


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename; a folder in the way is moved aside first, and back if the rename fails."""
    old = aside.with_name(aside.name + ".old")
    with contextlib.suppress(FileNotFoundError):
        folder.replace(old)
    try:
        aside.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    sync_folder(folder.parent)
