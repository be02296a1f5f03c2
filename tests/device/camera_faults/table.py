"""Everything that goes wrong with a camera here, and what a request is told meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from tartlet_shared import errors


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: as `faulty_process` knows it.
        error: what requests get in the meantime; None where they only wait.
        words: part of what they are told.
        strikes: how many times in a row.
        opening: it strikes while the camera is closed and opened again, as for another model.
    """

    name: str
    error: type[errors.TartletError] | None = errors.DeviceError
    words: str = ""
    strikes: int = 1
    opening: bool = False


CASES = (
    Case("hang at start", errors.CameraTimeout, "hangs", opening=True),
    Case("hang at open", errors.CameraTimeout, "hangs", opening=True),
    Case("hang at first frame", errors.CameraTimeout, "hangs", opening=True),
    Case("hang at mid-stream", errors.CameraTimeout, "hangs"),
    Case("hang at handing over", errors.CameraTimeout, "hangs"),
    Case("hang at close", None, opening=True),
    Case("SIGSTOP at open", errors.CameraTimeout, "hangs", opening=True),
    Case("SIGSTOP at mid-stream", errors.CameraTimeout, "hangs"),
    Case("SIGKILL at open", errors.DeviceError, "SIGKILL", opening=True),
    Case("SIGKILL at mid-stream", errors.DeviceError, "SIGKILL"),
    Case("SIGSEGV at first frame", errors.DeviceError, "SIGSEGV", opening=True),
    Case("SIGSEGV at handing over", errors.DeviceError, "SIGSEGV"),
    Case("SIGABRT at close", None, opening=True),
    Case("exit at start", errors.DeviceError, "code 3", opening=True),
    Case("exit at mid-stream", errors.DeviceError, "code 3"),
    Case("EIO at mid-stream", errors.DeviceError, "Input/output error"),
    Case("no device at mid-stream", errors.CameraAbsent, "No such device", strikes=1),
    Case("no device at open", errors.CameraAbsent, "No such device", strikes=3, opening=True),
    Case("busy at open", errors.CameraBusy, "motion", strikes=2, opening=True),
    Case("no descriptor is free", errors.DeviceError, "Too many open files", opening=True),
    Case("memory refused", errors.DeviceError, "without pixels"),
    Case("memory that may change", errors.DeviceError, "may still change"),
    Case("short frame", errors.DeviceError, "4607 bytes"),
    Case("frame of another size", errors.DeviceError, "should have"),
    Case("frame of no size", errors.DeviceError, "without pixels"),
    Case("another size from now on", None),
    Case("bytes that say nothing", errors.DeviceError, "makes no sense"),
    Case("answer to another order", errors.DeviceError, "makes no sense"),
    Case("flood", errors.DeviceError, "nobody asked"),
    Case("socket closed", errors.DeviceError, "hung up"),
    Case("stamp that is no number", errors.DeviceError, "makes no sense"),
    Case("stamp in the past", None, strikes=3),
    Case("stamp in the future", None, strikes=3),
    Case("frozen stamps", errors.DeviceError, "cannot have been taken"),
    Case("number that goes back", errors.DeviceError, "came after"),
    Case("slow frames", None, strikes=5),
)
