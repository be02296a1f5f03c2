from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.tracking import kalman

BOX = np.array([[90, 70, 110, 130]], dtype=np.float32)
ROW = np.array([0])
MOVING = np.array([False])


def test_a_box_comes_back_as_it_went_in():
    assert kalman.start(BOX).xyxy == pytest.approx(BOX)


@pytest.mark.parametrize("rate", [2, 10, 30])
def test_speed_is_learnt_in_pixels_per_second(rate):
    states = kalman.start(BOX)
    for step in range(1, 5 * rate):
        states = kalman.predict(states, 1 / rate, keep_size=MOVING)
        states = kalman.update(states, ROW, BOX + np.float32(40 * step / rate))
    assert states.speed[0, :2] == pytest.approx([40, 40], rel=0.02)
    ahead = kalman.predict(states, 0.5, keep_size=MOVING)
    assert ahead.position[0, :2] - states.position[0, :2] == pytest.approx([20, 20], rel=0.02)


@given(st.floats(0.001, 1), st.floats(0.001, 1))
def test_two_steps_expect_what_one_step_does(first, second):
    """While the size stays: that the frame rate changes does not matter."""
    states = kalman.predict(kalman.start(BOX), 0.1, keep_size=MOVING)
    states = kalman.update(states, ROW, BOX + np.float32(5))
    hold = np.array([True])
    stepped = kalman.predict(kalman.predict(states, first, keep_size=hold), second, keep_size=hold)
    at_once = kalman.predict(states, first + second, keep_size=hold)
    assert stepped.position == pytest.approx(at_once.position)
    assert stepped.spread == pytest.approx(at_once.spread)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0.01, 2))
def test_covariances_stay_covariances_and_seeing_makes_certain(moves, seconds):
    states = kalman.start(BOX)
    for move in moves:
        expected = kalman.predict(states, seconds, keep_size=MOVING)
        states = kalman.update(expected, ROW, BOX + np.float32(move))
        var, cov, var_speed = np.moveaxis(states.spread, -1, 0)
        assert (var > 0).all()
        assert (var_speed > 0).all()
        assert (var * var_speed >= cov**2).all()
        assert (var < expected.spread[..., 0]).all()
        assert (states.position[:, 2:] >= 1).all()


def test_what_is_hidden_keeps_its_size():
    states = kalman.start(BOX)
    for step in range(1, 6):
        larger = BOX + np.array([[-step, -step, step, step]], dtype=np.float32)
        states = kalman.update(kalman.predict(states, 0.1, keep_size=MOVING), ROW, larger)
    hidden = kalman.predict(states, 1.0, keep_size=np.array([True]))
    assert hidden.position[:, 2:] == pytest.approx(states.position[:, 2:])
    seen = kalman.predict(states, 1.0, keep_size=MOVING)
    assert (seen.position[:, 2:] > states.position[:, 2:] + 10).all()
