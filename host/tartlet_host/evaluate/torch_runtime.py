"""A checkpoint behind the device's runtime protocol, so that one detector runs everything."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from tartlet_host.model.detector import Detector
from tartlet_host.model.export import ExportWrapper
from tartlet_shared import errors
from tartlet_shared.manifest import Preprocessing, Tensor


class TorchRuntime:
    """The network in torch, float32; see `tartlet_device.runtime.base.Runtime`."""

    name = "torch"
    version = f"torch {torch.__version__}"

    def __init__(
        self, detector: Detector, canvas: Preprocessing, *, threads: int | None = None
    ) -> None:
        """Take a network in evaluation mode.

        Raises:
            ModelError: a weight is not finite.
        """
        for name, weights in detector.state_dict().items():
            if weights.is_floating_point() and not bool(torch.isfinite(weights).all()):
                raise errors.ModelError(
                    f"the weights {name!r} are not finite",
                    hint="training diverged: lower train.learning_rate and train again",
                )
        self._module = ExportWrapper(detector).eval()
        self._threads = threads
        shape = (1, canvas.height, canvas.width, 3)
        self.input = Tensor(name="picture", shape=shape, dtype="float32")
        self.outputs = tuple(
            Tensor(name=f"output_{place}", shape=output.shape, dtype="float32")
            for place, output in enumerate(self._run(torch.zeros(shape)))
        )

    def invoke(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the network; see the protocol."""
        return self._run(torch.from_numpy(tensor))

    def _run(self, tensor: torch.Tensor) -> list[NDArray[Any]]:
        with _threads(self._threads), torch.inference_mode():
            return [output.contiguous().numpy() for output in self._module(tensor)]


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """torch's number of threads is one for the whole process; training beside us keeps its own."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
