"""The tartlet daemon for a Raspberry Pi: owns the camera, runs the model, answers.

For programs on the device: `tartlet_device.Client`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tartlet_device.client import Client as Client

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when it is used: the bridge starts anew for each connection.
    if name == "Client":
        from tartlet_device.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
