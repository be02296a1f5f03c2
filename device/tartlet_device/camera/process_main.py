"""The camera's process: ``python -m tartlet_device.camera.process_main SOCKET PARENT``.

One thread, one order after the other. Whatever hangs here is ended by the daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from tartlet_device import allocator
from tartlet_device.camera import frame_memory, open_camera, prepare
from tartlet_device.camera.base import Camera
from tartlet_device.camera.process_messages import (
    TRY_AGAIN,
    Close,
    Closed,
    Fits,
    Fitting,
    Grab,
    Grabbed,
    Open,
    Opened,
    Order,
    Prepare,
    Prepared,
    Retrieve,
)
from tartlet_device.child import inside
from tartlet_device.child.process import Packet
from tartlet_device.config import CameraSettings
from tartlet_device.image import Size
from tartlet_shared import errors, messages

Opening = Callable[[CameraSettings, Size | None], Camera]

_TEXT = 4000  # characters of an error; an answer is one packet
_decode = msgspec.msgpack.Decoder(Order).decode
_encode = msgspec.msgpack.Encoder().encode


class Service:
    """Answers the orders about one camera."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._camera: Camera | None = None

    def __call__(self, order: bytes) -> Packet:
        """The answer to an order; what goes wrong is an answer too."""
        try:
            return self._answer(_decode(order))
        except errors.TartletError as error:
            return _failure(error)
        except Exception as error:  # noqa: BLE001  (a driver's; the daemon is told)
            return _failure(
                errors.DeviceError(f"it failed: {error!r}", where="camera", hint=TRY_AGAIN)
            )

    def close(self) -> None:
        """Release the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _answer(self, order: Order) -> Packet:
        match order:
            case Prepare():
                prepare(order.settings)
                return _said(Prepared())
            case Open():
                self._camera = self._opening(order.settings, order.canvas)
                return _said(Opened(self._camera.live, self._camera.on_demand))
            case Close():
                self.close()
                return _said(Closed())
            case _ if self._camera is None:
                raise errors.DeviceError("the camera is not open", where="camera")
            case Grab():
                return _said(Grabbed(self._camera.grab(order.timeout_s)))
            case Retrieve():
                frame, descriptor = frame_memory.write(self._camera.retrieve(full=order.full))
                return Packet(_encode(frame), (descriptor,))
            case Fits():
                return _said(Fitting(self._camera.fits(order.canvas)))


def serve(arguments: list[str], opening: Opening) -> int:
    """Answer the daemon's orders until it hangs up."""
    connection = inside.connected(arguments)
    allocator.return_memory_early()
    service = Service(opening)
    try:
        inside.answer_orders(connection, service)
    finally:
        service.close()
    return 0


def _said(answer: msgspec.Struct) -> Packet:
    return Packet(_encode(answer))


def _failure(error: errors.TartletError) -> Packet:
    kept = type(error)(error.what[:_TEXT], where=error.where[:_TEXT], hint=error.hint[:_TEXT])
    return _said(messages.failure(0, kept))


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], open_camera))
