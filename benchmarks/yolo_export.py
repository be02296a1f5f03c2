"""Export YOLO architectures with random weights to int8; run by `yolo_speed` in its own process.

ultralytics is AGPL: it is installed for this benchmark into a folder of its own, never a
dependency, and never imported by anything but this script. Only shapes matter for time, so weights
are random.

Usage: python -m benchmarks.yolo_export PACKAGES FOLDER HEIGHT WIDTH NAME...
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

CALIBRATION_PICTURES = 4
INPUT = "picture"
RUNTIMES = {"onnx": ".onnx", "litert": ".tflite"}


class ChannelsLast(nn.Module):
    """The network behind an input (1, height, width, 3), as ours has it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raw: torch.Tensor = self.network(x.permute(0, 3, 1, 2))
        return raw


def main(packages: str, folder: Path, height: int, width: int, names: list[str]) -> None:
    """Write ``<name>-int8.onnx`` and ``<name>-int8.tflite`` into `folder`."""
    sys.path.insert(0, packages)
    _stub_torchvision()
    pictures = torch.randn(CALIBRATION_PICTURES, height, width, 3)
    for name in names:
        for runtime, suffix in RUNTIMES.items():
            # A fresh network each time: exporting leaves traced tensors in it.
            network = ChannelsLast(_network(name, runtime, height, width)).eval()
            floats, int8 = (folder / f"{name}-{kind}{suffix}" for kind in ("float", "int8"))
            if runtime == "onnx":
                _to_onnx(network, pictures, floats, int8)
            else:
                _to_litert(network, pictures, floats, int8)
            floats.unlink()


def _stub_torchvision() -> None:
    """There is no CPU build of torchvision on the package index; an architecture needs none."""
    installed = importlib.metadata.version

    def version(distribution_name: str) -> str:
        return "0.28.0" if distribution_name == "torchvision" else installed(distribution_name)

    importlib.metadata.version = version
    for name in ("", ".ops", ".transforms", ".transforms.functional", ".models", ".datasets"):
        module = types.ModuleType(f"torchvision{name}")
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        module.__path__ = []
        module.__getattr__ = _empty_class  # type: ignore[method-assign]
        sys.modules[module.__name__] = module
    sys.modules["torchvision"].__dict__["__version__"] = "0.28.0"


def _empty_class(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


def _network(name: str, runtime: str, height: int, width: int) -> nn.Module:
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network: nn.Module = DetectionModel(f"{name}.yaml", ch=3, nc=1, verbose=False).eval()
    network.fuse(verbose=False)  # type: ignore[operator]
    module: Any
    for module in network.modules():
        if hasattr(module, "export"):
            module.export, module.format = True, "onnx" if runtime == "onnx" else "tflite"
    network.requires_grad_(False)
    network(torch.zeros(1, 3, height, width))  # fills in its anchors
    return network


def _to_onnx(network: nn.Module, pictures: torch.Tensor, floats: Path, int8: Path) -> None:
    from onnxruntime import quantization

    torch.onnx.export(
        network,
        (pictures[:1],),
        str(floats),
        dynamo=True,
        external_data=False,
        input_names=[INPUT],
    )
    tensors = iter([{INPUT: picture[None].numpy()} for picture in pictures])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            return next(tensors, None)

    quantization.quantize_static(
        str(floats),
        str(int8),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )


def _to_litert(network: nn.Module, pictures: torch.Tensor, floats: Path, int8: Path) -> None:
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    floats.write_bytes(bytes(litert_torch.convert(network, (pictures[:1],)).model_content()))
    signatures = Interpreter(model_path=str(floats)).get_signature_list()
    ((signature, names),) = signatures.items()
    work = quantizer.Quantizer(str(floats), recipe.static_wi8_ai8())
    tensors = [{names["inputs"][0]: picture[None].numpy()} for picture in pictures]
    ranges = work.calibrate({signature: tensors}, num_threads=1)
    int8.write_bytes(bytes(work.quantize(ranges, enable_progress_report=False).quantized_model))


if __name__ == "__main__":
    np.random.seed(0)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), list(sys.argv[5:]))
