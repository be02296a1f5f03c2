"""The checks before a training: they see what is sound and what is not, and leave no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from tartlet_host.cli import cli
from tartlet_host.commands import rehearsals
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.head import LevelHead
from tartlet_host.recipe import AugmentRecipe, Recipe
from tartlet_host.train import curves
from tartlet_host.train.gradient_check import check_gradients
from tartlet_host.train.overfit import NEAR_ZERO, Overfit, advice, overfit_batch
from tartlet_host.train.rate_finder import DIVERGED, curve, find_rate, smooth
from tartlet_shared.errors import UsageError

MakeSquares = Callable[..., Dataset]
MakeRecipe = Callable[..., Recipe]


def state(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in detector.state_dict().items()}


def valley(*, noise: float = 0.0, seed: int = 0) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Losses that fall fastest at a rate of 1e-3 and rise again from 1e-1 on."""
    rates = np.geomspace(1e-5, 1.0, 100)
    place = np.log10(rates)
    losses = 5.0 - 3.0 / (1.0 + np.exp(-4.0 * (place + 3.0))) + np.exp(4.0 * (place + 0.6))
    losses += np.random.default_rng(seed).normal(0.0, noise, 100)
    return tuple(rates.tolist()), tuple(losses.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_the_suggestion_is_where_the_loss_falls_fastest(seed: int) -> None:
    found = curve(*valley(noise=0.15, seed=seed))
    assert found.suggestion is not None
    assert 5e-4 <= found.suggestion <= 2e-3
    assert 2e-3 < found.lowest_at < 0.2


def test_a_single_hard_batch_does_not_count() -> None:
    rates, losses = valley()
    for place in (10, 30, 55):
        spiked = (*losses[:place], losses[place] + 20.0, *losses[place + 1 :])
        assert curve(rates, spiked).suggestion == curve(rates, losses).suggestion


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = tuple(np.geomspace(1e-5, 1.0, 50).tolist())
    rising = tuple(2.0 + 0.1 * n for n in range(50))
    assert curve(rates, rising).suggestion is None
    assert curve(rates[:1], rising[:1]).suggestion is None


def test_smoothing_keeps_a_line_and_its_place() -> None:
    line = [float(n) for n in range(40)]
    assert smooth(line)[12:28] == pytest.approx(line[12:28], abs=0.01)
    assert smooth([3.0] * 7) == pytest.approx([3.0] * 7)


def test_the_test_of_rates_leaves_the_network_as_it_was(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    recipe = small()
    detector = build_detector(recipe)
    before = state(detector)
    random = torch.get_rng_state()
    found = find_rate(detector, make_squares(4), recipe, steps=40)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not detector.training
    assert len(found.rates) == len(found.losses) <= 40
    steps = np.diff(np.log(found.rates))
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    if len(found.losses) < 40:
        assert found.smoothed[-1] > DIVERGED * min(found.smoothed)
    assert curves.rate_curve(found, 1e-3).startswith(b"\x89PNG")


def test_a_batch_is_learnt_by_heart(
    make_squares: MakeSquares, small: MakeRecipe, still: AugmentRecipe
) -> None:
    recipe = small(learning_rate=2e-2, batch_size=2, augment=still)
    detector = build_detector(recipe)
    before = state(detector)
    found = overfit_batch(detector, make_squares(3), recipe, steps=100)
    assert (found.pictures, found.boxes) == (2, 2)
    assert found.smallest == pytest.approx(24.0)
    assert found.left < NEAR_ZERO
    assert found.passed
    assert advice(found) == ()
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_a_network_that_cannot_learn_does_not_pass(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    recipe = small(learning_rate=1e-7)
    found = overfit_batch(build_detector(recipe), make_squares(2), recipe, steps=10)
    assert not found.passed
    assert any("--find-rate" in line for line in advice(found))
    assert curves.overfit_curve(found).startswith(b"\x89PNG")


def test_advice_names_what_is_likely() -> None:
    losses = (10.0, *[0.5] * 20)
    tiny = Overfit(losses, map50=0.3, pictures=2, boxes=5, smallest=3.0)
    assert "3 px" in advice(tiny)[0]
    low = Overfit(losses, map50=0.3, pictures=2, boxes=5, smallest=40.0)
    assert "the loss is low" in advice(low)[0]


@pytest.mark.parametrize("box", ["giou", "ciou", "smooth-l1"])
def test_gradients_are_right(make_squares: MakeSquares, small: MakeRecipe, box: str) -> None:
    recipe = small()
    loss = msgspec.structs.replace(recipe.train.loss, box=box)
    recipe = msgspec.structs.replace(recipe, train=msgspec.structs.replace(recipe.train, loss=loss))
    found = check_gradients(build_detector(recipe), make_squares(2), recipe)
    assert found.passed, found
    assert {part.name.split(".")[0] for part in found.parts} == {"backbone", "neck", "heads"}


class Wrong(torch.autograd.Function):
    """Passes its input on; its gradient is a tenth too large."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return 1.1 * gradient


class WrongLayer(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = Wrong.apply(x)  # type: ignore[no-untyped-call]
        return y


def test_a_wrong_derivative_is_found_where_it_is(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    detector = build_detector(small())
    head = detector.heads[1]
    assert isinstance(head, LevelHead)
    head.score_tower.append(WrongLayer())
    found = check_gradients(detector, make_squares(2), small())
    assert not found.passed
    errors = {part.name: part.error for part in found.parts}
    assert errors["heads.0"] < 1e-3


def test_a_parameter_that_nothing_reaches_is_named(
    make_squares: MakeSquares, small: MakeRecipe
) -> None:
    detector = build_detector(small())
    detector.neck.register_parameter("forgotten", nn.Parameter(torch.zeros(3)))
    found = check_gradients(detector, make_squares(2), small())
    assert found.without == ("neck.forgotten",)
    assert not found.passed


def test_the_commands_say_pass_or_fail(
    make_squares: MakeSquares,
    small: MakeRecipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tartlet_host.train import overfit

    monkeypatch.setattr(overfit.overfit_batch, "__kwdefaults__", {"steps": 10, "progress": None})
    dataset, plot = make_squares(2), tmp_path / "x.png"
    code = rehearsals.rehearse(
        "overfit-batch", dataset, small(learning_rate=1e-7), plot, as_json=False
    )
    said = capsys.readouterr()
    assert code == 1
    assert said.out.startswith("not passed")
    assert "what to look at" in said.err
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert rehearsals.rehearse("check-gradients", dataset, small(), None, as_json=False) == 0
    assert "passed: largest relative error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--resume", "runs/x", "--log"], "give it alone"),
        ([], "what should be learnt"),
        (["--resume"], "no unfinished training"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    arguments: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["train", *arguments])
    assert isinstance(result.exception, UsageError)
    assert what in str(result.exception)


def test_patience_needs_somebody_to_wait_for(
    tmp_path: Path, make_squares: MakeSquares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    coco.write(make_squares(2), tmp_path / "labels.json")
    (tmp_path / "r.toml").write_text(
        'name = "x"\nlabels = ["square"]\n[train]\npatience = 2\nvalidate_every = 5\n'
    )
    result = CliRunner().invoke(cli, ["train", ".", "--recipe", "r.toml"])
    assert isinstance(result.exception, UsageError)
    assert "--validation" in result.exception.hint
    assert not (tmp_path / "runs").exists()
