"""Whether Python, the libraries and the inference runtimes load."""

from __future__ import annotations

import importlib.util
import platform
import signal
import subprocess
import sys

from tartlet_device import machine, runtime_choice
from tartlet_device.doctor.check import Check
from tartlet_shared import errors

_IMPORT_TIMEOUT_S = 60.0


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
