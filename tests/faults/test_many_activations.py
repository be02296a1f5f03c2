"""Two hundred activations in a row leave nothing behind."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tartlet_device import machine
from tartlet_device.model import ServingModel
from tartlet_device.store import Store
from tartlet_device.trial import Trials
from tartlet_shared import bundle as bundles
from tests.tiny_model import BundleMaker, bright_picture

pytestmark = pytest.mark.system

ACTIVATIONS = 200
_SETTLED = 40  # activations; by then caches are full
_MOST_GROWTH = 4 << 20  # bytes in the remaining 160; 26 kB each would show
_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Held:
    """What this process and its store hold."""

    descriptors: int
    children: int
    threads: int
    files: int


def held(root: Path) -> Held:
    return Held(
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        children=len(machine.children()),
        threads=threading.active_count(),
        files=sum(1 for _ in root.rglob("*")),
    )


def grown(root: Path, before: Held) -> dict[str, int]:
    """What it holds more of than before, once the last process has ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        now = vars(held(root))
        more = {name: now[name] - had for name, had in vars(before).items() if now[name] > had}
        if not more or time.monotonic() > deadline:
            return more
        time.sleep(0.05)


def test_activations_leave_no_process_descriptor_thread_or_file(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    make = BundleMaker(tmp_path / "made")
    root = tmp_path / "store"
    store = Store(root)
    model = ServingModel(Trials(store, threads=1))
    digests = []
    for name in ("one", "two"):
        folder = make(name)
        digest, wanted = store.offer(bundles.read_manifest(folder))
        for entry in wanted:
            shutil.copy(folder / entry.name, store.incoming / entry.sha256)
        digests.append(store.accept(digest).digest)
    picture = bright_picture((32, 32, 64, 64))
    before, memory = Held(0, 0, 0, 0), 0
    for number in range(ACTIVATIONS):
        model.activate(digests[number % 2])
        found, _, which = model.detect(picture, score_threshold=None)
        assert (len(found) > 0, which.digest) == (True, digests[number % 2])
        if number + 1 == _SETTLED:
            # One more process may be about to end; whatever grows does so 160 times.
            before, memory = held(root), machine.resident_bytes()
    assert grown(root, before) == {}
    assert machine.resident_bytes() - memory < _MOST_GROWTH
    model.close()
