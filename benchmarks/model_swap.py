"""What an activation costs those who are served: requests that fail, and frames that are late."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import footage
from benchmarks.row import Row
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_host.remote import probe, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

_RATE = 10.0  # frames per second of the camera
_SWAPS = 10
_REST_S = 1.0  # between two swaps
_QUIET_S = 10.0  # without any, for comparison


def run() -> list[Row]:
    """Three rows: requests lost, frames left out in one go, and the gap between two answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = [probe.write_bundle(folder / each, name=each) for each in ("one", "two")]
        picture = probe.spots_picture()[..., ::-1]
        video = footage.write_raw(folder / "raw.avi", [np.ascontiguousarray(picture)] * 600)
        camera = ReplaySettings(path=str(video), rate=_RATE)
        settings = DeviceConfig(detection=DetectionSettings(enabled=True))
        with EmbeddedDevice(camera, threads=1, settings=settings) as embedded:
            _push(embedded.device, bundles[1])
            _push(embedded.device, bundles[0])
            quiet = _served(embedded.device, lambda: time.sleep(_QUIET_S))
            swapped = _served(embedded.device, lambda: _swap(embedded.device, bundles))
    late = (swapped.longest_switch_s() - quiet.longest_s()) * _RATE
    more = swapped.left_out() - quiet.left_out()
    return [
        Row(
            name=f"{swapped.asked} predictions during {_SWAPS} activations: lost",
            ours=swapped.lost,
            rival=quiet.lost,
            ratio=swapped.lost,
            goal=0,
            holds=swapped.lost == 0 and swapped.switches() >= _SWAPS,
        ),
        Row(
            name="the same: most frames left out in one go, against without; ratio: how many more",
            ours=swapped.left_out(),
            rival=quiet.left_out(),
            ratio=more,
            goal=1,
            holds=more <= 1,
        ),
        Row(
            name="from the old model's last answer to the new one's first, against two answers "
            "without, the longest of each; ratio: frames later",
            ours=swapped.longest_switch_s() * 1e3,
            rival=quiet.longest_s() * 1e3,
            ratio=late,
            goal=1,
            holds=late <= 1,
            unit="ms",
        ),
    ]


@dataclass
class _Served:
    """What two clients got.

    Attributes:
        answers: when each prediction came, monotonic seconds, and by which model.
        lost: predictions that failed.
        frames_s: when each frame that was looked at was taken.
    """

    answers: list[tuple[float, str]] = field(default_factory=list)
    lost: int = 0
    frames_s: list[float] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """Predictions in all."""
        return len(self.answers) + self.lost

    def switches(self) -> int:
        """How often another model answered than the time before."""
        return sum(before[1] != after[1] for before, after in pairwise(self.answers))

    def longest_switch_s(self) -> float:
        """From one model's last answer to the next one's first."""
        pairs = pairwise(self.answers)
        return max(after[0] - before[0] for before, after in pairs if before[1] != after[1])

    def longest_s(self) -> float:
        """From one answer to the next."""
        return max(after[0] - before[0] for before, after in pairwise(self.answers))

    def left_out(self) -> int:
        """Most frames between two that were looked at."""
        longest_s = max(after - before for before, after in pairwise(self.frames_s))
        return max(0, round(longest_s * _RATE) - 1)


def _served(device: Device, meanwhile: Callable[[], object]) -> _Served:
    """Predict and watch as fast as the camera gives frames, while something goes on."""
    served, over = _Served(), threading.Event()
    threads = [
        threading.Thread(target=each, args=(device, served, over)) for each in (_predict, _watch)
    ]
    for thread in threads:
        thread.start()
    try:
        meanwhile()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return served


def _predict(device: Device, served: _Served, over: threading.Event) -> None:
    with open_session(device) as session:
        while not over.is_set():
            try:
                found = session.client.predict(want_picture=False)
            except errors.TartletError:
                served.lost += 1
            else:
                served.answers.append((time.monotonic(), found.model))


def _watch(device: Device, served: _Served, over: threading.Event) -> None:
    with open_session(device) as session:
        for watched in session.client.watch():
            if watched.observation is not None:
                served.frames_s.append(watched.observation.frame.monotonic_ns / 1e9)
            if over.is_set():
                return


def _swap(device: Device, bundles: list[Bundle]) -> None:
    with open_session(device) as session:
        for number in range(_SWAPS):
            time.sleep(_REST_S)
            session.client.activate(bundles[(number + 1) % 2].digest, confirm_s=0)
        time.sleep(_REST_S)


def _push(device: Device, bundle: Bundle) -> None:
    with open_session(device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        rollout.apply(plan, session.client, session.connection)
