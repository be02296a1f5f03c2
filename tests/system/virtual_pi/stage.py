"""The files that make an instance differ from its image: names, keys, processor, camera."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_CAMERA = Path(__file__).parent / "camera"
_PI = 1000  # the user's number


def write(folder: Path, name: str, cpu: str, scene: Path | None) -> None:
    """Write them into ``folder/stage``, and the key of the user pi beside it.

    Args:
        folder: the instance's.
        name: its host name.
        cpu: what the emulator shows.
        scene: folder of JPEGs that its camera sees; None for no camera.
    """
    stage = folder / "stage"
    keys = stage / "etc/ssh"
    if not keys.exists():
        keys.mkdir(parents=True)
        for path in (keys / "ssh_host_ed25519_key", folder / "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True
            )
    _put(stage / "etc/hostname", f"{name}\n")
    _put(stage / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    # Services get it from systemd, logins from PAM.
    _put(
        stage / "etc/systemd/system.conf.d/cpu.conf",
        f"[Manager]\nDefaultEnvironment=QEMU_CPU={cpu}\n",
    )
    _put(stage / "etc/environment", f"QEMU_CPU={cpu}\n")
    authorized = stage / "home/pi/.ssh/authorized_keys"
    _put(authorized, (folder / "user_key.pub").read_text())
    for path in (authorized, authorized.parent, authorized.parent.parent):
        os.chown(path, _PI, _PI)
    authorized.parent.chmod(0o700)
    if scene is not None:
        _stage_camera(stage, scene)


def _stage_camera(stage: Path, scene: Path) -> None:
    pipeline = stage / "usr/share/libcamera/pipeline/virtual"
    pipeline.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_CAMERA / "virtual.yaml", pipeline / "virtual.yaml")
    library = stage / "usr/lib/python3/dist-packages"
    shutil.copytree(
        _CAMERA / "dist-packages",
        library,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    # On a Pi, who uses the camera holds a lock on this file; the adapter does so here.
    _put(stage / "etc/tmpfiles.d/camera.conf", "f /dev/media0 0660 root video\n")
    show(stage, scene)


def show(root: Path, scene: Path) -> None:
    """Put other pictures before the camera of a file tree; it looks when it is opened."""
    place = root / "srv/scene"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    # Any other file there, and libcamera drops the camera.
    for picture in sorted(scene.glob("*.jpg")):
        shutil.copyfile(picture, place / picture.name)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
