"""What a device is, as far as installing goes: asked by setup_pi.sh itself, sent as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tartlet_host.remote import shell
from tartlet_host.remote.ssh import Connection
from tartlet_shared import errors


@dataclass(frozen=True)
class Facts:
    """A system.

    Attributes:
        hostname: its own name.
        distribution, codename: such as "debian", "trixie".
        architecture: Debian's name, such as "arm64".
        machine: the kernel's name, such as "aarch64".
        bits: of its programs.
        python: of the system, such as (3, 13); (0, 0) for none.
        glibc: such as (2, 41).
        numpy: Debian's version of it, installed or to be had; empty if unknown.
        free_mb: on /opt.
        root: whether the user is root.
        sudo: whether the user may become root without a password.
        installed: fingerprint of what is installed; empty for nothing.
        version: of what is installed.
        active: whether the service runs what is installed.
        network: whether the service may reach the network.
        refusal: why tartlet cannot be installed; empty if it can.
    """

    hostname: str
    distribution: str
    codename: str
    architecture: str
    machine: str
    bits: int
    python: tuple[int, int]
    glibc: tuple[int, int]
    numpy: str
    free_mb: int
    root: bool
    sudo: bool
    installed: str
    version: str
    active: bool
    network: bool
    refusal: str


def read(connection: Connection, script: bytes) -> Facts:
    """Ask a device; nothing is changed there.

    Args:
        connection: to it.
        script: setup_pi.sh.

    Raises:
        DeviceError: it has no bash, or its answer is not understood.
        ConnectionLost: the connection ended.
    """
    done = shell.run(connection, "bash -s -- --facts", stdin=script)
    if done.code != 0:
        said = done.lines[-1] if done.lines else "it says nothing"
        raise errors.DeviceError(
            f"cannot say what it is: {said}",
            where=connection.target.address,
            hint="Raspberry Pi OS or Debian, Bookworm or Trixie, is needed",
        )
    return parse(done.lines, where=connection.target.address)


def parse(lines: Sequence[str], *, where: str = "") -> Facts:
    """Read ``key=value`` lines; others (a greeting of the login shell) are passed over.

    Raises:
        DeviceError: one is missing.
    """
    said = dict(line.split("=", 1) for line in lines if re.match("[a-z_]+=", line))
    try:
        return Facts(
            hostname=said["hostname"],
            distribution=said["distribution"],
            codename=said["codename"],
            architecture=said["architecture"],
            machine=said["machine"],
            bits=int(said["bits"]),
            python=_pair(said["python"]),
            glibc=_pair(said["glibc"]),
            numpy=said["numpy"],
            free_mb=int(said["free_mb"] or 0),
            root=said["root"] == "yes",
            sudo=said["sudo"] == "yes",
            installed=said["installed"],
            version=said["version"],
            active=said["active"] == "active" and said["pending"] == "no",
            network=said["network"] == "yes",
            refusal=said["refusal"],
        )
    except (KeyError, ValueError) as error:
        raise errors.DeviceError(
            f"its answer about itself is not understood: {error}",
            where=where,
            hint="run `bash setup_pi.sh --facts` there; it says the same",
        ) from error


def _pair(text: str) -> tuple[int, int]:
    """Of "3.13"; zeros where a number is missing."""
    major, _, minor = text.partition(".")
    return int(major or 0), int(minor or 0)
