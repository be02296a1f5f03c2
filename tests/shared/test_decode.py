"""Decoding: a box encoded by hand comes back, integers and floats agree, rubbish gives nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import affine, decode, letterbox
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import CellDecoding, Level, Tensor

GEOMETRY = letterbox.fit(640, 480, 320, 320)
DECODING = CellDecoding(
    levels=(Level(stride=8, scores=0, boxes=1), Level(stride=16, scores=2, boxes=3)),
    score_threshold=0.5,
)
SHAPES = ((1, 40, 40, 2), (1, 40, 40, 4), (1, 20, 20, 2), (1, 20, 20, 4))
FLOATS = tuple(Tensor(name=str(n), shape=s, dtype="float32") for n, s in enumerate(SHAPES))
SCORE, BOX = Affine(scale=0.08, zero_point=20), Affine(scale=0.05, zero_point=-100)
INTEGERS = tuple(
    Tensor(name=str(n), shape=s, dtype="int8", affine=SCORE if n % 2 == 0 else BOX)
    for n, s in enumerate(SHAPES)
)


def empty_outputs() -> list[np.ndarray]:
    return [np.full(shape, -10.0, np.float32) for shape in SHAPES]


def test_a_box_put_in_by_hand_comes_out_in_picture_pixels() -> None:
    outputs = empty_outputs()
    outputs[0][0, 20, 10, 1] = 3.0  # centre (84, 164) on the canvas
    outputs[1][0, 20, 10] = [1.0, 2.0, 3.0, 4.0]  # strides
    found = decode.decode(outputs, FLOATS, DECODING, GEOMETRY)
    # canvas (76, 148, 108, 196); the picture is scaled by 0.5 and lies 40 pixels down
    assert found.xyxy.tolist() == [[152, 216, 216, 312]]
    assert found.class_id.tolist() == [1]
    assert found.score[0] == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_negative_distances_mean_zero() -> None:
    outputs = empty_outputs()
    outputs[2][0, 10, 10, 0] = 3.0
    outputs[3][0, 10, 10] = [-5.0, 1.0, 2.0, 1.0]
    found = decode.decode(outputs, FLOATS, DECODING, GEOMETRY)
    assert found.xyxy[0, 0] == 2 * 168


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_integers_give_what_their_real_values_give(seed: int, limit: float) -> None:
    random = np.random.default_rng(seed)
    quantized = [random.integers(-128, 128, shape).astype(np.int8) for shape in SHAPES]
    for scores in quantized[::2]:  # few candidates, so that the comparison stays quick
        scores[random.uniform(size=scores.shape) < 0.97] = -128
    real = [
        affine.dequantize(values, tensor.affine)
        for values, tensor in zip(quantized, INTEGERS, strict=True)
        if tensor.affine is not None
    ]
    by_integers = decode.decode(quantized, INTEGERS, DECODING, GEOMETRY, score_threshold=limit)
    by_floats = decode.decode(real, FLOATS, DECODING, GEOMETRY, score_threshold=limit)
    step = 1e-3  # a limit that falls on a value may round either way
    clear_integers = by_integers[by_integers.score > limit + step]
    clear_floats = by_floats[by_floats.score > limit + step]
    if len(by_integers) < DECODING.max_detections and len(by_floats) < DECODING.max_detections:
        assert clear_integers == clear_floats
    assert (by_integers.score >= limit - step).all()


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 3e38])
def test_values_that_are_not_finite_give_nothing(rubbish: float) -> None:
    with np.errstate(over="ignore"):
        outputs = [np.full(shape, rubbish, np.float32) for shape in SHAPES]
        outputs[0][:] = outputs[2][:] = 5.0
        if rubbish == -np.inf:  # negative distances mean zero, a box without area
            assert len(decode.decode(outputs, FLOATS, DECODING, GEOMETRY)) == 0
            return
        assert len(decode.decode(outputs, FLOATS, DECODING, GEOMETRY)) == 0


def test_nan_scores_give_nothing() -> None:
    outputs = [np.full(shape, np.nan, np.float32) for shape in SHAPES]
    assert len(decode.decode(outputs, FLOATS, DECODING, GEOMETRY)) == 0


@pytest.mark.parametrize(("limit", "most"), [(0.0, 100), (1.0, 0)])
def test_the_extreme_thresholds(limit: float, most: int) -> None:
    random = np.random.default_rng(1)
    outputs = [random.integers(-128, 128, shape).astype(np.int8) for shape in SHAPES]
    found = decode.decode(outputs, INTEGERS, DECODING, GEOMETRY, score_threshold=limit)
    assert len(found) == most


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 1), st.floats(0.3, 1))
def test_each_class_is_cut_at_its_own_threshold(seed: int, first: float, second: float) -> None:
    random = np.random.default_rng(seed)
    outputs = [random.normal(-4, 2, shape).astype(np.float32) for shape in SHAPES]
    by_class = msgspec.structs.replace(DECODING, class_thresholds=(first, second))
    found = decode.decode(outputs, FLOATS, by_class, GEOMETRY)
    limits = np.array(by_class.thresholds(2), np.float32)
    assert (found.score >= limits[found.class_id] - 1e-6).all()
    # A threshold that is asked for holds for all classes.
    asked = decode.decode(outputs, FLOATS, by_class, GEOMETRY, score_threshold=0.6)
    assert asked == decode.decode(outputs, FLOATS, DECODING, GEOMETRY, score_threshold=0.6)
    # Suppression is within a class, so each class sees what it would alone.
    for class_id, limit in enumerate((first, second)):
        alone = decode.decode(outputs, FLOATS, DECODING, GEOMETRY, score_threshold=limit)
        expected = alone[alone.class_id == class_id]
        if max(len(alone), len(found)) < DECODING.max_detections:
            assert found[found.class_id == class_id] == expected


@given(st.floats(-80, 80))
def test_sigmoid_and_logit_are_inverse(value: float) -> None:
    probability = float(decode.sigmoid(np.array([value], np.float32))[0])
    assert 0 <= probability <= 1
    if 1e-6 < probability < 0.999:
        assert decode.logit(probability) == pytest.approx(value, abs=1e-2)


def test_boxes_stay_inside_the_picture() -> None:
    random = np.random.default_rng(7)
    outputs = [random.normal(0, 6, shape).astype(np.float32) for shape in SHAPES]
    found = decode.decode(outputs, FLOATS, DECODING, GEOMETRY)
    assert len(found)
    assert found.xyxy.min() >= 0
    assert (found.xyxy[:, [0, 2]] <= 640).all()
    assert (found.xyxy[:, [1, 3]] <= 480).all()
