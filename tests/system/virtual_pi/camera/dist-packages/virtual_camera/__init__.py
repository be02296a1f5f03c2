"""Lets picamera2, unchanged, use the virtual camera of libcamera. For tests on a virtual Pi only.

libcamera's virtual pipeline shows pictures from files without any driver. Compared with a Pi's
camera it lacks much: it gives NV12 at a few sizes only, in buffers of two planes, as fast as it is
asked, has no controls, and lets any number of processes use it. The modules here add that:

- `sensor`: controls and metadata, and a frame at each tick of a clock;
- `lock`: one process at a time;
- `streams`: sizes and formats as the application asked for;
- `buffers` and `pixels`: their memory, and the conversion of what libcamera wrote;
- `stand_ins`: modules that picamera2 imports and does not need here.

Python imports this package at every start (``virtual_camera.pth``), so it only waits here for
somebody to import picamera2.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_NAME = "picamera2"


class _Loader:
    """Adapts picamera2 as soon as it is loaded."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        from virtual_camera import stand_ins

        stand_ins.install()
        self._loader.exec_module(module)

        from virtual_camera import buffers, lock, sensor, streams

        lock.install()
        sensor.install()
        streams.install()
        buffers.install()


class _Finder:
    """Finds picamera2 where it is, once."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _NAME:
            return None
        sys.meta_path.remove(_Finder)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


sys.meta_path.insert(0, _Finder)
