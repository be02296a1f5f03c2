"""Where the time of a network goes, layer by layer, by ONNX Runtime's own profiler.

LiteRT runs most of a network as one block and tells nothing about what is inside, so the layers'
times are those of ONNX Runtime. They show where time goes; how much of it, the whole says better.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tartlet_host.model.detector import Detector
from tartlet_host.quantize import conversion
from tartlet_host.recipe import Recipe
from tartlet_host.train import checkpoint

RUNS = 40
WARM_UP = 5
QUIET = 10  # percentile: a layer is short, and on a busy computer most runs of it are interrupted
_KERNEL = "_kernel_time"
_BLOCKED = "_nchwc"  # what ONNX Runtime appends where it changes a layer's memory layout
# Operators that the runtime merges into the convolution before them.
_MERGED = frozenset({"Clip", "Relu", "Add", "Sum"})


class _Event(msgspec.Struct):
    name: str
    cat: str = ""
    dur: float = 0.0


def layer_times(network: Detector, recipe: Recipe, *, runs: int = RUNS) -> dict[str, float]:
    """Milliseconds of each convolution undisturbed, float, one thread, with what is merged into it.

    Args:
        network: any weights will do.
        recipe: gives the canvas.
        runs: how many inferences are counted.

    Raises:
        ConversionFailed: the network cannot be converted to ONNX.
    """
    with tempfile.TemporaryDirectory(prefix="tartlet-layers-") as name:
        folder = Path(name)
        path = folder / "network.safetensors"
        checkpoint.save(path, network, recipe, metrics={})
        made = conversion.convert(path, folder, runtimes=["onnx"], calibration=None)
        return profile(made[0].path, runs=runs)


def profile(path: Path, *, runs: int = RUNS) -> dict[str, float]:
    """Milliseconds of each convolution in an ONNX model of ours, by the layer's name."""
    import onnxruntime

    layers = _layer_of_value(path)
    with tempfile.TemporaryDirectory(prefix="tartlet-profile-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        described = session.get_inputs()[0]
        picture = np.zeros(described.shape, np.float32)
        for _ in range(WARM_UP + runs):
            session.run(None, {described.name: picture})
        written = Path(session.end_profiling())
        events = msgspec.json.decode(written.read_bytes(), type=list[_Event])
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.cat == "Node" and event.name.endswith(_KERNEL):
            layer = layers.get(event.name.removesuffix(_KERNEL).removesuffix(_BLOCKED))
            if layer is not None:
                times[layer].append(event.dur / 1e3)
    return {name: float(np.percentile(values[WARM_UP:], QUIET)) for name, values in times.items()}


def _layer_of_value(path: Path) -> dict[str, str]:
    """Names that the runtime gives to a convolution (its node, what it computes) -> the layer."""
    import onnx

    graph = onnx.load(str(path)).graph
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for value in node.input:
            readers[value].append(node)
    layers: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        layer = (
            node.input[1].removeprefix("detector.").removesuffix(".weight").removesuffix(".conv")
        )
        layers[node.name] = layer
        value = node.output[0]
        layers[value] = layer
        # One reader only: what has two may not be merged away.
        while len(readers[value]) == 1 and readers[value][0].op_type in _MERGED:
            value = readers[value][0].output[0]
            layers.setdefault(value, layer)
    return layers
