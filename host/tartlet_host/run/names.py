"""What model files are called where people read."""

from __future__ import annotations

from tartlet_host.quantize.conversion import ModelFile

RUNTIMES = {"litert": "TFLite", "onnx": "ONNX"}
PRECISIONS = {"float": "fp32", "float16": "fp16"}


def name_of(made: ModelFile) -> str:
    """Such as "fp32 TFLite" for the parent and "pruned int8 ONNX" for what came of it."""
    stem = made.path.stem.partition("-")[0]
    network = "" if stem == "parent" else f"{stem} "
    precision = PRECISIONS.get(made.precision, made.precision)
    return f"{network}{precision} {RUNTIMES[made.runtime]}"
