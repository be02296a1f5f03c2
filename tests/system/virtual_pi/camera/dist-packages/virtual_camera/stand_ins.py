"""Empty modules that picamera2 imports at its start and uses for displays and DNG files only."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType


class _Names(type):
    """A class whose attributes are their own names."""

    def __getattr__(cls, name: str) -> str:
        return name


def install() -> None:
    """Put them where ``import`` finds them."""
    kms = _module("pykms")
    kms.PixelFormat = _Names("PixelFormat", (), {})  # type: ignore[attr-defined]
    _module("ljpegCompress")


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    return sys.modules.setdefault(name, module)
