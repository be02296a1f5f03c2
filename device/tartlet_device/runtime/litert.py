"""TFLite models through ai-edge-litert, or tflite-runtime where that has no wheel."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tartlet_device.runtime.base import natural_order, thread_count
from tartlet_shared import errors
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import Tensor

# Distribution and module, best first.
_LIBRARIES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)


def installed() -> str | None:
    """Name and version of the library that would be used, without importing it."""
    for distribution, _ in _LIBRARIES:
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


class LiteRtRuntime:
    """A TFLite model in an interpreter; see `tartlet_device.runtime.base.Runtime`."""

    name = "litert"

    def __init__(
        self, path: Path, *, threads: int | None = None, reference_kernels: bool = False
    ) -> None:
        """Load a model.

        Args:
            path: the model.
            threads: for inference; by default one per core, at most four.
            reference_kernels: compute with TFLite's plain kernels, slowly.

        Raises:
            RuntimeUnavailable: no TFLite library is installed, or it does not load.
            BundleCorrupt: the file is not a TFLite model, or not one with one input.
        """
        self.version, library = _library()
        resolvers = library.OpResolverType
        kernels = resolvers.BUILTIN_REF if reference_kernels else resolvers.AUTO
        try:
            # Interpreter, not CompiledModel: that one crashes on truncated files.
            interpreter = library.Interpreter(
                model_path=str(path),
                num_threads=thread_count(threads),
                experimental_op_resolver_type=kernels,
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise errors.BundleCorrupt(
                f"not a usable TFLite model: {_first_line(error)}",
                where=str(path),
                hint="package the model again, or push it again",
            ) from error
        inputs, outputs = named_details(interpreter)
        if len(inputs) != 1:
            raise errors.BundleCorrupt(f"{len(inputs)} inputs, expected 1", where=str(path))
        self._interpreter = interpreter
        self.input = _tensor(*inputs[0], path)
        self.outputs = tuple(_tensor(name, detail, path) for name, detail in outputs)
        self._input_index: int = inputs[0][1]["index"]
        self._output_indices: list[int] = [detail["index"] for _, detail in outputs]

    def invoke(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the model; see the protocol."""
        self._interpreter.set_tensor(self._input_index, tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]


def _library() -> tuple[str, Any]:
    reasons = []
    for distribution, module in _LIBRARIES:
        try:
            found = importlib.import_module(module)
        except (ImportError, AttributeError, OSError) as error:
            reasons.append(f"{distribution}: {_first_line(error)}")
            continue
        return f"{distribution} {importlib.metadata.version(distribution)}", found
    raise errors.RuntimeUnavailable(
        "no TFLite runtime loads (" + "; ".join(reasons) + ")",
        hint="run setup_pi.sh again; `tartlet-device doctor` says which one fits this system",
    )


def named_details(interpreter: Any) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Inputs and outputs with their names, in natural order of the names.

    The positions in ``get_output_details`` are whatever the converter left; the names carry the
    order in which the network gives its outputs, as do those of the signature where there is one.
    """
    signatures = interpreter.get_signature_list()
    if signatures:
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
    else:
        inputs = {detail["name"]: detail for detail in interpreter.get_input_details()}
        outputs = {detail["name"]: detail for detail in interpreter.get_output_details()}
    return _in_natural_order(inputs), _in_natural_order(outputs)


def _in_natural_order(details: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(details.items(), key=lambda item: natural_order(item[0]))


def _tensor(name: str, detail: Any, path: Path) -> Tensor:
    dtype = detail["dtype"].__name__
    parameters = detail["quantization_parameters"]
    if dtype not in ("float32", "int8", "uint8") or len(parameters["scales"]) > 1:
        raise errors.BundleCorrupt(
            f"tensor {name!r} is {dtype} with {len(parameters['scales'])} scales; "
            "expected float32, or int8 or uint8 with one scale",
            where=str(path),
        )
    affine = None
    if dtype != "float32":
        if len(parameters["scales"]) != 1:
            raise errors.BundleCorrupt(f"tensor {name!r} has no scale", where=str(path))
        affine = Affine(float(parameters["scales"][0]), int(parameters["zero_points"][0]))
    return Tensor(
        name=name,
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=dtype,
        affine=affine,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
