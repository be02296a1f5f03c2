"""TFLite's detection post-processing operator: which outputs of the model are its four."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tartlet_device.runtime import Runtime
from tartlet_device.runtime.litert import named_details
from tartlet_host.quiet import native_output_dropped

_OPERATOR = "TFLite_Detection_PostProcess"


def order_of(path: Path, runtime: Runtime) -> tuple[int, int, int, int] | None:
    """Places of boxes, classes, scores and count in ``runtime.outputs``; None without it.

    The operator gives them in this order; names and places of a model's outputs come from its
    converter and may be anything.
    """
    if path.suffix.lower() != ".tflite":
        return None
    from ai_edge_litert.interpreter import Interpreter

    with native_output_dropped():
        interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        # The list of operators has no public name; without it the values decide.
        operators: list[Any] = getattr(interpreter, "_get_ops_details", list)()
    _, outputs = named_details(interpreter)
    place_of = {detail["index"]: place for place, (_, detail) in enumerate(outputs)}
    for operator in operators:
        if operator["op_name"] == _OPERATOR and len(operator["outputs"]) == 4:
            indices = [int(index) for index in operator["outputs"]]
            if all(index in place_of for index in indices):
                boxes, classes, scores, count = (place_of[index] for index in indices)
                return boxes, classes, scores, count
    return None
