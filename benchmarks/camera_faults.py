"""Faults of a camera, injected into a real process: how long until frames come again.

The daemon's own limits hold; what a request is told in the meantime is what tests check.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.row import Row
from tartlet_device.camera.owner import FRAME_TIMEOUT_S
from tests.device.camera_faults.injection import inject
from tests.device.camera_faults.table import CASES

GOAL_S = 5.0


def run() -> list[Row]:
    """A row for each fault; ``ours`` is its time to recover, ``rival`` the limit."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            outcome = inject(case, Path(folder), frame_timeout_s=FRAME_TIMEOUT_S)
        rows.append(
            Row(
                name=f"camera: {case.name}" + (f", {case.strikes} times" * (case.strikes > 1)),
                ours=outcome.recovery_s,
                rival=GOAL_S,
                ratio=outcome.recovery_s / GOAL_S,
                goal=1.0,
                holds=outcome.recovery_s <= GOAL_S,
                unit="s",
            )
        )
    return rows
