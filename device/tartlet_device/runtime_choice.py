"""Which TFLite runtime fits a system: the one rule for the installer, the doctor and the laptop.

Needs the standard library only. The installer asks it before anything is installed::

    PYTHONPATH=DEVICE_WHEEL:SHARED_WHEEL python3 -m tartlet_device.runtime_choice [litert|tflite]
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import Literal

from tartlet_shared import errors

Name = Literal["litert", "tflite"]
"""An extra of tartlet-device: ai-edge-litert, or the older tflite-runtime."""

_ARCHITECTURES = {"litert": ("aarch64", "x86_64"), "tflite": ("aarch64", "x86_64", "armv7l")}


@dataclass(frozen=True)
class Choice:
    """A runtime.

    Attributes:
        name: the extra that brings it.
        reason: why this one, for people.
    """

    name: Name
    reason: str


def choose(
    python: tuple[int, int], architecture: str, *, bits: int, wanted: str | None = None
) -> Choice:
    """The runtime for a system.

    Args:
        python: such as (3, 13).
        architecture: as ``uname -m`` says it. A 32-bit system may run on a 64-bit kernel.
        bits: of the system's programs, 32 or 64.
        wanted: the one that a person asked for; None for the best.

    Raises:
        RuntimeUnavailable: none has wheels for this system, or not the wanted one.
    """
    if bits == 32 and architecture == "aarch64":
        architecture = "armv7l"
    system = f"Python {python[0]}.{python[1]} on {bits}-bit {architecture}"
    litert = architecture in _ARCHITECTURES["litert"] and (3, 10) <= python <= (3, 14)
    tflite = architecture in _ARCHITECTURES["tflite"] and (3, 9) <= python <= (3, 11)
    if litert and wanted in (None, "litert"):
        return Choice("litert", f"ai-edge-litert has wheels for {system}: the first choice")
    if tflite and wanted == "tflite":
        return Choice("tflite", "tflite-runtime 2.14, as asked for; it needs numpy below 2")
    if tflite and wanted is None:
        return Choice(
            "tflite",
            f"tflite-runtime 2.14 is the only TFLite runtime for {system}; it needs numpy below 2 "
            "and is slower. A 64-bit system runs the first choice, ai-edge-litert",
        )
    raise errors.RuntimeUnavailable(
        f"there is no TFLite runtime for {system}" if wanted is None else f"no {wanted}: {system}",
        hint=_instead(bits, litert=litert, tflite=tflite),
    )


def _instead(bits: int, *, litert: bool, tflite: bool) -> str:
    if litert or tflite:
        return f"the other runtime has wheels for it: {'litert' if litert else 'tflite'}"
    if bits == 32:
        return "install the 64-bit Raspberry Pi OS"
    return "use Python 3.11 to 3.14"


def system_bits() -> int:
    """Of this Python, 32 or 64."""
    return 64 if sys.maxsize > 2**32 else 32


def main() -> int:
    """Print the name and, after a tab, the reason; or say on stderr why there is none."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        choice = choose(sys.version_info[:2], platform.machine(), bits=system_bits(), wanted=wanted)
    except errors.RuntimeUnavailable as error:
        sys.stderr.write(f"{error}. {error.hint}\n")
        return error.exit_code
    sys.stdout.write(f"{choice.name}\t{choice.reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
