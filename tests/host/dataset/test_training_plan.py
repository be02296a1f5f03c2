"""What goes into a training picture: echoes, partners, donors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.training_plan import WINDOW_STEPS, Plan, planner, reads_in_use
from tartlet_host.recipe import AugmentRecipe, TrainRecipe


def dataset(count: int) -> Dataset:
    """Pictures with one whole object each."""
    box = np.array([[10, 10, 30, 30]], np.float32)
    return Dataset(
        ("a",),
        tuple(
            Sample(Path(f"{number}.png"), 90, 60, box, np.zeros(1, np.int64), np.array([False]))
            for number in range(count)
        ),
    )


def plans(count: int, steps: int, run: TrainRecipe) -> list[list[Plan]]:
    plan = planner(dataset(count), run)
    return [[plan(step, slot) for slot in range(run.batch_size)] for step in range(steps)]


@settings(deadline=None, max_examples=40)
@given(echo=st.integers(1, 4), batch_size=st.integers(1, 6))
def test_echoes_are_spread_and_save_reads(echo: int, batch_size: int) -> None:
    run = TrainRecipe(batch_size=batch_size, echo=echo)
    steps = 3 * echo * echo
    drawn = plans(100 * echo * batch_size, steps, run)
    reads = [[plan.place for plan in step] for step in drawn]
    assert sum(len(set(step)) < len(step) for step in reads) <= 1  # where two epochs meet
    # A store of the pictures between a first and a last use reads each once in an epoch.
    recent: list[int] = []
    decoded = 0
    for place in [place for step in reads for place in step]:
        if place in recent:
            recent.remove(place)
        else:
            decoded += 1
        recent = [*recent, place][-reads_in_use(run) :] if echo > 1 else []
    uses = steps * batch_size
    assert decoded <= uses / echo + (echo - 1) * batch_size + 1


def test_an_echo_uses_every_picture_equally_often() -> None:
    echo, batch_size, count = 3, 4, 12
    drawn = plans(count, 600, TrainRecipe(batch_size=batch_size, echo=echo))
    counts = Counter(plan.place for step in drawn for plan in step)
    assert set(counts) == set(range(count))
    assert max(counts.values()) - min(counts.values()) <= echo + 1


def test_every_use_is_another_view() -> None:
    drawn = plans(5, 4, TrainRecipe(batch_size=5, echo=2))
    values = {plan.generator().uniform() for step in drawn for plan in step}
    assert len(values) == 20


@pytest.mark.parametrize("kind", ["mosaic", "mixup", "cutmix"])
def test_a_mix_happens_as_often_as_the_recipe_says(kind: str) -> None:
    run = TrainRecipe(batch_size=10, augment=AugmentRecipe(**{kind: 0.3}))
    drawn = [plan for step in plans(9, 100, run) for plan in step]
    share = sum(plan.mix == kind for plan in drawn) / len(drawn)
    assert 0.25 < share < 0.35
    assert {plan.mix for plan in drawn} == {kind, "none"}
    expected = {"mosaic": 3, "mixup": 1, "cutmix": 1}[kind]
    assert {len(plan.others) for plan in drawn if plan.mix == kind} == {expected}
    assert not any(plan.others for plan in drawn if plan.mix == "none")


def test_partners_and_donors_were_read_a_moment_ago() -> None:
    run = TrainRecipe(batch_size=3, augment=AugmentRecipe(mosaic=0.5, paste=4))
    drawn = plans(500, 20, run)
    window = WINDOW_STEPS * run.batch_size
    names: list[Path] = []
    for step in drawn:
        for plan in step:
            partners = (*plan.others, *(donor.sample for donor in plan.donors))
            if len(names) >= window:
                assert {partner.picture for partner in partners} <= set(names[-window:])
            names.append(plan.sample.picture)
    donors = [len(plan.donors) for step in drawn for plan in step]
    assert set(donors) == {0, 1, 2, 3, 4}


def test_balanced_sampling_shows_rare_classes_more() -> None:
    few = dataset(10)
    rare = [*few.samples]
    rare[3] = Sample(
        Path("rare.png"), 90, 60, rare[3].boxes, np.ones(1, np.int64), np.array([False])
    )
    both = Dataset(("a", "b"), tuple(rare))
    shares = []
    for sampling in ("even", "balanced"):
        plan = planner(both, TrainRecipe(batch_size=4, sampling=sampling))  # type: ignore[arg-type]
        drawn = [plan(step, slot).place for step in range(300) for slot in range(4)]
        shares.append(np.mean(np.array(drawn) == 3))
    assert shares[0] == pytest.approx(1 / 10)
    assert shares[1] == pytest.approx(3 / 12, abs=0.01)  # 9 pictures of "a" to 1 of "b": sqrt(9)
