"""ONNX models through ONNX Runtime, on the processor."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_device.runtime.base import thread_count
from tartlet_shared import errors
from tartlet_shared.manifest import Tensor

_DISTRIBUTION = "onnxruntime"
# Protocol-buffer encoding of the key "location" of a tensor's external_data: a path that the
# runtime would follow to another file. Bundles are self-contained, so nobody needs that. Numbers
# may be written longer than they need be.
_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")


def installed() -> str | None:
    """Name and version of the library, without importing it."""
    try:
        return f"{_DISTRIBUTION} {importlib.metadata.version(_DISTRIBUTION)}"
    except importlib.metadata.PackageNotFoundError:
        return None


class OnnxRuntime:
    """An ONNX model in a session; see `tartlet_device.runtime.base.Runtime`.

    A quantized model in QDQ form takes and gives float32, so its tensors have no affine here.
    """

    name = "onnx"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Load a model.

        Raises:
            RuntimeUnavailable: ONNX Runtime is not installed, or does not load.
            BundleCorrupt: the file is not an ONNX model, refers to other files, or has not one
                input.
        """
        library = _library()
        self.version = f"{_DISTRIBUTION} {library.__version__}"
        content = _read(path)
        options = library.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        # Spinning threads keep the cores hot between two pictures; a Pi throttles from that.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Not the runtime's own format, which would be found out from the first bytes.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            session = library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception types have no common base but this one
            raise errors.BundleCorrupt(
                f"not a usable ONNX model: {str(error).splitlines()[0]}",
                where=str(path),
                hint="package the model again, or push it again",
            ) from error
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise errors.BundleCorrupt(f"{len(inputs)} inputs, expected 1", where=str(path))
        self._session = session
        self.input = _tensor(inputs[0], path)
        self.outputs = tuple(_tensor(output, path) for output in session.get_outputs())
        self._output_names = [output.name for output in self.outputs]

    def invoke(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the model; see the protocol."""
        results = self._session.run(self._output_names, {self.input.name: tensor})
        return [np.asarray(result) for result in results]


def _library() -> Any:
    try:
        return importlib.import_module(_DISTRIBUTION)
    except (ImportError, OSError) as error:
        raise errors.RuntimeUnavailable(
            f"onnxruntime does not load: {error}",
            hint="push the TFLite model, or install it: run setup_pi.sh with --onnx",
        ) from error


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.BundleCorrupt(
            f"cannot be read: {error.strerror}", where=str(path), hint="push the bundle again"
        ) from error
    if _EXTERNAL_DATA.search(content):
        raise errors.BundleCorrupt(
            "the model keeps its weights in another file",
            where=str(path),
            hint="export it with external_data=False",
        )
    return content


def _tensor(value: Any, path: Path) -> Tensor:
    if value.type != "tensor(float)" or not all(isinstance(size, int) for size in value.shape):
        raise errors.BundleCorrupt(
            f"tensor {value.name!r} is {value.type} {value.shape}; "
            "expected float32 of a fixed shape",
            where=str(path),
        )
    return Tensor(name=value.name, shape=tuple(value.shape), dtype="float32")
