"""A checkpoint as a float model for other programs, checked before it gets its name."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tartlet_device import preprocess
from tartlet_device.preprocess import Picture
from tartlet_host.evaluate.torch_runtime import TorchRuntime
from tartlet_host.files import write_atomically
from tartlet_host.quantize import checks, conversion, description, litert
from tartlet_host.quantize.conversion import RuntimeName
from tartlet_host.quantize.folding import export_module
from tartlet_host.train import checkpoint as checkpoints
from tartlet_shared import errors
from tartlet_shared.detections import FloatArray
from tartlet_shared.manifest import Preprocessing

Format = Literal["onnx", "torchscript", "tflite"]
SUFFIX: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt", "tflite": ".tflite"}
RUNTIME: dict[str, RuntimeName] = {"onnx": "onnx", "tflite": "litert"}


@dataclass(frozen=True)
class Exported:
    """A model file for others.

    Attributes:
        path: the file.
        size: bytes.
        difference: largest difference of any output from torch's, over all pictures.
        pictures: how many were compared.
    """

    path: Path
    size: int
    difference: float
    pictures: int


def export(
    checkpoint: Path, path: Path, form: Format, *, pictures: Sequence[Picture] = ()
) -> Exported:
    """Write the float network and compare it with torch on pictures.

    The file takes and gives what `tartlet_host.model.export.ExportWrapper` does.

    Args:
        checkpoint: as `tartlet_host.train.checkpoint` writes it.
        path: file to write; it appears when all checks have passed.
        form: of the file.
        pictures: uint8 RGB of any size; noise where there are none.

    Raises:
        CheckpointCorrupt: the checkpoint cannot be read.
        ConversionFailed: there is no converter for this machine, it fails, ONNX's checker objects,
            or an output differs from torch's by more than rounding.
    """
    if form == "tflite" and not litert.available():
        raise errors.ConversionFailed(
            "this machine has no converter to TFLite",
            where=str(path),
            hint="it exists for x86-64 Linux and macOS; export to ONNX: --format onnx",
        )
    loaded = checkpoints.load(checkpoint)
    canvas = description.preprocessing(loaded.recipe)
    reference = TorchRuntime(loaded.detector, canvas)
    tensors: list[FloatArray] = [litert.probe(canvas).numpy()]
    if pictures:
        tensors = [
            preprocess.input_tensor(
                preprocess.letterbox_picture(rgb, canvas)[0], canvas, reference.input
            )
            for rgb in pictures
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        if form == "torchscript":
            made = Path(folder) / f"model{SUFFIX[form]}"
            write_atomically(made, _torchscript(export_module(loaded.detector), canvas, made))
        else:
            (converted,) = conversion.convert(
                checkpoint, Path(folder), runtimes=(RUNTIME[form],), calibration=None
            )
            made = converted.path
        if form == "onnx":
            check_onnx(made)
        difference = max(
            _difference(run, reference.invoke(tensor), path)
            for tensor, run in zip(tensors, _outputs(made, form, tensors), strict=True)
        )
        size = made.stat().st_size
        write_atomically(path, made.read_bytes())
    return Exported(path, size, difference, len(tensors))


def check_onnx(path: Path) -> None:
    """Run ONNX's own checker, shapes included.

    Raises:
        ConversionFailed: it objects.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise errors.ConversionFailed(
            f"ONNX's checker objects: {str(error).strip().splitlines()[0]}",
            where=str(path),
            hint="this is a fault of the exporter: try --format torchscript",
        ) from error


def _torchscript(module: torch.nn.Module, canvas: Preprocessing, path: Path) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch advises against the format that was asked for
        try:
            torch.jit.save(torch.jit.trace(module, litert.probe(canvas)), buffer)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise errors.ConversionFailed(
                f"the conversion to TorchScript failed: {str(error).splitlines()[0]}",
                where=str(path),
                hint="try --format onnx",
            ) from error
    return buffer.getvalue()


def _outputs(path: Path, form: Format, tensors: Sequence[FloatArray]) -> list[list[FloatArray]]:
    if form != "torchscript":
        runtime = checks.loads(path, RUNTIME[form])
        return [list(runtime.invoke(tensor)) for tensor in tensors]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        script = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return [[each.numpy() for each in script(torch.from_numpy(one))] for one in tensors]


def _difference(found: Sequence[FloatArray], expected: Sequence[FloatArray], path: Path) -> float:
    if [each.shape for each in found] != [each.shape for each in expected]:
        raise errors.ConversionFailed(
            f"the outputs have shapes {[each.shape for each in found]}, "
            f"expected {[each.shape for each in expected]}",
            where=str(path),
        )
    largest = 0.0
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        difference = float(np.abs(one - other).max())
        if not difference <= checks.FLOAT_TOLERANCE * max(1.0, float(np.abs(other).max())):
            raise errors.ConversionFailed(
                f"output {place} differs from torch's by {difference:.3g}",
                where=str(path),
                hint="this is a fault of the converter: try another --format",
            )
        largest = max(largest, difference)
    return largest
