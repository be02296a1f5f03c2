"""Checks of the device: what is wrong, where, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec

from tartlet_device import files, machine, runtime_choice
from tartlet_device.camera import open_camera
from tartlet_device.config import DeviceConfig
from tartlet_device.local import ask
from tartlet_shared import errors
from tartlet_shared.messages import Status, StatusRequest

State = Literal["ok", "warning", "failed"]
_IMPORT_TIMEOUT_S = 60.0
_LEAST_FREE_BYTES = 200_000_000
_HOT_C = 80.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding.

    Attributes:
        name: what was looked at.
        state: "failed" means that tartlet does not work until it is mended.
        what: what was found.
        hint: what to do, empty where there is nothing to do.
    """

    name: str
    state: State
    what: str
    hint: str = ""


def examine(config: DeviceConfig) -> list[Check]:
    """All checks, in the order in which one would mend things. Never raises."""
    checks: list[Check] = [
        check_python(sys.version_info[:2]),
        *(check_import(name, needed=True) for name in ("numpy", "msgspec", "cv2")),
        *check_runtimes(),
        check_daemon(config),
        check_store(config.store_path),
        check_disk(config.store_path),
        check_power(machine.throttled()),
        check_heat(machine.temperature_c()),
        check_clock(synchronized=machine.clock_synchronized()),
    ]
    return checks


def check_python(version: tuple[int, int]) -> Check:
    """Whether this Python is recent enough."""
    text = f"Python {version[0]}.{version[1]} on {machine.description()}"
    if version < (3, 11):
        return Check(
            name="python",
            state="failed",
            what=text,
            hint="3.11 or newer is needed: Raspberry Pi OS Bookworm or Trixie",
        )
    return Check(name="python", state="ok", what=text)


def check_import(module: str, *, needed: bool) -> Check:
    """Whether a library loads, tried in a child process, because some crash instead."""
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return Check(
            name=module,
            state="failed" if needed else "warning",
            what="not installed",
            hint="run setup_pi.sh again",
        )
    code = f"import {module}; print(getattr({module}, '__version__', ''))"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(
            name=module, state="failed", what=f"no import within {_IMPORT_TIMEOUT_S:.0f} s"
        )
    if done.returncode == 0:
        return Check(name=module, state="ok", what=done.stdout.strip() or "loads")
    return Check(
        name=module,
        state="failed" if needed else "warning",
        what=_import_failure(done.returncode, done.stderr),
        hint=_import_hint(done.returncode, done.stderr),
    )


def _import_failure(code: int, log: str) -> str:
    if code < 0:
        return f"its import crashes ({signal.Signals(-code).name})"
    return log.strip().splitlines()[-1] if log.strip() else f"its import ends with code {code}"


def _import_hint(code: int, log: str) -> str:
    if code == -signal.SIGILL:
        return "this build needs a newer processor; install another version, or the other runtime"
    if "numpy" in log.lower() and ("multiarray" in log or "numpy.core" in log or "NumPy 1" in log):
        return (
            "a library was built for another numpy: remove the environment's own numpy so that "
            "Debian's is used; setup_pi.sh does that"
        )
    return "run setup_pi.sh again; it makes the environment anew"


def check_runtimes() -> list[Check]:
    """The inference runtimes, and which one fits this system."""
    litert = [
        check_import(module, needed=False)
        for module in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
    ]
    onnx = check_import("onnxruntime", needed=False)
    loaded = [check for check in (*litert, onnx) if check.state == "ok"]
    advice = recommend(sys.version_info[:2], platform.machine(), bits=runtime_choice.system_bits())
    if not loaded:
        summary = Check(name="runtime", state="failed", what="none loads", hint=advice)
    else:
        summary = Check(name="runtime", state="ok", what=advice)
    broken = [check for check in (*litert, onnx) if check.what != "not installed"]
    return [summary, *broken]


def recommend(python: tuple[int, int], architecture: str, *, bits: int) -> str:
    """Which TFLite runtime fits a system, and why; or what to do where none does."""
    try:
        return runtime_choice.choose(python, architecture, bits=bits).reason
    except errors.RuntimeUnavailable as error:
        return f"{error}: {error.hint}"


def check_daemon(config: DeviceConfig) -> Check:
    """The socket, the daemon behind it and its camera; without a daemon, the camera itself."""
    try:
        status = ask(config.socket_path, StatusRequest(request_id=1), timeout_s=10)
    except errors.DaemonNotRunning as error:
        camera = check_camera(config)
        return Check(
            name="daemon",
            state="failed",
            what=f"{error}; camera: {camera.what}",
            hint=error.hint if camera.state == "ok" else f"{error.hint}; {camera.hint}",
        )
    except errors.TartletError as error:
        return Check(name="daemon", state="failed", what=str(error), hint=error.hint)
    if not isinstance(status, Status):
        return Check(name="daemon", state="failed", what=f"answers a {type(status).__name__}")
    if status.camera_error:
        return Check(
            name="camera",
            state="failed",
            what=status.camera_error,
            hint="see the log: `journalctl -u tartlet`",
        )
    if status.model_error:
        return Check(
            name="daemon",
            state="warning",
            what=status.model_error,
            hint="push the model again with `tartlet push`",
        )
    model = "no model yet" if status.model is None else f"model {status.model.name}"
    return Check(name="daemon", state="ok", what=f"answers; camera {status.camera}; {model}")


def check_camera(config: DeviceConfig) -> Check:
    """Whether the configured camera opens. Only while no daemon holds it."""
    try:
        open_camera(config.camera).close()
    except errors.TartletError as error:
        return Check(name="camera", state="failed", what=str(error), hint=error.hint)
    return Check(name="camera", state="ok", what="opens")


def check_store(store: Path) -> Check:
    """Whether uploads can reach the store."""
    incoming = store / "incoming"
    if not incoming.is_dir():
        return Check(
            name="store",
            state="failed",
            what=f"{incoming} is not there",
            hint="the daemon makes it at its first start",
        )
    if not os.access(incoming, os.W_OK | os.X_OK):
        return Check(
            name="store",
            state="failed",
            what=f"this user may not write to {incoming}",
            hint="`sudo usermod -aG tartlet $USER`, then log in again",
        )
    return Check(name="store", state="ok", what=str(store))


def check_disk(store: Path) -> Check:
    """Free disk space."""
    try:
        free = files.free_bytes(store)
    except OSError as error:
        return Check(name="disk", state="failed", what=f"{store}: {error.strerror}")
    what = f"{free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Check(name="disk", state="warning", what=what, hint="`sudo apt clean` frees some")
    return Check(name="disk", state="ok", what=what)


def check_power(throttled: tuple[str, ...] | None) -> Check:
    """What the firmware says about power and heat."""
    if throttled is None:
        return Check(name="power", state="ok", what="not a Raspberry Pi, or no access to it")
    if throttled:
        return Check(
            name="power",
            state="warning",
            what=", ".join(throttled),
            hint="use the power supply made for this model, and a heat sink",
        )
    return Check(name="power", state="ok", what="no under-voltage, not throttled")


def check_heat(temperature_c: float | None) -> Check:
    """The processor's temperature."""
    if temperature_c is None:
        return Check(name="heat", state="ok", what="unknown")
    what = f"{temperature_c:.0f} °C"
    if temperature_c >= _HOT_C:
        return Check(name="heat", state="warning", what=what, hint="it slows down: cool it")
    return Check(name="heat", state="ok", what=what)


def check_clock(*, synchronized: bool) -> Check:
    """Whether dates in logs can be trusted."""
    if synchronized:
        return Check(name="clock", state="ok", what="set by a time server")
    return Check(
        name="clock",
        state="warning",
        what="not set by a time server since the start",
        hint="dates may be wrong; `timedatectl` shows more",
    )
