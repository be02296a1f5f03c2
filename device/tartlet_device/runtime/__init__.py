"""Inference runtimes. Each is imported only when a model needs it: memory on a Pi is scarce."""

from __future__ import annotations

from pathlib import Path

from tartlet_device.runtime import litert, onnx
from tartlet_device.runtime.base import Runtime
from tartlet_shared import errors

__all__ = ["Runtime", "available", "load"]


def load(path: Path, runtime: str, *, threads: int | None = None) -> Runtime:
    """Load a model file.

    Args:
        path: the model.
        runtime: "litert" or "onnx".
        threads: for inference; by default one per core, at most four.

    Raises:
        RuntimeUnavailable: the runtime is not installed or does not load.
        BundleCorrupt: the file is not a model of that runtime.
    """
    if runtime == "litert":
        return litert.LiteRtRuntime(path, threads=threads)
    if runtime == "onnx":
        return onnx.OnnxRuntime(path, threads=threads)
    raise errors.RuntimeUnavailable(
        f"no runtime is called {runtime!r}; known are 'litert' and 'onnx'"
    )


def available() -> dict[str, str]:
    """Runtimes that are installed: name -> library and version. Nothing is imported."""
    found = {"litert": litert.installed(), "onnx": onnx.installed()}
    return {name: version for name, version in found.items() if version is not None}
