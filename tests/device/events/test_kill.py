"""The log's process is killed at any moment; nothing that it said was kept may be missing."""

from __future__ import annotations

import pytest

from benchmarks.event_kills import kill_daemon
from benchmarks.footage import write_raw
from benchmarks.log_kills import kill_log
from tartlet_device.events.log import SYNC_INTERVAL_S
from tartlet_shared import bundle as bundles
from tests.tiny_model import bright_picture

pytestmark = pytest.mark.system


@pytest.mark.parametrize("seed", range(4))
def test_twenty_five_kills_lose_nothing_that_was_told_to_be_kept(tmp_path, seed):
    # Five hundred, and kills of the whole daemon: python -m benchmarks event_kills
    outcome = kill_log(tmp_path, 25, seed)
    assert outcome.kills == 25
    assert outcome.damaged > 0
    assert outcome.corrupt == outcome.lost == outcome.changed == outcome.lost_synced == 0


def test_kills_of_the_whole_daemon_damage_nothing_and_leave_nothing_behind(tmp_path, make_bundle):
    frames = [bright_picture((32, 32, 64, 64)) for _ in range(20)]
    video = write_raw(tmp_path / "spots.avi", [*frames, *[bright_picture() for _ in range(20)]])
    bundle = bundles.open_bundle(make_bundle())
    outcome = kill_daemon(tmp_path / "events", bundle, video, 3)
    assert outcome.kills == 3
    assert outcome.told >= 3
    assert outcome.corrupt == outcome.orphans == 0
    assert outcome.worst_loss_s < SYNC_INTERVAL_S
