"""The models that the speed benchmarks compare: a float parent and its pruned int8 offspring."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.newest import newest_run
from tartlet_device.pictures import decode_picture
from tartlet_device.preprocess import Picture
from tartlet_host import package, runs
from tartlet_host.evaluate.predictor import open_predictor
from tartlet_host.recipe import Recipe, load_recipe
from tartlet_shared import bundle, errors
from tartlet_shared.bundle import Bundle

RECIPE = Path("models/people/recipe.toml")
PARENT = "parent-float.tflite"
INT8 = {"litert": "pruned-int8.tflite", "onnx": "pruned-int8.onnx"}
_CALIBRATION_PICTURES = 16
_SIZE = (576, 768, 3)


@dataclass(frozen=True)
class Models:
    """A recipe's models.

    Attributes:
        folder: has the files.
        labels: class names.
        origin: where they come from: a run, or untrained networks of the same shape.
    """

    folder: Path
    labels: tuple[str, ...]
    origin: str

    @property
    def parent(self) -> Path:
        """Float TFLite."""
        return self.folder / PARENT

    def pruned(self, runtime: str) -> Path:
        """int8, for "litert" or "onnx"."""
        return self.folder / INT8[runtime]

    @property
    def checkpoint(self) -> Path:
        """The pruned network."""
        return self.folder / "pruned.safetensors"


@contextlib.contextmanager
def models() -> Iterator[Models]:
    """Those of the newest run of models/people, or untrained ones where there was none."""
    recipe = load_recipe(RECIPE)
    found = newest_run(recipe.name)
    if found is not None:
        yield Models(found.folder, recipe.labels, found.folder.name)
        return
    with tempfile.TemporaryDirectory() as folder:
        _make(recipe, Path(folder))
        yield Models(Path(folder), recipe.labels, "untrained")


def parent_bundle(folder: Path) -> Bundle:
    """The unpruned float model."""
    with models() as made:
        packaged = made.folder / "bundle"
        golden = _golden(bundle.open_bundle(packaged)) if packaged.is_dir() else [picture()]
        predictor = open_predictor(made.parent, labels=made.labels)
        return package.build_bundle(
            predictor, folder / "parent-bundle", name="parent", golden=golden
        )


def _golden(packaged: Bundle) -> list[Picture]:
    return [
        decode_picture((packaged.folder / each.picture).read_bytes(), where=each.picture)
        for each in packaged.manifest.golden
    ]


def litert_bundle(folder: Path) -> Bundle:
    """The newest run's, or one of an untrained model, which sees something in noise."""
    found = trained_litert_bundle(folder)
    return _packaged(folder, [picture()]) if found is None else found


def trained_litert_bundle(folder: Path) -> Bundle | None:
    """The newest run's bundle; where that is not for LiteRT, one of its TFLite model; None without
    any run.
    """
    try:
        found = bundle.open_bundle(runs.latest("bundle"))
    except errors.UsageError:
        return None
    return found if found.manifest.runtime == "litert" else _packaged(folder, _golden(found))


def _packaged(folder: Path, golden: list[Picture]) -> Bundle:
    with models() as made:
        predictor = open_predictor(made.pruned("litert"), labels=made.labels)
        return package.build_bundle(predictor, folder / "bundle", name="benchmark", golden=golden)


def picture() -> Picture:
    """Noise of the camera's size; the time of these networks does not depend on the content."""
    return np.random.default_rng(0).integers(0, 256, _SIZE, np.uint8)


def convert(checkpoint: Path, folder: Path, *, int8: bool) -> None:
    """TFLite and ONNX files of a checkpoint, calibrated with noise: only time matters here."""
    from tartlet_host.quantize import conversion, description
    from tartlet_host.quantize.calibration import Calibration
    from tartlet_host.train import checkpoint as checkpoints

    canvas = description.preprocessing(checkpoints.load(checkpoint).recipe)
    shape = (_CALIBRATION_PICTURES, canvas.height, canvas.width, 3)
    noise = Calibration(np.random.default_rng(0).integers(0, 256, shape, np.uint8), canvas)
    conversion.convert(
        checkpoint,
        folder,
        runtimes=conversion.default_runtimes(),
        calibration=noise if int8 else None,
    )


def _make(recipe: Recipe, folder: Path) -> None:
    """Untrained weights, pruned as the recipe says. Only their shapes matter here."""
    import torch

    from tartlet_host.model.detector import build_detector
    from tartlet_host.prune.pruner import prune
    from tartlet_host.train import checkpoint

    parent = build_detector(recipe).eval()
    with torch.no_grad():
        for name, parameter in parent.named_parameters():
            if name.endswith("score.bias"):
                parameter.zero_()  # every cell sees something, as the memory benchmark needs
    pruned = copy.deepcopy(parent)
    report = prune(pruned, recipe)
    checkpoint.save(folder / "parent.safetensors", parent, recipe, metrics={})
    checkpoint.save(
        folder / "pruned.safetensors",
        pruned,
        report.recipe,
        metrics={},
        pruning_history=(report.step,),
    )
    convert(folder / "parent.safetensors", folder, int8=False)
    convert(folder / "pruned.safetensors", folder, int8=True)
