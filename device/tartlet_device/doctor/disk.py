"""The disk: room, whether it takes something, and whether it wears out."""

from __future__ import annotations

import os
from pathlib import Path

from tartlet_device import files
from tartlet_device.doctor.check import Check

_LEAST_FREE_BYTES = 200_000_000
_ROOT = Path("/")
_WORN_OUT = 0x0B  # of an eMMC's life time estimates, JEDEC's JESD84-B51


def check_store(store: Path) -> Check:
    """Whether uploads can reach the store."""
    incoming = store / "incoming"
    if not incoming.is_dir():
        return Check(
            name="store",
            state="failed",
            what=f"{incoming} is not there",
            hint="the daemon makes it at its first start",
        )
    if not os.access(incoming, os.W_OK | os.X_OK):
        return Check(
            name="store",
            state="failed",
            what=f"this user may not write to {incoming}",
            hint="`sudo usermod -aG tartlet $USER`, then log in again",
        )
    return Check(name="store", state="ok", what=str(store))


def check_disk(store: Path) -> Check:
    """Free disk space."""
    try:
        free = files.free_bytes(store)
    except OSError as error:
        return Check(name="disk", state="failed", what=f"{store}: {error.strerror}")
    what = f"{free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Check(name="disk", state="warning", what=what, hint="`sudo apt clean` frees some")
    return Check(name="disk", state="ok", what=what)


def check_read_only(store: Path) -> Check | None:
    """Whether the disk takes nothing; None if it is not there."""
    try:
        read_only = files.is_read_only(store)
    except OSError:
        return None
    if not read_only:
        return Check(name="writing", state="ok", what="the disk takes it")
    return Check(
        name="writing",
        state="failed",
        what=f"{store} is on a disk that is read-only",
        hint="the system does that after an error: see `dmesg`, save what is on the card, and use "
        "a new one; or `sudo mount -o remount,rw` if it was set so on purpose",
    )


def check_wear(store: Path, root: Path = _ROOT) -> Check | None:
    """What the kernel and the card say about errors and wear; None where neither says anything."""
    try:
        device = store.stat().st_dev
    except OSError:
        return None
    block = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    name = block.resolve().name
    errors_count = _number(root / f"sys/fs/ext4/{name}/errors_count")
    written = _number(root / f"sys/fs/ext4/{name}/lifetime_write_kbytes")
    used = _life_time(block)
    said = [] if written is None else [f"{written * 1024 / 1e9:.0f} GB written so far"]
    said += [] if used is None else [f"{used} % of its life used, by its own estimate"]
    if errors_count:
        return Check(
            name="wear",
            state="failed",
            what=", ".join([f"the file system has seen {errors_count} errors", *said]),
            hint="save what is on the card and use a new one, made for endurance",
        )
    if used is not None and used >= 90:
        return Check(
            name="wear", state="warning", what=", ".join(said), hint="replace the card soon"
        )
    return Check(name="wear", state="ok", what=", ".join(said)) if said else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _life_time(block: Path) -> int | None:
    """Percent of its life that an eMMC has used; cards do not tell."""
    # A partition lies in the folder of its disk.
    for folder in (block.resolve(), block.resolve().parent):
        try:
            steps = [int(word, 16) for word in (folder / "device/life_time").read_text().split()]
        except (OSError, ValueError):
            continue
        worst = max(steps, default=0)
        return 100 if worst >= _WORN_OUT else worst * 10 or None
    return None
