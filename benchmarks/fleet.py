"""A push to many devices side by side, against one to a single device."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import inventory, probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import CONFIG_DIR_VARIABLE

GOAL = 4.0
DEVICES = int(os.environ.get("TARTLET_FLEET", "32"))
"""How many; fewer by the variable of the environment, where a machine is busy."""
_FILLER = 3_000_000  # bytes, to make a bundle as large as a real one
_ROUNDS = 3


def run() -> list[Row]:
    """Two rows; ``ours`` is the wall time of the whole command to all devices, ``rival`` to one.

    The first is sending and storing, whose goal is four times. The second is testing and serving
    what is there already: self-tests are CPU-bound and share the processor of this one machine,
    as those of real devices do not, so it is held only against one device after the other.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        fleet = _Fleet(folder, stack)
        sent, tested = [], []
        for number in range(_ROUNDS + 1):
            pairs = []
            for which in (["d0"], list(fleet.names)):
                bundle = folder / f"bundle-{number}-{len(which)}"
                probe.write_bundle(bundle, name=bundle.name, filler_bytes=_FILLER + number)
                pairs.append(
                    (
                        fleet.push_s(bundle, which, "--no-activate"),
                        fleet.push_s(bundle, which),
                    )
                )
            (one_sent, one_tested), (all_sent, all_tested) = pairs
            sent.append((all_sent, one_sent))
            tested.append((all_tested, one_tested))
    # The first round fills the disk's cache.
    return [
        _row(f"push to {DEVICES} devices: sent and stored, seconds", sent[1:], GOAL),
        _row(f"push to {DEVICES} devices: self-tests apart, seconds", tested[1:], float(DEVICES)),
    ]


class _Fleet:
    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        import cv2

        (folder / "footage").mkdir()
        cv2.imwrite(str(folder / "footage" / "1.png"), probe.spots_picture())
        camera = ReplaySettings(path=str(folder / "footage"), rate=0)
        self._config = folder / "config"
        self.names = tuple(f"d{number}" for number in range(DEVICES))
        devices = {
            name: stack.enter_context(EmbeddedDevice(camera, name=name, threads=1)).device
            for name in self.names
        }
        grouped = {
            name: dataclasses.replace(each, groups=("all",)) for name, each in devices.items()
        }
        inventory.save(self._config / "devices.toml", grouped)

    def push_s(self, bundle: Path, names: list[str], *options: str) -> float:
        """The whole command, Python's start included, as a rollout of one wave."""
        command = [sys.executable, "-m", "tartlet_host.cli", "push", str(bundle), *names]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--wait", "1s", "--confirm", "0", "--json", *options],
            env={**os.environ, CONFIG_DIR_VARIABLE: str(self._config)},
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - started


def _row(name: str, pairs: list[tuple[float, float]], goal: float) -> Row:
    ratios = sorted(many / one for many, one in pairs)
    ratio = ratios[len(ratios) // 2]
    many, one = pairs[[each[0] / each[1] for each in pairs].index(ratio)]
    return Row(
        name=name, ours=many, rival=one, ratio=ratio, goal=goal, holds=ratio <= goal, unit="s"
    )
