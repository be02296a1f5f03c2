"""Checks of the laptop and of devices: what is wrong, where, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tartlet_host import __version__
from tartlet_host.remote import inventory, own_doctor, ssh
from tartlet_host.remote.authenticate import Ask
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import jump_keys_of, open_session, target_of
from tartlet_host.remote.ssh import Connection
from tartlet_shared import errors, throttling
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import Hello, Status

State = Literal["ok", "warning", "failed"]

_LEAST_PYTHON = (3, 11)
_IMPORT_TIMEOUT_S = 120.0
_LEAST_FREE_BYTES = 200_000_000

# Import name -> (needed, what it is for). Each is imported in a process of its own: a library
# built for another processor takes the whole process down.
_LIBRARIES = {
    "torch": (True, "training and pruning"),
    "cv2": (True, "pictures"),
    "onnxruntime": (True, "ONNX models"),
    "ai_edge_litert.interpreter": (False, "TFLite models"),
}


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        subject: the laptop, or a device's name.
        name: what was looked at.
        state: "failed" means that something does not work until it is mended.
        what: what was found.
        hint: what to do, empty where there is nothing to do.
    """

    subject: str
    name: str
    state: State
    what: str
    hint: str = ""


def examine_laptop() -> list[Check]:
    """All checks of this machine, in the order in which one would mend things. Never raises."""
    with ThreadPoolExecutor() as pool:
        imports = list(pool.map(lambda item: check_import(item[0], *item[1]), _LIBRARIES.items()))
    return [
        check_python(sys.version_info[:2]),
        *imports,
        check_converter(sys.platform, platform.machine()),
        check_keys(),
        check_sshd(),
        check_inventory(inventory.default_path()),
    ]


def examine_device(device: Device, ask: Ask | None) -> list[Check]:
    """All checks of a device: from here, and by its own doctor over SSH. Never raises."""
    try:
        with open_session(device, ask=ask) as session:
            status, greeting = session.client.status(), session.greeting
            found = _own_findings(device, session.connection)
    except errors.DaemonNotRunning as error:
        return [
            Check(device.name, "connection", "failed", str(error), error.hint),
            *_without_daemon(device, ask),
        ]
    except errors.TartletError as error:
        return [Check(device.name, "connection", "failed", str(error), error.hint)]
    answers = Check(device.name, "connection", "ok", f"tartlet {status.software} answers")
    if isinstance(found, Check):
        return [answers, *status_checks(device.name, greeting, status), found]
    return [answers, _check_code(device.name, greeting), *found]


def _without_daemon(device: Device, ask: Ask | None) -> list[Check]:
    """What can be seen by logging in alone."""
    pinned = HostKey.parse(device.host_key) if device.host_key else None
    jump_keys = jump_keys_of(device)
    try:
        with ssh.connect(
            target_of(device), pinned, name=device.name, jump_keys=jump_keys, ask=ask
        ) as connection:
            found = _own_findings(device, connection)
    except errors.TartletError as error:
        return [Check(device.name, "login", "failed", str(error), error.hint)]
    return [found] if isinstance(found, Check) else found


def _own_findings(device: Device, connection: Connection) -> list[Check] | Check:
    """What its own doctor says; or one check that says why it does not."""
    try:
        found = own_doctor.examine(connection, device.bridge)
    except errors.DeviceError as error:
        return Check(device.name, "doctor", "warning", str(error), error.hint)
    return [Check(device.name, each.name, each.state, each.what, each.hint) for each in found]


def check_python(version: tuple[int, int]) -> Check:
    """Whether this Python is new enough."""
    text = f"Python {version[0]}.{version[1]}"
    if version >= _LEAST_PYTHON:
        return Check("laptop", "python", "ok", text)
    return Check("laptop", "python", "failed", text, "install Python 3.11 or newer")


def check_import(name: str, needed: bool, purpose: str) -> Check:
    """Whether a library imports, tried in a process of its own."""
    title = name.partition(".")[0]
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    else:
        if done.returncode == 0:
            return Check("laptop", title, "ok", f"imports ({purpose})")
        said = done.stderr.strip().rsplit("\n", maxsplit=1)[-1]
        problem = said or f"the process ended with {done.returncode}"
    return Check(
        "laptop",
        title,
        "failed" if needed else "warning",
        f"does not import, so no {purpose}: {problem}",
        "install tartlet again in a fresh virtual environment",
    )


def check_converter(system: str, machine: str) -> Check:
    """Whether TFLite models can be made on this platform."""
    supported = system == "darwin" or (system == "linux" and machine in ("x86_64", "AMD64"))
    if not supported:
        return Check(
            "laptop",
            "converter",
            "warning",
            f"there is no TFLite converter for {system} on {machine}; ONNX models are made",
            "nothing, unless you want TFLite: then use Linux on x86-64 or macOS",
        )
    if importlib.util.find_spec("litert_torch") is None:
        return Check(
            "laptop",
            "converter",
            "warning",
            "litert-torch is not installed; only ONNX models are made",
            "install tartlet again in a fresh virtual environment",
        )
    return Check("laptop", "converter", "ok", "TFLite and ONNX models can be made")


def check_keys() -> Check:
    """Whether there is anything to log in with."""
    folder = Path.home() / ".ssh"
    keys = sorted(path.stem for path in folder.glob("id_*.pub")) if folder.is_dir() else []
    agent = "an agent runs" if os.environ.get("SSH_AUTH_SOCK") else "no agent runs"
    if keys:
        return Check("laptop", "ssh keys", "ok", f"{', '.join(keys)}; {agent}")
    if os.environ.get("SSH_AUTH_SOCK"):
        return Check("laptop", "ssh keys", "ok", f"none in {folder}; {agent}")
    return Check(
        "laptop",
        "ssh keys",
        "warning",
        f"none in {folder}, and no agent runs: you will be asked for passwords",
        "ssh-keygen -t ed25519, then ssh-copy-id pi@HOST",
    )


def check_sshd() -> Check:
    """Whether the demo can start its own SSH server."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    if shutil.which("sshd", path=path):
        return Check("laptop", "ssh server", "ok", "OpenSSH's is installed (for the demo)")
    return Check(
        "laptop",
        "ssh server",
        "warning",
        "OpenSSH's is not installed: `tartlet demo` cannot start its own device",
        "sudo apt-get install -y --no-install-recommends openssh-server",
    )


def check_inventory(path: Path) -> Check:
    """Whether the list of devices can be read, and whether only its owner can change it."""
    try:
        devices = inventory.load(path)
        mode = path.stat().st_mode if path.exists() else 0
    except errors.ConfigError as error:
        return Check("laptop", "devices", "failed", str(error), error.hint)
    except OSError as error:
        return Check("laptop", "devices", "failed", f"{path}: {error.strerror}")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Check(
            "laptop",
            "devices",
            "warning",
            f"others may change {path}, and with it which host keys are believed",
            f"chmod go-w {path}",
        )
    if not devices:
        return Check(
            "laptop",
            "devices",
            "ok",
            "none added yet",
            "tartlet device add pi pi@raspberrypi.local",
        )
    return Check("laptop", "devices", "ok", ", ".join(devices))


def status_checks(name: str, greeting: Hello, status: Status) -> list[Check]:
    """What a device's own status says about its health; pure."""
    return [
        _check_code(name, greeting),
        _check_model(name, status),
        _check(name, "camera", status.camera_error, f"{status.camera} works", "failed"),
        _check(
            name,
            "runtimes",
            "" if status.runtimes else "none loads",
            ", ".join(status.runtimes.values()),
            "failed",
            "run setup_pi.sh again; `tartlet-device doctor` there says more",
        ),
        _check(
            name,
            "power",
            ", ".join(status.throttled or ()),
            "unknown" if status.throttled is None else "good",
            "warning",
            "use the power supply made for this board, and cool it",
        ),
        _check(
            name,
            "heat",
            f"{status.temperature_c:.0f} °C"
            if status.temperature_c is not None and status.temperature_c >= throttling.HOT_C
            else "",
            "unknown" if status.temperature_c is None else f"{status.temperature_c:.0f} °C",
            "warning",
            "cool it: a hot board slows down",
        ),
        _check(
            name,
            "disk",
            f"{status.free_bytes / 1e6:.0f} MB free"
            if status.free_bytes < _LEAST_FREE_BYTES
            else "",
            f"{status.free_bytes / 1e9:.1f} GB free",
            "warning",
            "make room on the device",
        ),
        _check(
            name,
            "clock",
            "" if status.clock_synchronized else "not synchronized: times may be wrong",
            "synchronized",
            "warning",
            "is it on a network? `timedatectl` on the device says more",
        ),
    ]


def _check(subject: str, name: str, problem: str, good: str, state: State, hint: str = "") -> Check:
    if problem:
        return Check(subject, name, state, problem, hint)
    return Check(subject, name, "ok", good)


def _check_code(name: str, greeting: Hello) -> Check:
    here, there = __version__, greeting.software
    versions = f"tartlet {there} there, {here} here"
    if greeting.fingerprint != fingerprint():
        return Check(
            name,
            "version",
            "warning",
            f"{versions}, with other shared code: boxes may differ a little",
            "run setup_pi.sh again",
        )
    return Check(name, "version", "ok", f"{versions}, the same shared code")


def _check_model(name: str, status: Status) -> Check:
    if status.model is None:
        return Check(
            name, "model", "warning", "none serves", f"tartlet push runs/latest/bundle {name}"
        )
    return Check(name, "model", "ok", f"{status.model.name} ({status.model.digest[:12]})")
