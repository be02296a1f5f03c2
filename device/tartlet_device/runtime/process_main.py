"""The model's process: ``python -m tartlet_device.runtime.process_main SOCKET PARENT``."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_device import runtime
from tartlet_device.child import inside
from tartlet_device.child.process import Packet
from tartlet_device.runtime.base import Runtime
from tartlet_device.runtime.process_messages import (
    SEALS,
    Invoked,
    Load,
    Loaded,
    Order,
    size,
    slot_views,
)
from tartlet_shared import errors, messages

_decode = msgspec.msgpack.Decoder(Order).decode
_encode = msgspec.msgpack.Encoder().encode
_INVOKED = Packet(_encode(Invoked()))


class Service:
    """Answers the orders about one model."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._slots: list[list[NDArray[Any]]] = []

    def __call__(self, order: bytes) -> Packet:
        """The answer to an order; what goes wrong is an answer too."""
        try:
            wanted = _decode(order)
            if isinstance(wanted, Load):
                return self._load(wanted)
            return self._invoke(wanted.slot)
        except errors.TartletError as error:
            return Packet(_encode(messages.failure(0, error)))
        except MemoryError:
            return Packet(_encode(messages.failure(0, _too_large())))
        except Exception as error:  # noqa: BLE001  (a runtime's own; the daemon is told)
            failed = errors.DeviceError(f"the model failed: {error!r}"[:4000], where="model")
            return Packet(_encode(messages.failure(0, failed)))

    def _load(self, order: Load) -> Packet:
        if order.limited:
            inside.limit_memory()
        loaded = runtime.load(Path(order.path), order.runtime, threads=order.threads)
        tensors = (loaded.input, *loaded.outputs)
        descriptor = os.memfd_create("tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size(tensors))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        self._slots = slot_views(mmap.mmap(descriptor, 0), tensors)
        self._runtime = loaded
        # The first run allocates memory and packs weights; better now than in the first request.
        self._invoke(0)
        return Packet(_encode(Loaded(loaded.version, loaded.input, loaded.outputs)), (descriptor,))

    def _invoke(self, slot: int) -> Packet:
        if self._runtime is None:
            raise errors.DeviceError("no model is loaded", where="model")
        given, *kept = self._slots[slot]
        for output, found in zip(kept, self._runtime.invoke(given), strict=True):
            np.copyto(output, found)
        return _INVOKED


def _too_large() -> errors.TartletError:
    return errors.SelfTestFailed(
        "there is not enough memory free for the model",
        where="model",
        hint="push a smaller model, or stop other programs on the device",
    )


def main(arguments: list[str]) -> int:
    """Answer the daemon's orders until it hangs up."""
    inside.answer_orders(inside.connected(arguments), Service())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
