"""A camera's process in which something goes wrong: ``faulty_process.py FAULT FOLDER ...``.

All of it is the product's, but for the camera, and for what the fault replaces. The fault strikes
once for every file ``armed-*`` in the folder, and writes down when, in nanoseconds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np

from tartlet_device.camera import frame_memory, process_main
from tartlet_device.camera.process_messages import Grabbed, Pixels, Retrieved
from tartlet_device.child import inside
from tartlet_device.child.process import NUMBER, Packet
from tartlet_device.config import CameraSettings
from tartlet_device.image import Image, Size, YuvPixels
from tartlet_shared import errors
from tartlet_shared.messages import FrameInfo

PERIOD_S = 0.02
STRUCK = "struck"
ARMED = "armed-"
SLOW_S = 0.35
_LATER = 4  # a frame in mid-stream
_S = 10**9


class Fault:
    """What goes wrong, and when it did."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder

    def strikes(self, *names: str) -> bool:
        """Whether one of these faults strikes now."""
        if self.name not in names:
            return False
        for armed in sorted(self._folder.glob(f"{ARMED}*")):
            armed.unlink()
            with (self._folder / STRUCK).open("a") as struck:
                struck.write(f"{time.monotonic_ns()}\n")
            return True
        return False


class FaultyCamera:
    """See `tartlet_device.camera.base.Camera`."""

    live = True
    on_demand = False

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._number = 0
        self._planes = np.random.default_rng(0).integers(16, 235, (72, 64), np.uint8)

    def grab(self, timeout_s: float) -> FrameInfo:
        self._number += 1
        moment = "first frame" if self._number == 1 else "mid-stream"
        if moment == "first frame" or self._number >= _LATER:
            self._strike(moment)
        time.sleep(SLOW_S if self._fault.strikes("slow frames") else PERIOD_S)
        return FrameInfo(number=self._number, monotonic_ns=time.monotonic_ns())

    def retrieve(self, *, full: bool) -> Image:
        self._strike("handing over")
        if self._fault.strikes("another size from now on"):
            self._planes = np.zeros((36, 32), np.uint8)
        pixels = YuvPixels(self._planes.copy(), "YUV420")
        return Image(pixels.size, pixels)

    def fits(self, canvas: Size | None) -> bool:
        return canvas is None

    def close(self) -> None:
        self._strike("close")

    def _strike(self, moment: str) -> None:
        strike(self._fault, moment)


def strike(fault: Fault, moment: str) -> None:
    """The faults that may come at any moment."""
    for name, happens in DEADLY.items():
        if fault.strikes(f"{name} at {moment}"):
            happens()


def _hang() -> NoReturn:
    while True:
        time.sleep(60)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _gone() -> NoReturn:
    raise errors.CameraAbsent(os.strerror(errno.ENODEV), where="/dev/video0", hint="plug it in")


def _busy() -> NoReturn:
    raise errors.CameraBusy("held by motion (process 812)", where="/dev/video0", hint="stop it")


def _driver() -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


DEADLY: dict[str, Callable[[], object]] = {
    "hang": _hang,
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "SIGABRT": os.abort,
    "SIGSTOP": _stop,
    "exit": lambda: os._exit(3),
    "no device": _gone,
    "busy": _busy,
    "EIO": _driver,
}


class FaultyService(process_main.Service):
    """The product's, whose answers are spoilt on their way."""

    def __init__(self, opening: process_main.Opening, fault: Fault, descriptor: int) -> None:
        super().__init__(opening)
        self._fault, self._socket = fault, descriptor
        self._answers = 0
        self._frozen: FrameInfo | None = None

    def __call__(self, order: bytes) -> Packet:
        answer = super().__call__(order)
        said = msgspec.msgpack.decode(answer.content)
        kind = said["type"]
        self._answers += 1
        if self._answers < 2 * _LATER:
            return answer
        if kind == "Grabbed":
            return self._stamped(said, answer)
        if kind == "Retrieved":
            return self._frame(answer)
        return answer

    def _stamped(self, said: dict[str, object], answer: Packet) -> Packet:
        strikes = self._fault.strikes
        info = msgspec.convert(said["info"], FrameInfo)
        number, taken = info.number, info.monotonic_ns
        if self._frozen is not None or strikes("frozen stamps"):
            self._frozen = self._frozen or info
            return _grabbed(number, self._frozen.monotonic_ns)
        if strikes("stamp in the past"):
            return _grabbed(number, taken - _S)
        if strikes("stamp in the future"):
            return _grabbed(number, taken + 3600 * _S)
        if strikes("stamp that is no number"):
            content = {"type": "Grabbed", "info": {"number": number, "monotonic_ns": float("nan")}}
            return Packet(msgspec.msgpack.encode(content))
        if strikes("number that goes back"):
            return _grabbed(1, taken)
        if strikes("bytes that say nothing"):
            return Packet(b"\xc1\xff\x00 no message")
        if strikes("answer to another order"):
            return Packet(msgspec.msgpack.encode({"type": "Closed"}))
        if strikes("flood"):
            self._flood()
        if strikes("socket closed"):
            os.close(self._socket)
            _hang()
        return answer

    def _flood(self) -> None:
        """Answer what nobody asked, as fast as it goes."""
        while True:
            os.write(self._socket, NUMBER.pack(2**40) + b"flood" * 100)

    def _frame(self, answer: Packet) -> Packet:
        strikes = self._fault.strikes
        said = msgspec.msgpack.decode(answer.content, type=Retrieved)
        if strikes("short frame"):
            return self._with_memory(answer, said, 64 * 72 - 1)
        if strikes("frame of another size"):
            larger = Retrieved((640, 480), Pixels("YUV420", 640, 480), None)
            return Packet(msgspec.msgpack.encode(larger), answer.descriptors)
        if strikes("frame of no size"):
            none = Retrieved((0, 0), Pixels("RGB", 0, 0), None)
            return Packet(msgspec.msgpack.encode(none), answer.descriptors)
        if strikes("memory that may change"):
            return self._with_memory(answer, said, 64 * 72, sealed=False)
        if strikes("memory refused"):
            answer.close()
            return Packet(answer.content)
        return answer

    def _with_memory(
        self, answer: Packet, said: Retrieved, count: int, *, sealed: bool = True
    ) -> Packet:
        answer.close()
        descriptor = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(descriptor, bytes(count))
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, frame_memory.SEALS)
        return Packet(msgspec.msgpack.encode(said), (descriptor,))


def _grabbed(number: int, taken_ns: int) -> Packet:
    info = FrameInfo(number=number, monotonic_ns=taken_ns)
    return Packet(msgspec.msgpack.encode(Grabbed(info)))


def main(arguments: list[str]) -> int:
    """As `process_main.serve`, with a fault."""
    fault = Fault(arguments[0], Path(arguments[1]))

    def opening(settings: CameraSettings, canvas: Size | None) -> FaultyCamera:
        strike(fault, "open")
        if fault.strikes("no descriptor is free"):
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
            os.memfd_create("frame")
        return FaultyCamera(fault)

    strike(fault, "start")
    service = FaultyService(opening, fault, int(arguments[-2]))
    connection = inside.connected(arguments)
    try:
        inside.answer_orders(connection, service)
    finally:
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
