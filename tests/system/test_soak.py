"""The endurance run in its shortest form, and how it judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.footage import write_raw
from benchmarks.soak import report
from benchmarks.soak.run import soak
from benchmarks.soak.trend import trend
from benchmarks.soak.verdict import judge
from tartlet_shared import bundle as bundles
from tests.tiny_model import BundleMaker, bright_picture

pytestmark = pytest.mark.system


def test_everything_on_for_twenty_seconds(tmp_path: Path) -> None:
    frames = [bright_picture((32, 32, 64, 64)) for _ in range(200)]
    frames += [bright_picture() for _ in range(200)]
    found = soak(
        bundles.open_bundle(BundleMaker(tmp_path)()),
        write_raw(tmp_path / "spots.avi", frames),
        seconds=20,
        interval_s=0.5,
    )
    verdict = judge(found)
    # Memory still fills up in the first minutes: that is for the long form.
    assert [each for each in verdict.problems if "own MB" not in each] == []
    assert found.began > 0
    assert found.seen > 0
    assert found.scrapes > 0
    report.write_json(tmp_path / "soak.json", found, verdict)
    report.write_plot(tmp_path / "soak.png", found.samples)
    assert (tmp_path / "soak.png").stat().st_size > 10_000
    assert "events" in report.lines(found, verdict)[0]


@pytest.mark.parametrize(
    ("growth_per_hour", "grows"), [(0.0, False), (0.5, False), (5.0, True), (-5.0, False)]
)
def test_growth_is_told_from_noise(growth_per_hour: float, grows: bool) -> None:
    random = np.random.default_rng(0)
    seconds = np.arange(0, 3600, 5.0)
    # Neighbouring samples of memory are alike: a step stays for a minute.
    noise = np.repeat(random.normal(0, 1, 60), 12)
    found = trend(seconds, 100 + growth_per_hour * seconds / 3600 + noise)
    assert found.grows(1.0) == grows
    assert found.slope == pytest.approx(growth_per_hour, abs=4 * found.error)


def test_too_few_samples_say_nothing() -> None:
    assert not trend([0.0, 1.0], [1.0, 100.0]).grows(0.0)
