"""Mixed pictures: boxes stay on the canvas, and a painted object stays inside its box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.dataset import mix
from tartlet_host.dataset.mix import Drawn
from tartlet_host.dataset.placed_boxes import (
    LEAST_VISIBLE,
    PlacedBoxes,
    clip,
    hide,
    ignored_region,
    whole_boxes,
)
from tartlet_host.dataset.sample import Sample
from tartlet_host.dataset.training_picture import draw
from tartlet_host.dataset.training_plan import Plan
from tartlet_host.recipe import AugmentRecipe, InputRecipe

WIDTH, HEIGHT = 96, 64
CANVAS = InputRecipe(HEIGHT, WIDTH)
# Each picture's object has a colour of its own; grounds and padding are dark or grey.
COLOURS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0]])
SEEDS = st.integers(0, 2**32 - 1)


def boxes(*rows: list[float], ignore: bool = False) -> PlacedBoxes:
    xyxy = np.array(rows, np.float32).reshape(-1, 4)
    return whole_boxes(xyxy, np.arange(len(xyxy)), np.full(len(xyxy), ignore))


def sample(number: int, box: tuple[int, int, int, int], *, labelled: bool = True) -> Sample:
    """A picture of 120x90 pixels whose object has class and colour `number`."""
    return Sample(
        Path(f"{number}.png"),
        120,
        90,
        np.array([box], np.float32),
        np.array([number], np.int64),
        np.array([False]),
        labelled,
    )


def painted(each: Sample) -> np.ndarray:
    picture = np.full((90, 120, 3), 20, np.uint8)
    left, top, right, bottom = each.boxes[0].astype(int)
    picture[top:bottom, left:right] = COLOURS[each.class_ids[0]]
    return picture


places = st.tuples(
    st.integers(0, 90), st.integers(0, 60), st.integers(12, 30), st.integers(12, 30)
).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))


@settings(deadline=None)
@given(
    kind=st.sampled_from(["none", "mosaic", "mixup", "cutmix"]),
    where=st.lists(places, min_size=4, max_size=4),
    cutout=st.booleans(),
    seed=SEEDS,
)
def test_objects_stay_inside_their_boxes(
    kind: str, where: list[tuple[int, int, int, int]], cutout: bool, seed: int
) -> None:
    count = {"none": 1, "mosaic": 4, "mixup": 2, "cutmix": 2}[kind]
    samples = [sample(number, box) for number, box in enumerate(where[:count])]
    plan = Plan(0, samples[0], kind, tuple(samples[1:]), (), (seed, 0, 0))  # type: ignore[arg-type]
    recipe = AugmentRecipe(
        flip_vertical=0.5, cutout=float(cutout), brightness=0, contrast=0, saturation=0
    )
    canvas, placed = draw(plan, painted, CANVAS, recipe)
    assert canvas.shape == (HEIGHT, WIDTH, 3)
    limit = [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert (placed.xyxy >= 0).all()
    assert (placed.xyxy <= limit).all()
    assert (placed.xyxy[:, 2:] > placed.xyxy[:, :2]).all()
    assert set(placed.class_ids) <= set(range(count))
    for number in range(count):
        seen = shows(canvas, number, mixed=kind == "mixup")
        if not seen.any():
            continue
        mine = placed.xyxy[placed.class_ids == number]
        assert len(mine) == 1  # what shows has a box
        rows, columns = np.nonzero(seen)
        # Resampling blurs an edge by up to one source pixel on either side.
        assert mine[0, 0] - 2.5 <= columns.min()
        assert columns.max() + 1 <= mine[0, 2] + 2.5
        assert mine[0, 1] - 2.5 <= rows.min()
        assert rows.max() + 1 <= mine[0, 3] + 2.5


def shows(canvas: np.ndarray, number: int, *, mixed: bool) -> np.ndarray:
    """Where the object of this colour is seen, (H, W)."""
    values = canvas.astype(int)
    if mixed:  # red against green; grounds and padding are grey, whatever shines through them
        redness = values[..., 0] - values[..., 1]
        return np.asarray((redness > 60) if number == 0 else (redness < -60))
    return np.asarray(np.abs(values - COLOURS[number]).sum(axis=-1) < 60)


@given(SEEDS)
def test_a_mosaic_shows_four_pictures_to_the_edge(seed: int) -> None:
    def into(number: int) -> mix.DrawInto:
        def draw_into(width: int, height: int) -> Drawn:
            return np.full((height, width, 3), COLOURS[number], np.uint8), boxes(
                [0, 0, width, height]
            )

        return draw_into

    canvas, placed = mix.mosaic(
        [into(number) for number in range(4)], WIDTH, HEIGHT, np.random.default_rng(seed)
    )
    for number, (left, top, right, bottom) in enumerate(placed.xyxy.astype(int)):
        assert (canvas[top:bottom, left:right] == COLOURS[number]).all()
    areas = np.prod(placed.xyxy[:, 2:] - placed.xyxy[:, :2], axis=1)
    assert areas.sum() == WIDTH * HEIGHT
    assert areas.min() >= 0.08 * WIDTH * HEIGHT


@given(SEEDS)
def test_a_mixup_shows_both(seed: int) -> None:
    first = np.full((HEIGHT, WIDTH, 3), 200, np.uint8), boxes([1, 2, 30, 40])
    second = np.zeros((HEIGHT, WIDTH, 3), np.uint8), boxes([5, 5, 9, 9], [0, 0, 3, 3])
    canvas, placed = mix.mixup(first, second, np.random.default_rng(seed))
    assert 0.4 * 200 - 1 <= canvas[0, 0, 0] <= 0.6 * 200 + 1
    assert placed.xyxy.tolist() == [[1, 2, 30, 40], [5, 5, 9, 9], [0, 0, 3, 3]]


@given(SEEDS)
def test_a_cutmix_cuts_both_pictures_boxes(seed: int) -> None:
    everywhere = [0.0, 0.0, WIDTH, HEIGHT]
    first = np.zeros((HEIGHT, WIDTH, 3), np.uint8), boxes([0, 0, 8, 8], everywhere)
    second = np.full((HEIGHT, WIDTH, 3), 9, np.uint8), boxes(everywhere)
    before = first[0].copy()
    canvas, placed = mix.cutmix(first, second, np.random.default_rng(seed))
    rows, columns = np.nonzero(canvas[..., 0])
    patch = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert placed.xyxy[-1].tolist() == patch
    part = (canvas[..., 0] == 9).mean()
    assert 0.08 <= part <= 0.5
    assert placed.ignore[-1] == (part < LEAST_VISIBLE)
    assert (first[0] == before).all()


@given(SEEDS)
def test_cutout_hides_and_keeps_the_boxes_size(seed: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    placed = boxes([0, 0, 10, 10], [0, 0, WIDTH, HEIGHT], [40, 20, 60, 44])
    canvas, kept = mix.cutout((picture, placed), np.random.default_rng(seed))
    hidden = canvas[..., 0] > 0
    assert 0 < hidden.mean() <= 4 * 0.25**2 + 0.02
    assert not picture.any()
    for xyxy, class_id, ignore in zip(kept.xyxy, kept.class_ids, kept.ignore, strict=True):
        assert xyxy.tolist() == placed.xyxy[class_id].tolist()
        left, top, right, bottom = xyxy.astype(int)
        assert ignore == (hidden[top:bottom, left:right].mean() > 1 - LEAST_VISIBLE)


@pytest.mark.parametrize(
    ("patch", "left_over", "ignored"),
    [
        pytest.param([50, 0, 60, 9], [10, 10, 30, 30], False, id="elsewhere"),
        pytest.param([20, 0, 96, 64], [10, 10, 20, 30], False, id="its right half"),
        pytest.param([0, 0, 96, 20], [10, 20, 30, 30], False, id="its upper half"),
        pytest.param([10, 10, 30, 24], [10, 24, 30, 30], True, id="most of it"),
        pytest.param([15, 15, 25, 25], [10, 10, 30, 30], False, id="its middle"),
        pytest.param([20, 20, 40, 40], [10, 10, 30, 30], False, id="a corner"),
        pytest.param([0, 0, 40, 40], None, False, id="all"),
    ],
)
def test_what_a_patch_leaves_of_a_box(
    patch: list[int], left_over: list[int] | None, ignored: bool
) -> None:
    hidden = np.zeros((HEIGHT, WIDTH), np.bool_)
    hidden[patch[1] : patch[3], patch[0] : patch[2]] = True
    rest = hide(boxes([10, 10, 30, 30]), hidden, trim=True)
    assert rest.xyxy.tolist() == ([] if left_over is None else [left_over])
    assert rest.ignore.tolist() == ([] if left_over is None else [ignored])


def test_what_is_cut_twice_is_measured_against_the_whole() -> None:
    once = clip(boxes([0, 0, 20, 20]), 6, 0, 96, 64)
    assert once.ignore.tolist() == [False]
    twice = clip(once, 6, 11, 96, 64)  # 14 x 9 of 20 x 20
    assert twice.ignore.tolist() == [True]


@pytest.mark.parametrize("kind", ["none", "mosaic", "mixup", "cutmix"])
def test_nothing_is_taught_where_nobody_looked(kind: str) -> None:
    """The partner's own objects are, everything else of an unlabelled picture is ignored."""
    unknown = sample(0, (10, 10, 40, 40), labelled=False)
    others = [sample(number, (5, 5, 115, 85)) for number in (1, 2, 3)]
    count = {"none": 0, "mosaic": 3, "mixup": 1, "cutmix": 1}[kind]
    plan = Plan(0, unknown, kind, tuple(others[:count]), (), (1, 2, 3))  # type: ignore[arg-type]
    _, placed = draw(plan, painted, CANVAS, AugmentRecipe(scale_min=1.0, scale_max=1.0))
    assert placed.ignore[0]
    assert placed.class_ids[0] == 0
    assert placed.xyxy[0, :2].tolist() == [0, 0]
    if kind == "mosaic":
        assert placed.xyxy[0, 2] <= 0.7 * WIDTH + 1
    else:
        assert placed.xyxy[0].tolist() == [0, 0, WIDTH, HEIGHT]


def test_an_ignored_region_stays_ignored() -> None:
    region = ignored_region(0, 0, 50, 50)
    assert hide(region, np.zeros((HEIGHT, WIDTH), np.bool_), trim=True).ignore.all()
