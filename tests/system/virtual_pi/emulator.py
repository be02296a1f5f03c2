"""The arm64 emulator: fetched from Debian, and made known to the kernel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

RELEASE = "trixie"
"""Older emulators (7.2 of Bookworm) hang arm64 processes under systemd."""
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_ENTRY = "tartlet-aarch64"
# An ELF header: 64 bits, little-endian, executable or shared object, machine 183 (AArch64). The OS
# ABI byte is not looked at.
_MAGIC = b"\x7fELF\x02\x01\x01\x00" + bytes(8) + b"\x02\x00\xb7\x00"
_MASK = b"\xff\xff\xff\xff\xff\xff\xff\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"


def mirror() -> str:
    """The Debian archive that this machine uses.

    Raises:
        RuntimeError: its apt names none.
    """
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for source in sources:
        if source.suffix not in {".list", ".sources"} or not source.is_file():
            continue
        for line in source.read_text().splitlines():
            found = re.search(r"https?://\S+/debian(?=/?(\s|$))", line)
            if found and not line.startswith("#"):
                return found[0]
    raise RuntimeError("no Debian archive is named in /etc/apt/sources.list*")


def fetch(cache: Path) -> Path:
    """The emulator's program in ``cache``; downloaded unless it is there."""
    program = cache / f"qemu-aarch64-{RELEASE}"
    if program.exists():
        return program
    with tempfile.TemporaryDirectory(prefix="virtual-pi-qemu-") as name:
        folder = Path(name)
        for state in ("lists/partial", "cache/archives/partial", "etc"):
            (folder / state).mkdir(parents=True)
        sources = folder / "etc" / "sources.list"
        sources.write_text(f"deb {mirror()} {RELEASE} main\n")
        apt = [
            "apt-get",
            "-qq",
            *("-o", f"Dir::Etc::sourcelist={sources}"),
            *("-o", "Dir::Etc::sourceparts=-"),
            *("-o", f"Dir::State::lists={folder}/lists"),
            *("-o", f"Dir::Cache={folder}/cache"),
            *("-o", "APT::Sandbox::User=root"),
        ]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", "qemu-user"], check=True, cwd=folder)
        (package,) = folder.glob("qemu-user_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder / "tree"], check=True)
        cache.mkdir(parents=True, exist_ok=True)
        aside = program.with_suffix(f".{os.getpid()}")
        shutil.copy2(folder / "tree/usr/bin/qemu-aarch64", aside)
        aside.rename(program)
    return program


def register(program: Path) -> None:
    """Let the kernel run arm64 programs with this emulator, until the machine starts anew.

    Raises:
        OSError: the kernel does not let us.
    """
    if not (_BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", _BINFMT], check=True)
    entry = _BINFMT / _ENTRY
    if entry.exists():
        if f"interpreter {program}\n" in entry.read_text():
            return
        entry.write_text("-1")
    # O: the emulator gets the open file; C: sudo keeps its rights; P: argv[0] is kept; F: the
    # emulator is opened now, so that no chroot needs a copy of it. The newest entry wins.
    magic, mask = (
        "".join(f"\\x{byte:02x}" for byte in pattern).encode() for pattern in (_MAGIC, _MASK)
    )
    line = b":%s:M::%s:%s:%s:OCPF" % (_ENTRY.encode(), magic, mask, os.fsencode(program))
    (_BINFMT / "register").write_bytes(line)
