"""A model file with all that a device must know becomes a bundle."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import msgspec

from tartlet_device import health
from tartlet_device.detector import Detector
from tartlet_device.preprocess import Picture
from tartlet_host import __version__, golden_pictures
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.predictor import ModelPredictor
from tartlet_host.files import sync_folder, write_atomically
from tartlet_host.quiet import native_output_dropped
from tartlet_shared import bundle, errors, manifest
from tartlet_shared.bundle import Bundle
from tartlet_shared.manifest import MANIFEST_NAME, Golden, Manifest, Requirements
from tartlet_shared.signature import SIGNATURE_NAME

THRESHOLDS = (0.1, 0.7)
"""A score threshold beyond these is a sign of too few validation pictures."""

LEAST_BOXES = 20
"""Of a class in the validation pictures, for a score threshold of its own."""


def build_bundle(
    predictor: ModelPredictor,
    folder: Path,
    *,
    name: str,
    golden: Sequence[Picture],
    metrics: Mapping[str, float] | None = None,
    provenance: Mapping[str, str] | None = None,
    release: int | None = None,
    requires: Requirements | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> Bundle:
    """Seal a bundle and run the device's own self-test on it.

    Everything is written into a temporary folder beside ``folder``, the manifest last, and renamed
    when it is complete; a bundle that was there before is replaced. Where the same bundle, but for
    the time of its making and the release that follows from it, is there already, that one is kept,
    so that a device that has it is sent nothing.

    Args:
        predictor: the model file, opened with the labels and score threshold that it shall have.
        folder: where the bundle goes.
        name: of the model, for people.
        golden: lossless RGB pictures; what the model sees in them becomes the expectation.
        metrics, provenance, requires: for the manifest.
        release: its number; by default the time in UTC, as 20261231235959.
        sign: makes the record of a signature over the manifest's bytes.

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
        now = datetime.datetime.now(datetime.UTC)
        made = Manifest(
            name=name,
            created=now.isoformat(timespec="seconds"),
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
            release=int(f"{now:%Y%m%d%H%M%S}") if release is None else release,
            requires=msgspec.UNSET if requires is None else requires,
        )
        existing = _same_bundle(folder, made, same_release=release is not None)
        if existing is not None:
            if sign is not None:
                _sign(folder, manifest.encode(existing.manifest), sign)
            return existing
        content = manifest.encode(made)
        write_atomically(aside / MANIFEST_NAME, content)
        if sign is not None:
            _sign(aside, content, sign)
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


def _write_golden(
    predictor: ModelPredictor, golden: Sequence[Picture], folder: Path
) -> tuple[Golden, ...]:
    (folder / "golden").mkdir()
    expectations: list[Golden] = []
    for number, rgb in enumerate(golden):
        name = f"golden/{number}.png"
        write_atomically(folder / name, _png(rgb))
        found, _ = predictor.detector.detect(rgb)
        expectations.append(golden_pictures.expectation(name, found))
    if not any(each.detections for each in expectations):
        raise errors.BundleError(
            "the model sees nothing in the golden pictures",
            where=str(predictor.path),
            hint="choose pictures with objects in them, or lower the threshold with --threshold",
        )
    return tuple(expectations)


def _png(rgb: Picture) -> bytes:
    done, encoded = cv2.imencode(
        ".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    if not done:
        raise errors.BundleError(f"no PNG can be made of a picture of shape {rgb.shape}")
    return encoded.tobytes()


def _sign(folder: Path, content: bytes, sign: Callable[[bytes], bytes]) -> None:
    write_atomically(folder / SIGNATURE_NAME, sign(content))


def _same_bundle(folder: Path, made: Manifest, *, same_release: bool) -> Bundle | None:
    try:
        existing = bundle.open_bundle(folder)
    except errors.BundleCorrupt:
        return None
    made = msgspec.structs.replace(made, created=existing.manifest.created)
    if not same_release:
        made = msgspec.structs.replace(made, release=existing.manifest.release)
    return existing if made == existing.manifest else None


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
