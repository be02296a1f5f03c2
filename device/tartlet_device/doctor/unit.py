"""The systemd service."""

from __future__ import annotations

import shutil
import subprocess

from tartlet_device.doctor.check import Check

_PROPERTIES = ("LoadState", "UnitFileState", "ActiveState", "SubState", "NRestarts", "Result")
_TIMEOUT_S = 10.0


def check_unit(properties: dict[str, str] | None) -> Check | None:
    """Whether the service is there, starts by itself and stays up.

    Args:
        properties: see `unit_properties`; None where there is no systemd.
    """
    if properties is None:
        return None
    state = f"{properties.get('ActiveState', '?')} ({properties.get('SubState', '?')})"
    if properties.get("LoadState") != "loaded":
        return Check(name="service", state="warning", what="not installed", hint="run setup_pi.sh")
    if properties.get("ActiveState") not in ("active", "activating", "reloading"):
        return Check(
            name="service",
            state="failed",
            what=f"{state}, last result: {properties.get('Result', '?')}",
            hint="`sudo systemctl restart tartlet`, and `journalctl -u tartlet` says why it ended",
        )
    if properties.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        return Check(
            name="service",
            state="warning",
            what=f"{state}, but it does not start with the system",
            hint="`sudo systemctl enable tartlet`",
        )
    restarts = int(properties.get("NRestarts") or 0)
    if restarts:
        return Check(
            name="service",
            state="warning",
            what=f"{state}, started again {restarts} times after a failure",
            hint="`journalctl -u tartlet` says why; `sudo systemctl reset-failed tartlet` sets "
            "the count back",
        )
    return Check(name="service", state="ok", what=f"{state}, starts with the system")


def unit_properties(unit: str = "tartlet") -> dict[str, str] | None:
    """What systemd says about it; None where there is no systemd."""
    if shutil.which("systemctl") is None:
        return None
    try:
        done = subprocess.run(
            ["systemctl", "show", unit, f"--property={','.join(_PROPERTIES)}"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:  # systemctl is there, and systemd is not: a container
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
