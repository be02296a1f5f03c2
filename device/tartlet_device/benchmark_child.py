"""The process that one model is timed in.

Standard input: a line for each block of inferences wanted. Standard output: one line of JSON, an
`Answer`, when the model is loaded and warm, and one after each block.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_device import machine, runtime
from tartlet_device.runtime.base import Runtime
from tartlet_shared import errors, messages
from tartlet_shared.manifest import Tensor
from tartlet_shared.messages import Failure

WARM_UP = 5
BLOCK = 5
"""Inferences in a row. The first of a block is not counted: it pays for the caches that another
model filled with its own weights."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says.

    Attributes:
        version: of the library that runs the model.
        times_ms: of the counted inferences of this block.
        peak_bytes: the most memory that the process had so far.
        failure: why there is nothing to time; then it is the last answer.
    """

    version: str = ""
    times_ms: tuple[float, ...] = ()
    peak_bytes: int = 0
    failure: Failure | None = None


def main(arguments: list[str] | None = None) -> int:
    """Load a model file and time it, block by block."""
    parser = argparse.ArgumentParser(prog="tartlet_device.benchmark_child", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("runtime")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    return serve(lambda: runtime.load(given.model, given.runtime, threads=given.threads))


def serve(load: Callable[[], Runtime]) -> int:
    """Load a model and answer until standard input ends."""
    # Libraries print where answers go: what they print goes to standard error instead.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        try:
            loaded = load()
        except errors.TartletError as error:
            _say(answers, Answer(failure=messages.failure(0, error)))
            return 0
        _answer(loaded, sys.stdin.buffer, answers)
    return 0


def _answer(loaded: Runtime, wanted: Iterable[bytes], answers: BinaryIO | Any) -> None:
    tensor = noise(loaded.input)
    for _ in range(WARM_UP):
        loaded.invoke(tensor)
    _say(answers, Answer(version=loaded.version, peak_bytes=machine.peak_bytes()))
    for _ in wanted:
        loaded.invoke(tensor)
        times: list[float] = []
        for _ in range(BLOCK - 1):
            started = time.perf_counter()
            loaded.invoke(tensor)
            times.append((time.perf_counter() - started) * 1e3)
        _say(
            answers,
            Answer(version=loaded.version, times_ms=tuple(times), peak_bytes=machine.peak_bytes()),
        )


def noise(tensor: Tensor) -> NDArray[Any]:
    """An input of the right shape and type: what is in it does not change how long it takes."""
    random = np.random.default_rng(0)
    if tensor.dtype == "float32":
        return random.uniform(-1, 1, tensor.shape).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    return random.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)


def _say(answers: BinaryIO | Any, answer: Answer) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
