"""The least that a program can do with a model: load it, and run it over and over.

``python -m benchmarks.bare MODEL RUNTIME THREADS``. It says "ready" when the model is loaded and
has run once; then for each line "SECONDS" on standard input it runs for so long and answers with
inferences per second. Only the runtime's own Python interface is used.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def main() -> None:
    """Serve the one who measures."""
    path, runtime, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # libraries print there
        invoke = _litert(path, threads) if runtime == "litert" else _onnx(path, threads)
        invoke()
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(_rate(invoke, float(line)), file=answers, flush=True)


def _rate(invoke: Callable[[], Any], seconds: float) -> float:
    done = 0
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        invoke()
        done += 1
    return done / spent


def _litert(path: str, threads: int) -> Callable[[], Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    outputs = [each["index"] for each in interpreter.get_output_details()]
    noise = np.zeros(given["shape"], given["dtype"])

    def invoke() -> list[Any]:
        interpreter.set_tensor(given["index"], noise)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return invoke


def _onnx(path: str, threads: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    (given,) = session.get_inputs()
    kind = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
    noise = np.zeros(given.shape, kind[given.type])
    return lambda: session.run(None, {given.name: noise})


if __name__ == "__main__":
    main()
