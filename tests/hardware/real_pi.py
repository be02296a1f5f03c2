"""A real Raspberry Pi, reached as its user reaches it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import find_device
from tests import remote_shell

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
        self, command: str, *, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH, as the user of the address; see `tests.remote_shell`."""
        return remote_shell.run(
            ["ssh", "-o", "BatchMode=yes", self.address], command, check=check, stdin=stdin
        )
