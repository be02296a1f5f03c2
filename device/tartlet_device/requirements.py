"""Whether this device has what a bundle says that it needs."""

from __future__ import annotations

import platform
import re

from tartlet_device import runtime
from tartlet_shared import errors
from tartlet_shared.manifest import Manifest


def check(manifest: Manifest) -> None:
    """Compare a bundle's requirements with this machine; nothing is imported.

    Raises:
        RuntimeUnavailable: another processor or another inference library is needed.
    """
    needed = manifest.requirements
    machine = platform.machine()
    if needed.architectures and machine not in needed.architectures:
        raise errors.RuntimeUnavailable(
            f"it is for {', '.join(needed.architectures)}, this device is {machine}",
            where=manifest.name,
            hint="package a model for this kind of device",
        )
    installed = runtime.available().get(manifest.runtime, "none")
    name, _, version = installed.partition(" ")
    oldest = needed.runtimes.get(name)
    if needed.runtimes and (oldest is None or _numbers(version) < _numbers(oldest)):
        wanted = " or ".join(f"{each} {oldest}" for each, oldest in needed.runtimes.items())
        raise errors.RuntimeUnavailable(
            f"it needs {wanted}, this device has {installed}",
            where=manifest.name,
            hint="`tartlet device setup` brings the newest that fits the device",
        )


def _numbers(version: str) -> tuple[int, ...]:
    """``2.14.0rc1`` -> ``(2, 14)``; zeros at the end say nothing."""
    found = re.match(r"[0-9.]*", version)
    numbers = [int(part) for part in (found.group() if found else "").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
