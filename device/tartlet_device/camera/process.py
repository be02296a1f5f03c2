"""A camera in a process of its own, which is ended when it hangs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from tartlet_device.camera import frame_memory
from tartlet_device.camera.process_messages import (
    TRY_AGAIN,
    Answer,
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
    Retrieved,
)
from tartlet_device.camera.stamps import StampCheck
from tartlet_device.child import early
from tartlet_device.child.early import Starting
from tartlet_device.child.patience import Patience
from tartlet_device.child.process import (
    ChildEnded,
    ChildFault,
    ChildGarbled,
    ChildProcess,
    ChildSilent,
    Packet,
)
from tartlet_device.config import CameraSettings
from tartlet_device.image import Image, Size
from tartlet_shared import errors, messages
from tartlet_shared.messages import Failure, FrameInfo

_GRACE_S = 0.3
"""So much longer than the camera itself is waited for: its own error says more."""
_ANSWER_S = 2.0
"""For what needs no waiting: handing a frame over, releasing the camera."""
_T = TypeVar("_T", bound=Answer)
_decode = msgspec.msgpack.Decoder(Answer).decode
_encode = msgspec.msgpack.Encoder().encode


class CameraStarter:
    """Opens cameras, each in a new process. For one thread."""

    def __init__(
        self, command: Sequence[str] = early.CAMERA, *, start: Starting = ChildProcess
    ) -> None:
        """
        Args:
            command: the child.
            start: starts it.
        """
        self._command, self._start = command, start
        self._preparing = Patience(20.0, least_s=3.0, most_s=60.0, times=4.0)
        self._opening = Patience(4.0, least_s=3.0, most_s=30.0, times=3.0)

    def open(self, settings: CameraSettings, canvas: Size | None) -> ProcessCamera:
        """Start a process that opens the camera.

        Raises:
            TartletError: it cannot be opened; says why.
        """
        try:
            process = self._start(self._command)
        except OSError as error:
            raise errors.DeviceError(
                f"its process does not start: {error.strerror}", where="camera", hint=TRY_AGAIN
            ) from error
        connection = _Connection(process)
        try:
            self._timed(connection, Prepare(settings), Prepared, self._preparing)
            opened = self._timed(connection, Open(settings, canvas), Opened, self._opening)
        except BaseException:
            process.bury()
            raise
        return ProcessCamera(connection, opened, canvas)

    @staticmethod
    def _timed(connection: _Connection, order: Order, kind: type[_T], patience: Patience) -> _T:
        started = time.monotonic()
        try:
            answer, _ = connection.ask(order, kind, patience.limit_s)
        except errors.CameraTimeout:
            patience.ran_out()
            raise
        patience.took(time.monotonic() - started)
        return answer


class ProcessCamera:
    """See `tartlet_device.camera.base.Camera`. After any error but `close` nothing works."""

    def __init__(self, connection: _Connection, opened: Opened, canvas: Size | None) -> None:
        """
        Args:
            connection: to a process whose camera is open.
            opened: what it said.
            canvas: that it was opened for.
        """
        self.live, self.on_demand = opened.live, opened.on_demand
        self._connection = connection
        self._fits = {canvas: True}
        self._check = StampCheck(counts_up=opened.live)

    def grab(self, timeout_s: float) -> FrameInfo:
        """Wait for the next frame; see the protocol."""
        answer, _ = self._connection.ask(Grab(timeout_s), Grabbed, timeout_s + _GRACE_S)
        return self._check(answer.info)

    def retrieve(self, *, full: bool) -> Image:
        """The frame grabbed last; see the protocol."""
        frame, answer = self._connection.ask(Retrieve(full), Retrieved, _ANSWER_S)
        with contextlib.closing(answer):
            if len(answer.descriptors) != 1:
                raise errors.DeviceError("a frame without pixels", where="camera", hint=TRY_AGAIN)
            try:
                return frame_memory.read(frame, answer.descriptors[0])
            except OSError as error:
                raise errors.DeviceError(
                    f"a frame cannot be taken over: {error.strerror}",
                    where="camera",
                    hint=TRY_AGAIN,
                ) from error

    def fits(self, canvas: Size | None) -> bool:
        """Whether it was opened for a model that takes pictures of this size, or does not care."""
        if canvas not in self._fits:
            answer, _ = self._connection.ask(Fits(canvas), Fitting, _ANSWER_S)
            self._fits[canvas] = answer.fits
        return self._fits[canvas]

    def close(self) -> None:
        """Release the camera and end its process, by force if need be."""
        with contextlib.suppress(errors.TartletError):
            self._connection.ask(Close(), Closed, _ANSWER_S)
        self._connection.process.bury()


class _Connection:
    """Orders to the camera's process; what is wrong with it is said in words for people."""

    def __init__(self, process: ChildProcess) -> None:
        self.process = process
        self._broken = False

    def ask(self, order: Order, kind: type[_T], timeout_s: float) -> tuple[_T, Packet]:
        """The answer to an order, and the files that came along.

        Raises:
            CameraTimeout: there is none in time.
            TartletError: what the camera raised; or its process does not work any more.
        """
        if self._broken:
            raise errors.DeviceError("its process is of no use any more", where="camera")
        try:
            return self._ask(order, kind, timeout_s)
        except ChildFault as fault:
            self._broken = True
            raise _error(fault) from fault

    def _ask(self, order: Order, kind: type[_T], timeout_s: float) -> tuple[_T, Packet]:
        answer = self.process.ask(_encode(order), timeout_s)
        try:
            said = _decode(answer.content)
            if isinstance(said, Failure):
                raise messages.to_error(said)
            if not isinstance(said, kind):
                raise ChildGarbled(f"{type(said).__name__} in answer to {type(order).__name__}")
        except msgspec.DecodeError as error:
            answer.close()
            raise ChildGarbled(str(error)) from error
        except BaseException:
            answer.close()
            raise
        return said, answer


def _error(fault: ChildFault) -> errors.DeviceError:
    if isinstance(fault, ChildSilent):
        return errors.CameraTimeout(
            f"it hangs: {fault}",
            where="camera",
            hint=f"{TRY_AGAIN}; if it goes on, check its cable and the power supply",
        )
    if isinstance(fault, ChildEnded):
        return errors.DeviceError(f"its process: {fault}", where="camera", hint=TRY_AGAIN)
    return errors.DeviceError(
        f"its process says what makes no sense: {fault}", where="camera", hint=TRY_AGAIN
    )
