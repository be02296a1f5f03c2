"""A real Raspberry Pi, reached as its user reaches it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import find_device

VARIABLE = "TARTLET_PI"


@dataclass(frozen=True)
class RealPi:
    """The Pi at an address that OpenSSH and ``tartlet device add`` both know.

    Attributes:
        address: such as ``pi@raspberrypi.local``.
        device: as ``tartlet device add`` wrote it down.
    """

    address: str
    device: Device

    @classmethod
    def at(cls, address: str) -> RealPi:
        """The Pi of that address, which must have been added before."""
        return cls(address, find_device(address))

    def run(
        self, command: str, *, check: bool = True, stdin: str = "", timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH, as the user of the address.

        Raises:
            AssertionError: it ended with another code than 0, and ``check`` is set.
        """
        done = subprocess.run(
            ["ssh", "-o", "BatchMode=yes", self.address, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done
