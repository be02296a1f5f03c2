"""What a virtual Pi is made of, for each release of Raspberry Pi OS that tartlet supports.

The userland is arm64 and emulated, as on a Pi. What only boots and lets one in (init, udev, dbus,
sshd) is amd64 and runs natively: the container starts in seconds instead of a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

_BOOT = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "udev",
    "dbus",
    "dbus-daemon",
    "openssh-server",
    "openssh-client",
    "openssh-sftp-server",
    "iproute2",
    "kmod",
)
_RASPBERRY_PI_OS_LITE = (
    "adduser",
    "ca-certificates",
    "procps",
    "psmisc",
    "python3",
    "python3-numpy",
    "sudo",
)


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        name: Debian's name of it.
        python: its Python, such as "3.13".
        suites: of Debian's archive, the first for everything that no pin names.
        pins: source packages that come from another suite than the first.
        native: packages of the machine's own architecture.
        emulated: arm64 packages.
        archive: packages that are not installed, but that apt finds without a network.
        picamera2: distributions from PyPI that make up `python3-picamera2`, which Raspberry Pi OS
            has and Debian has not; empty for a system without a camera.
        picamera2_pure: of these, the ones with no arm64 wheel: their Python files only.
    """

    name: str
    python: str
    suites: tuple[str, ...]
    pins: tuple[tuple[str, str], ...] = ()
    native: tuple[str, ...] = _BOOT
    emulated: tuple[str, ...] = _RASPBERRY_PI_OS_LITE
    archive: tuple[str, ...] = ("python3-venv", "python3-cryptography")
    picamera2: tuple[str, ...] = ()
    picamera2_pure: tuple[str, ...] = ()


RELEASES = {
    "trixie": Release(
        name="trixie",
        python="3.13",
        suites=("trixie", "trixie-backports"),
        # Trixie's own libcamera (0.4.0) has a virtual camera that hangs and gives false metadata.
        pins=(("libcamera", "trixie-backports"),),
        emulated=(
            *_RASPBERRY_PI_OS_LITE,
            "python3-libcamera",
            "libcamera-ipa",
            "python3-jsonschema",
            "python3-libarchive-c",
            "python3-piexif",
            "python3-pil",
            "python3-prctl",
            "python3-tqdm",
        ),
        picamera2=(
            "picamera2==0.3.38",
            "av==14.2.0",
            "simplejpeg==1.9.0",
            "videodev2==0.0.4",
            "OpenEXR==3.5.3",
        ),
        picamera2_pure=("PiDNG==4.0.9",),
    ),
    # Its libcamera (0.0.3) is too old for a virtual camera: footage stands in for one.
    "bookworm": Release(name="bookworm", python="3.11", suites=("bookworm",)),
}
