"""What is in the image of a virtual Pi: packages of Debian and of Python, a user, nothing secret.

Every change of this file, or of `releases`, makes new images.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.system.virtual_pi import emulator
from tests.system.virtual_pi.releases import Release

CPU = "cortex-a76"
"""A Pi 5's. Besides, it signs no pointers, whose emulation costs much time."""
_ARCHIVE = "srv/archive"
_DIST_PACKAGES = "usr/lib/python3/dist-packages"
_GLIBC_TAGS = ("2_34", "2_31", "2_28", "2_27", "2_26", "2_17")


def build(release: Release, root: Path) -> None:
    """Write the file tree of a release into the folder ``root``, which must not exist.

    Raises:
        subprocess.CalledProcessError: a step failed; what it said is on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="virtual-pi-", dir=root.parent) as name:
        _bootstrap(release, root, Path(name))
        if release.picamera2:
            _package_picamera2(release, root, Path(name))
    _index(root / _ARCHIVE)
    _configure(release, root)
    # What is compiled here is not compiled again, slowly, at every start of an instance.
    modules = "numpy, json, logging, ssl, sqlite3" + (
        ", libcamera, PIL.Image" if release.picamera2 else ""
    )
    _inside(root, "python3", "-c", f"import {modules}")


def _bootstrap(release: Release, root: Path, folder: Path) -> None:
    preferences = folder / "preferences"
    preferences.write_text(
        "".join(
            f"Package: src:{source}\nPin: release n={suite}\nPin-Priority: 990\n\n"
            for source, suite in release.pins
        )
    )
    include = [f"{package}:amd64" for package in release.native] + list(release.emulated)
    command = [
        # Its mounts must not outlive it, however it ends: the folder is deleted then.
        *("unshare", "--mount", "--fork", "--kill-child=KILL"),
        "mmdebstrap",
        "--quiet",
        "--architectures=arm64,amd64",
        "--variant=minbase",
        # It looks for an emulator under Debian's name; ours has another, and needs no copy inside.
        "--skip=check/qemu",
        '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"',
        f'--setup-hook=cp {preferences} "$1/etc/apt/preferences.d/virtual-pi"',
        # Byte-compiling every package would be most of the time; see the end of `build`.
        '--essential-hook=chroot "$1" dpkg-divert --local --rename --add /usr/bin/py3compile',
        '--essential-hook=ln -s /bin/true "$1/usr/bin/py3compile"',
        '--customize-hook=chroot "$1" apt-get clean',
        '--customize-hook=chroot "$1" apt-get -qq -y --no-install-recommends --download-only '
        f"install {' '.join(release.archive)}",
        f'--customize-hook=mkdir -p "$1/{_ARCHIVE}"',
        f'--customize-hook=mv "$1"/var/cache/apt/archives/*.deb "$1/{_ARCHIVE}/"',
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--include={','.join(include)}",
        release.suites[0],
        str(root),
        *(f"deb {emulator.mirror()} {suite} main" for suite in release.suites),
    ]
    subprocess.run(command, check=True, env={**os.environ, "QEMU_CPU": CPU})


def _package_picamera2(release: Release, root: Path, folder: Path) -> None:
    """Make the package that Raspberry Pi OS has, with all of PyPI's libraries that it needs."""
    tree = folder / "python3-picamera2"
    library = tree / _DIST_PACKAGES
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    version = release.python
    subprocess.run(
        [
            *pip,
            f"--target={library}",
            "--only-binary=:all:",
            f"--python-version={version}",
            "--implementation=cp",
            *(f"--abi={abi}" for abi in (f"cp{version.replace('.', '')}", "abi3", "none")),
            *(f"--platform=manylinux_{glibc}_aarch64" for glibc in _GLIBC_TAGS),
            "--platform=manylinux2014_aarch64",
            "--platform=any",
            *release.picamera2,
        ],
        check=True,
    )
    if release.picamera2_pure:
        # Built here, so its compiled parts are of the wrong architecture: they are left out.
        pure = folder / "pure"
        subprocess.run([*pip, f"--target={pure}", *release.picamera2_pure], check=True)
        for compiled in pure.rglob("*.so"):
            compiled.unlink()
        shutil.copytree(pure, library, dirs_exist_ok=True)
    _compile(root, library)
    number = next(each for each in release.picamera2 if each.startswith("picamera2=="))
    control = tree / "DEBIAN"
    control.mkdir()
    needed = [package for package in release.emulated if package.startswith("python3-")]
    fields = {
        "Package": "python3-picamera2",
        "Version": f"{number.partition('==')[2]}-1",
        "Architecture": "arm64",
        "Maintainer": "tartlet's tests <nobody@localhost>",
        "Depends": ", ".join(needed),
        "Description": "picamera2 from PyPI, packaged as Raspberry Pi OS packages it",
    }
    (control / "control").write_text(
        "".join(f"{name}: {value}\n" for name, value in fields.items())
    )
    target = root / _ARCHIVE
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, target],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _compile(root: Path, library: Path) -> None:
    """Byte-compile a folder by the image's Python, which a package does where it is installed.

    Done here, once, because it takes the emulator most of a minute.
    """
    inside = root / "var/tmp/library"
    library.rename(inside)
    # Templates for other Pythons among them do not compile, which does no harm.
    command = f"python3 -m compileall -qq -s /var/tmp/library -p /{_DIST_PACKAGES} /var/tmp/library"
    _inside(root, "sh", "-c", f"{command} || true")
    inside.rename(library)


def _index(archive: Path) -> None:
    """What makes a folder of packages an archive for apt."""
    entries = []
    for package in sorted(archive.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "--field", package], check=True, capture_output=True, text=True
        ).stdout
        content = package.read_bytes()
        entries.append(
            f"{fields}Filename: ./{package.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    (archive / "Packages").write_text("\n".join(entries))


def _configure(release: Release, root: Path) -> None:
    """A user as on a Raspberry Pi, an archive that needs no network, no key that others have."""
    _inside(
        root, "useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo,video", "pi"
    )
    (root / "etc/sudoers.d/010_pi-nopasswd").write_text(
        "pi ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += QEMU_CPU\n"
    )
    for source in [root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").glob("*")]:
        source.unlink(missing_ok=True)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{_ARCHIVE} ./\n")
    (root / "etc/apt/apt.conf.d/virtual-pi").write_text('Acquire::Languages "none";\n')
    for package in (root / "var/lib/apt/lists").iterdir():
        if package.is_file():
            package.unlink()
    _inside(root, "apt-get", "-qq", "update")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    # From now on packages are byte-compiled as on a Pi.
    (root / "usr/bin/py3compile").unlink()
    _inside(root, "dpkg-divert", "--local", "--rename", "--remove", "/usr/bin/py3compile")
    # No hardware clock, no network to set up, no terminals: nothing to wait for or to fail.
    units = root / "etc/systemd/system"
    for name in (
        "systemd-networkd-wait-online.service",
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
    ):
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")


def _inside(root: Path, *command: str) -> None:
    subprocess.run(
        ["chroot", root, *command],
        check=True,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "QEMU_CPU": CPU,
            "DEBIAN_FRONTEND": "noninteractive",
        },
    )
