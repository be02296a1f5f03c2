"""Linking boxes over time, and the perspective they are judged by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset.perspective import fit_perspective
from tartlet_host.dataset.tracks import Track, TrackSettings, fill, link


def walk(start: tuple[float, float], step: tuple[float, float], frame: int) -> list[float]:
    x, y = start[0] + step[0] * frame, start[1] + step[1] * frame
    return [x, y, x + 20, y + 50]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_two_who_cross_keep_their_own_tracks() -> None:
    frames = {
        frame: boxes(walk((0, 0), (5, 0), frame), walk((200, 10), (-5, 0), frame))
        for frame in range(40)
    }
    tracks = link(frames, TrackSettings())
    assert len(tracks) == 2
    for track in tracks:
        across = [box[0] for box in track.boxes.values()]
        assert (np.diff(across) > 0).all() or (np.diff(across) < 0).all()


def test_a_gap_behind_a_post_is_bridged_and_filled() -> None:
    hidden = range(10, 18)
    frames = {
        frame: boxes() if frame in hidden else boxes(walk((0, 0), (4, 1), frame))
        for frame in range(30)
    }
    (track,) = link(frames, TrackSettings())
    filled = fill(track)
    assert list(filled) == list(hidden)
    for frame, box in filled.items():
        np.testing.assert_allclose(box, walk((0, 0), (4, 1), frame), atol=1e-3)


def test_a_gap_that_is_too_long_is_not_bridged() -> None:
    settings = TrackSettings(longest_gap=5)
    frames = {
        frame: boxes() if 10 <= frame < 20 else boxes(walk((0, 0), (1, 0), frame))
        for frame in range(30)
    }
    assert [len(track.boxes) for track in link(frames, settings)] == [10, 10]


def test_flicker_is_dropped() -> None:
    frames = {frame: boxes() for frame in range(20)}
    frames[7] = frames[8] = boxes([0, 0, 20, 50])
    assert link(frames, TrackSettings()) == []


@given(st.integers(0, 2**32 - 1))
def test_every_box_belongs_to_one_track_at_most(seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = {}
    for frame in range(12):
        corner = random.uniform(0, 100, (random.integers(0, 5), 2))
        frames[frame] = np.hstack([corner, corner + 40]).astype(np.float32)
    tracks = link(frames, TrackSettings(least_boxes=1))
    for frame, rows in frames.items():
        used = [tuple(track.boxes[frame]) for track in tracks if frame in track.boxes]
        assert sorted(used) == sorted(map(tuple, rows))


def test_a_track_without_gaps_fills_nothing() -> None:
    assert fill(Track({1: boxes([0, 0, 1, 1])[0], 2: boxes([0, 0, 1, 1])[0]})) == {}


def people(count: int, slope: float, offset: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    feet = random.uniform(80, 500, count)
    height = (slope * feet + offset) * random.normal(1, 0.04, count)
    left = random.uniform(0, 600, count)
    return np.stack([left, feet - height, left + 0.4 * height, feet], axis=1).astype(np.float32)


@pytest.mark.parametrize(("slope", "offset"), [(0.2, 10), (0.3, -5), (0.02, 60)])
def test_the_line_is_found_among_things_that_are_no_people(slope: float, offset: float) -> None:
    random = np.random.default_rng(5)
    other = random.uniform(0, 300, (60, 2))
    things = np.hstack([other, other + random.uniform(10, 250, (60, 2))]).astype(np.float32)
    found = fit_perspective(np.concatenate([people(120, slope, offset, 1), things]))
    assert found is not None
    at = np.array([150.0, 400.0], np.float32)
    np.testing.assert_allclose(found.height(at), slope * at + offset, rtol=0.08)
    assert found.aspect == pytest.approx(0.4, abs=0.05)


def test_too_few_blobs_and_no_line_give_none() -> None:
    assert fit_perspective(people(5, 0.2, 10, 1)) is None
    random = np.random.default_rng(5)
    feet, height = random.uniform(100, 500, 200), random.uniform(5, 300, 200)
    scattered = np.stack([feet * 0, feet - height, feet * 0 + 30, feet], axis=1)
    assert fit_perspective(scattered.astype(np.float32)) is None
