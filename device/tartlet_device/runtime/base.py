"""What the rest of tartlet needs from an inference runtime."""

from __future__ import annotations

import os
import re
from typing import Any, Protocol

from numpy.typing import NDArray

from tartlet_shared.manifest import Tensor

MOST_THREADS = 4  # a Pi has four cores; more threads than cores slow inference down


class Runtime(Protocol):
    """A loaded model.

    Attributes:
        name: "litert" or "onnx".
        version: of the library that runs it.
        input, outputs: what the model file itself says. Outputs are in the order in which the
            network gives them, as does `invoke`.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def input(self) -> Tensor: ...

    @property
    def outputs(self) -> tuple[Tensor, ...]: ...

    def invoke(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the model on a tensor of ``input``'s shape and type.

        Returns:
            One array per output, integers where the model gives integers; valid until the next
            call.
        """
        ...


def thread_count(threads: int | None) -> int:
    """The number of threads to use: as asked for, else one per core up to four."""
    return threads if threads is not None else min(MOST_THREADS, os.cpu_count() or 1)


def natural_order(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts "output_2" before "output_10"."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name))
