"""Footage made up of people whose every step is known, from detections to events and counts."""

from __future__ import annotations

import numpy as np
import pytest

from tartlet_device.tracking.byte_track import Tracker
from tartlet_device.tracking.lines import LineCounter
from tartlet_device.tracking.rules import Rules
from tartlet_device.tracking.settings import Line, Rule, Zone
from tartlet_device.tracking.visits import ZoneCounter
from tartlet_device.tracking.zones import located
from tartlet_shared.detections import Detections
from tartlet_shared.messages import FrameInfo
from tartlet_shared.observation import EventBegan, Observation

WIDTH, HEIGHT = 640, 480
DOOR = Zone(name="door", points=((0.4, 0.5), (0.6, 0.5), (0.6, 1.0), (0.4, 1.0)))
GATE = Line(name="gate", start=(0.5, 1.0), end=(0.5, 0.5))
VISITOR = Rule(name="visitor", classes=("person",), zone="door", end_after_s=1.0, cooldown_s=0.0)


def walks(seconds):
    """Boxes by name: Ann to the right; Bob to the left, behind a post for a second; a dog waits."""
    people = {}
    if 0 <= seconds < 10:
        people["ann"] = (64 * seconds, 300, 40, 100, 0)
    if 14 <= seconds < 24 and not 21 < seconds < 22:
        people["bob"] = (640 - 64 * (seconds - 14), 330, 50, 120, 0)
    people["dog"] = (320, 400, 60, 40, 1)
    return people


def frames(rate, seed):
    """Detections of 26 seconds: a pixel or so off, one in twelve faint, one in fifty missing."""
    random = np.random.default_rng(seed)
    for step in range(round(26 * rate)):
        rows = []
        for x, y, w, h, class_id in walks(step / rate).values():
            luck = random.random()
            if luck < 0.02:
                continue
            score = 0.2 if luck < 0.1 else random.uniform(0.7, 0.95)
            x, y = random.normal((x, y), 1)
            rows.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, class_id))
        table = np.array(rows, dtype=np.float32).reshape(-1, 6)
        yield step, Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [5.0, 10.0, 25.0])
def test_who_came_where(rate, seed):
    tracker, rules = Tracker(), Rules((VISITOR,))
    gate = LineCounter((GATE,), forget_s=2.0)
    zones = ZoneCounter((DOOR,), leave_s=1.0, forget_s=2.0)
    events, seen = [], {}
    for step, detections in frames(rate, seed):
        now_ns = round((step + 1) * 1e9 / rate)
        tracks = tracker.update(detections, ("person", "dog"), now_ns)
        observation = Observation(
            frame=FrameInfo(number=step + 1, monotonic_ns=now_ns),
            time_s=step / rate,
            clock_synchronized=True,
            width=WIDTH,
            height=HEIGHT,
            tracks=located(tracks, (DOOR,), WIDTH, HEIGHT),
        )
        events += rules.update(observation)
        gate.update(observation)
        zones.update(observation)
        seen |= {track.track_id: track.label for track in tracks}

    assert sorted(seen.values()) == ["dog", "person", "person"]
    kinds = ["began" if isinstance(event, EventBegan) else "ended" for event in events]
    assert kinds == ["began", "ended"] * 2
    # Ann's feet reach the door (x = 256) after 4 s and leave it (384) after 6, Bob's 14 s later
    expected = (4 + 2 / rate, 6 + 1.0, 18 + 2 / rate, 20 + 1.0)
    assert [event.time_s for event in events] == pytest.approx(expected, abs=3.1 / rate)
    (crossed,) = [each for each in gate.counts() if each.label == "person"]
    assert (crossed.left_to_right, crossed.right_to_left) == (1, 1)
    counts = {each.label: each for each in zones.counts()}
    assert (counts["person"].entries, counts["person"].now, counts["person"].ended) == (2, 0, 2)
    assert counts["person"].dwell_s == pytest.approx(4.0, abs=4 / rate)
    assert (counts["dog"].entries, counts["dog"].now, counts["dog"].ended) == (1, 1, 0)
    assert counts["dog"].longest_s > 24
