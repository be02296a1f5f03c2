"""A device's store is killed, and its disk fails, at every system call of a push: what is broken.

Needs ``strace``; the full disk also needs to be root, and is left out otherwise.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import store_faults
from benchmarks.row import Row
from benchmarks.store_faults import STEPS, Case
from tartlet_host.remote import probe

_FILLER = 300_000  # bytes: files of more than one write
_ERRORS = ("ENOSPC", "EIO", "EROFS")
_CUT_AT = (0, 1, 100, 4096, 65_536, 270_000)  # bytes; the last in the middle of the second write
_DISK_MB = 4
_LEFT_FREE = (0, 4096, 8192, 65_536, 290_000)  # bytes; the bundle that is pushed takes 300 KB


def run() -> list[Row]:
    """Three rows, all of which must be 0."""
    if not store_faults.may_trace():
        raise RuntimeError("needs strace (`apt install strace`), allowed to attach to processes")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = probe.write_bundle(folder / "old", name="old")
        new = probe.write_bundle(folder / "new", name="new", filler_bytes=_FILLER)
        cases = [store_faults.prepare(folder / step, step, old, new) for step in STEPS]
        rows = [_kills(cases, folder / "kills"), _errors(cases, folder / "errors")]
        if os.geteuid() == 0:
            rows.append(_full_disks(cases, folder))
    return rows


def _kills(cases: Sequence[Case], scratch: Path) -> Row:
    """Every call that touches the store."""
    scratch.mkdir()
    count = 0
    wrong: list[str] = []
    for case in cases:
        points = store_faults.points(case, scratch)
        bad = [each for point in points for each in store_faults.killed(case, point, scratch)]
        _tell(f"{case.step}: killed at {len(points)} calls", bad)
        count, wrong = count + len(points), wrong + bad
    return _row(f"kill -9 at {count} system calls of a push: states that are wrong", wrong)


def _errors(cases: Sequence[Case], scratch: Path) -> Row:
    """Every call that writes fails, in every way, and writes are cut."""
    scratch.mkdir()
    count = 0
    wrong: list[str] = []
    for case in cases:
        writing = [each for each in store_faults.points(case, scratch) if each.writes]
        bad = [
            each
            for point in writing
            for error in _ERRORS
            for each in store_faults.failing(case, point, error, scratch)
        ]
        bad += [each for most in _CUT_AT for each in store_faults.short_write(case, most, scratch)]
        tried = len(writing) * len(_ERRORS) + len(_CUT_AT)
        _tell(f"{case.step}: {tried} errors of the disk", bad)
        count, wrong = count + tried, wrong + bad
    return _row(f"{count} errors and cut writes of the disk: states that are wrong", wrong)


def _full_disks(cases: Sequence[Case], folder: Path) -> Row:
    """A small disk that is truly full, with a few pages left or none."""
    wrong: list[str] = []
    count = done = 0
    for case in cases:
        for free in _LEFT_FREE:
            with _small_disk(folder / "disk") as disk:
                through, bad = store_faults.full_disk(case, free, disk)
            count, done, wrong = count + 1, done + through, wrong + bad
    _tell(f"{count} full disks, on {done} of them there was room enough", wrong)
    return _row(f"{count} full disks: states that are wrong", wrong)


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(place)]
    subprocess.run(mounting, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _tell(what: str, wrong: Sequence[str]) -> None:
    print(f"{what}, {len(wrong)} wrong", *wrong[:10], sep="\n  ", file=sys.stderr, flush=True)


def _row(name: str, wrong: Sequence[str]) -> Row:
    bad = len(wrong)
    return Row(name=name, ours=bad, rival=0, ratio=bad, goal=0, holds=bad == 0)
