"""Opening a model file of unknown making: one picture in, fixed sizes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tartlet_device import runtime as runtimes
from tartlet_device.runtime import Runtime
from tartlet_host.quiet import native_output_dropped
from tartlet_shared import errors

Size = tuple[int, int]  # width, height

_RUNTIMES = {".tflite": "litert", ".onnx": "onnx"}


@contextlib.contextmanager
def opened(path: Path, size: Size | None = None) -> Iterator[tuple[Path, Runtime]]:
    """The model in the runtime that the device has, and the file that was loaded.

    That file is `path`, or a copy with fixed sizes that is removed afterwards: ONNX exports often
    leave the batch open, and sometimes the picture's size.

    Args:
        path: a .tflite or .onnx file.
        size: width and height for a model that leaves them open.

    Raises:
        UsageError: no such file, or of another kind.
        ModelError: it does not load, or `size` is missing or does not fit.
    """
    kind = _RUNTIMES.get(path.suffix.lower())
    if kind is None:
        raise errors.UsageError(
            "neither .tflite nor .onnx",
            where=str(path),
            hint="export the model to one of them; a tartlet checkpoint goes through quantize",
        )
    if not path.is_file():
        raise errors.UsageError("no such file", where=str(path))
    with tempfile.TemporaryDirectory(prefix="tartlet-import-") as folder:
        file = _fixed(path, Path(folder), size) if kind == "onnx" else path
        try:
            with native_output_dropped():
                loaded = runtimes.load(file, kind, threads=1)
        except errors.BundleCorrupt as error:
            raise errors.ModelError(
                error.what,
                where=str(path),
                hint="export it with one picture as input and float32, int8 or uint8 tensors",
            ) from error
        yield file, loaded


def _fixed(path: Path, folder: Path, size: Size | None) -> Path:
    """`path`, or a copy of it in `folder` in which open sizes are fixed."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError):  # the runtime says what is wrong
        return path
    inputs = _real_inputs(model)
    if len(inputs) != 1:
        return path
    shape = inputs[0].type.tensor_type.shape.dim
    open_places = [place for place, side in enumerate(shape) if not side.HasField("dim_value")]
    if not open_places:
        return path
    wanted = _wanted(shape, size, path)
    for place in open_places:
        shape[place].dim_value = wanted[place]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # its errors have no common base
        raise errors.ModelError(
            f"its sizes cannot be fixed: {str(error).splitlines()[0]}",
            where=str(path),
            hint="export the model with a fixed input size",
        ) from error
    copy = folder / path.name
    onnx.save(model, copy)
    return copy


def _wanted(shape: Any, size: Size | None, path: Path) -> dict[int, int]:
    """A value for each place of the input's shape that may be open."""
    if len(shape) != 4:
        return dict.fromkeys(range(len(shape)), 1)
    rows, columns = (2, 3) if shape[1].dim_value == 3 else (1, 2)
    sides_open = any(not shape[place].HasField("dim_value") for place in (rows, columns))
    if sides_open and size is None:
        raise errors.ModelError(
            "the model takes pictures of any size",
            where=str(path),
            hint="say which one it was trained with: --size 640x640",
        )
    width, height = size or (1, 1)
    return {0: 1, 1: 3, 2: 3, 3: 3, rows: height, columns: width}


def _real_inputs(model: Any) -> list[Any]:
    """Old exporters list the weights among the inputs."""
    weights = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in weights]
