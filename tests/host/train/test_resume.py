"""A run that goes on from a state takes the very steps of one that was never stopped."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.recipe import Recipe
from tartlet_host.train.loop import FitResult, fit
from tartlet_host.train.training import Weights
from tartlet_shared.errors import CheckpointCorrupt, ModelError, TartletError, UsageError

MakeSquares = Callable[..., Dataset]
MakeRecipe = Callable[..., Recipe]


def stopping_after(step: int) -> Callable[[], bool]:
    """True at the `step`-th time that it is asked."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == step

    return stop


def run_in_sittings(
    recipe: Recipe, dataset: Dataset, states: Path, stops: list[int], **options: Any
) -> tuple[FitResult, Detector]:
    """Train with a stop after so many steps of each sitting, each with a network of its own."""
    for place, steps in enumerate(stops):
        with pytest.raises(KeyboardInterrupt):
            fit(
                build_detector(recipe),
                dataset,
                recipe,
                states=states,
                resume=place > 0,
                stop=stopping_after(steps),
                **options,
            )
    detector = build_detector(recipe)
    return fit(detector, dataset, recipe, states=states, resume=True, **options), detector


@pytest.mark.parametrize(
    "train",
    [
        pytest.param({}, id="adamw"),
        pytest.param({"optimizer": "sgd", "schedule": "one-cycle"}, id="sgd, one cycle"),
        pytest.param({"freeze_backbone": 0.5, "frozen_stages": 1}, id="frozen backbone"),
        pytest.param({"validate_every": 2, "patience": 3}, id="validation"),
    ],
)
def test_in_three_sittings_as_in_one(
    tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe, train: dict[str, Any]
) -> None:
    dataset, recipe = make_squares(3), small(**train)
    options: dict[str, Any] = {"validation": make_squares(2)} if "validate_every" in train else {}
    unbroken = build_detector(recipe)
    whole = fit(unbroken, dataset, recipe, **options)
    parts, resumed = run_in_sittings(recipe, dataset, tmp_path / "s", [3, 1], **options)
    assert parts.losses == whole.losses
    assert parts.looks == whole.looks
    assert parts.best_step == whole.best_step
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_taught_network_goes_on_too(
    tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe
) -> None:
    dataset, recipe = make_squares(2), small()
    teacher = build_detector(small(seed=5))
    whole = fit(build_detector(recipe), dataset, recipe, teacher=teacher)
    parts, _ = run_in_sittings(recipe, dataset, tmp_path / "s", [4], teacher=teacher)
    assert parts.losses == whole.losses
    other = build_detector(small(seed=6))
    with pytest.raises(UsageError, match="teacher"):
        fit(
            build_detector(recipe),
            dataset,
            recipe,
            teacher=other,
            states=tmp_path / "s",
            resume=True,
        )


def test_the_comparison_would_see_a_lost_moment(
    tmp_path: Path,
    make_squares: MakeSquares,
    small: MakeRecipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tartlet_host.train import state

    dataset, recipe = make_squares(3), small()
    whole = fit(build_detector(recipe), dataset, recipe)
    of_kind = state._of_kind

    def forgetful(tensors: Weights, kind: str) -> Weights:
        return {} if kind == "optimizer" else of_kind(tensors, kind)

    monkeypatch.setattr(state, "_of_kind", forgetful)
    parts, _ = run_in_sittings(recipe, dataset, tmp_path / "s", [3])
    assert parts.losses[:4] == whole.losses[:4]
    assert parts.losses[5:] != whole.losses[5:]


def test_two_states_are_kept(tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe) -> None:
    recipe = small(steps=7, checkpoint_every=2)
    fit(build_detector(recipe), make_squares(2), recipe, states=tmp_path / "states")
    names = sorted(path.name for path in (tmp_path / "states").iterdir())
    assert names == ["step-00000004.safetensors", "step-00000006.safetensors"]


def test_no_state_is_written_where_none_is_wanted(
    tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe
) -> None:
    recipe = small(steps=2, checkpoint_every=0)
    fit(build_detector(recipe), make_squares(2), recipe, states=tmp_path / "states")
    assert not (tmp_path / "states").exists()


@pytest.fixture
def stopped(
    tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe
) -> tuple[Recipe, Dataset, Path]:
    """A run of 8 steps that was stopped after 6, with states of steps 5 and 6."""
    recipe, dataset, states = small(checkpoint_every=1), make_squares(2), tmp_path / "states"
    with pytest.raises(KeyboardInterrupt):
        fit(build_detector(recipe), dataset, recipe, states=states, stop=stopping_after(6))
    return recipe, dataset, states


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="cut"),
        pytest.param(lambda content: content[:4], id="cut in its length"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content.replace(b'"losses', b'"lasses', 1), id="other words"),
    ],
)
def test_a_damaged_state_costs_the_steps_since_the_one_before(
    stopped: tuple[Recipe, Dataset, Path], damage: Callable[[bytes], bytes]
) -> None:
    recipe, dataset, states = stopped
    whole = fit(build_detector(recipe), dataset, recipe)
    newest, older = states / "step-00000006.safetensors", states / "step-00000005.safetensors"
    newest.write_bytes(damage(newest.read_bytes()))
    seen: list[int] = []
    parts = fit(
        build_detector(recipe),
        dataset,
        recipe,
        states=states,
        resume=True,
        progress=lambda now: seen.append(now.step),
    )
    assert seen == [6, 7, 8]
    assert parts.losses == whole.losses
    for path in states.iterdir():
        path.write_bytes(b"")
    assert not older.exists()  # newer generations took its place
    with pytest.raises(CheckpointCorrupt):
        fit(build_detector(recipe), dataset, recipe, states=states, resume=True)


def test_a_state_goes_on_with_its_own_run_alone(
    stopped: tuple[Recipe, Dataset, Path], small: MakeRecipe, make_squares: MakeSquares
) -> None:
    recipe, dataset, states = stopped
    other = small(checkpoint_every=1, learning_rate=1e-3)
    with pytest.raises(UsageError, match="recipe"):
        fit(build_detector(other), dataset, other, states=states, resume=True)
    with pytest.raises(UsageError, match="data set"):
        fit(build_detector(recipe), make_squares(3), recipe, states=states, resume=True)
    with pytest.raises(UsageError, match="validation"):
        fit(
            build_detector(recipe),
            dataset,
            recipe,
            states=states,
            resume=True,
            validation=dataset,
        )


def test_without_a_state_there_is_nothing_to_go_on_from(
    tmp_path: Path, make_squares: MakeSquares, small: MakeRecipe
) -> None:
    with pytest.raises(CheckpointCorrupt, match="no state"):
        fit(build_detector(small()), make_squares(2), small(), states=tmp_path, resume=True)


def test_weights_that_are_no_numbers_never_replace_a_good_state(
    stopped: tuple[Recipe, Dataset, Path],
) -> None:
    recipe, dataset, states = stopped
    before = {path.name: path.read_bytes() for path in states.iterdir()}
    detector = build_detector(recipe)

    def poison(_: object) -> None:
        with torch.no_grad():
            detector.heads[0].get_parameter("score.bias").fill_(float("nan"))

    with pytest.raises(ModelError, match="not finite"):
        fit(detector, dataset, recipe, states=states, resume=True, progress=poison)
    assert {path.name: path.read_bytes() for path in states.iterdir()} == before


def test_a_full_disk_leaves_the_earlier_states_whole(
    stopped: tuple[Recipe, Dataset, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, dataset, states = stopped
    before = {path.name: path.read_bytes() for path in states.iterdir()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TartletError, match="No space left") as caught:
            fit(build_detector(recipe), dataset, recipe, states=states, resume=True)
    assert "make room" in caught.value.hint
    assert {path.name: path.read_bytes() for path in states.iterdir()} == before
    assert len(fit(build_detector(recipe), dataset, recipe, states=states, resume=True).losses) == 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(
    small_disk: Path, make_squares: MakeSquares, small: MakeRecipe
) -> None:
    recipe, dataset = small(checkpoint_every=1), make_squares(2)
    with pytest.raises(KeyboardInterrupt):
        fit(build_detector(recipe), dataset, recipe, states=small_disk, stop=stopping_after(1))
    first = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    filler = small_disk / "filler"
    room = os.statvfs(small_disk)
    filler.write_bytes(bytes(room.f_bavail * room.f_frsize))
    with pytest.raises(TartletError, match="No space left"):
        fit(build_detector(recipe), dataset, recipe, states=small_disk, resume=True)
    filler.unlink()
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == first
    whole = fit(build_detector(recipe), dataset, recipe)
    parts = fit(build_detector(recipe), dataset, recipe, states=small_disk, resume=True)
    assert parts.losses == whole.losses
