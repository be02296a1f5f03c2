"""What a machine must have to run a virtual Pi."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

TOOLS = {
    # program: the Debian package that has it
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "newuidmap": "uidmap",
    "systemd-nspawn": "systemd-container",
    "pasta": "passt",
    "ip": "iproute2",
    "unshare": "util-linux",
    "dpkg-deb": "dpkg",
}


def missing() -> str:
    """Why no virtual Pi can run here, in one line; empty if it can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "a virtual Pi needs Linux on x86-64"
    if os.geteuid() != 0:
        return "a virtual Pi needs root"
    if shutil.which("apt-get") is None:
        return "a virtual Pi is built with Debian's apt, which is not here"
    packages = missing_packages()
    if packages:
        return f"a virtual Pi needs these Debian packages: {' '.join(packages)}"
    if not Path("/proc/sys/fs/binfmt_misc").is_dir():
        return "a virtual Pi needs a kernel with binfmt_misc"
    return ""


def missing_packages() -> list[str]:
    """Debian packages to install first."""
    return [package for tool, package in TOOLS.items() if shutil.which(tool) is None]


if __name__ == "__main__":
    sys.stdout.write("\n".join(missing_packages()))
