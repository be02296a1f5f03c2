"""One step of a push on a device's store, as a process of its own that others kill.

``python -m benchmarks.push_steps STORE STEP DIGEST``. Says "ready" before the store is opened and
"done" after the step; a step that fails ends with code 3 and says why.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tartlet_device.serving import Probation
from tartlet_device.store import Store
from tartlet_shared import bundle as bundles
from tartlet_shared import errors

PERIOD_S = 60.0
OFFERED = "offered"
"""Folder beside the store with the bundle that is pushed."""
FREE = "free"
"""File beside the store: so many bytes of its disk are left free, once all is uploaded."""
BALLAST = "ballast"
"""File beside the store that takes the rest."""


def receive(store: Store, root: Path, digest: str) -> None:
    """Upload a bundle as SFTP does, verify it and store it."""
    folder = root.parent / OFFERED
    _, wanted = store.offer(bundles.read_manifest(folder))
    for entry in wanted:
        part = store.incoming / f"{entry.sha256}.part"
        shutil.copyfile(folder / entry.name, part)
        part.rename(store.incoming / entry.sha256)
    fill_disk(root.parent)
    store.accept(digest)


def activate(store: Store, root: Path, digest: str) -> None:
    """Let it serve, on probation."""
    store.open(digest)
    store.activate(digest, Probation(period_s=PERIOD_S))


def start(store: Store, root: Path, digest: str) -> None:
    """What a daemon does when it starts."""
    serving = store.count_start()
    if serving.current is not None:
        store.open(serving.current)


def confirm(store: Store, root: Path, digest: str) -> None:
    """It was healthy for long enough."""
    store.confirm(digest)


def leave(store: Store, root: Path, digest: str) -> None:
    """It was not healthy."""
    store.leave(digest, "it was not healthy")


def roll_back(store: Store, root: Path, digest: str) -> None:
    """Somebody wants the one before."""
    store.roll_back()


STEPS: dict[str, Callable[[Store, Path, str], None]] = {
    "receive": receive,
    "activate": activate,
    "start": start,
    "confirm": confirm,
    "leave": leave,
    "roll_back": roll_back,
}


def fill_disk(folder: Path) -> None:
    """Take what is free but for what the file `FREE` says, where there is one."""
    wanted = folder / FREE
    if not wanted.exists():
        return
    ballast = shutil.disk_usage(folder).free - int(wanted.read_text())
    with (folder / BALLAST).open("wb") as stream:
        stream.write(bytes(max(0, ballast)))


def main(root: Path, step: str, digest: str) -> int:
    """Open the store and do the step."""
    os.write(1, b"ready\n")
    try:
        store = Store(root)
        if step != "receive":
            fill_disk(root.parent)
        STEPS[step](store, root, digest)
    except (errors.TartletError, OSError) as error:
        os.write(1, f"{type(error).__name__}: {error}\n".encode())
        return 3
    os.write(1, b"done\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
