"""The checks of `tartlet train` that come before a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tartlet_host.commands.options import print_json, say, write_file

if TYPE_CHECKING:
    from tartlet_host.dataset.sample import Dataset
    from tartlet_host.recipe import Recipe
    from tartlet_host.train.gradient_check import GradientCheck
    from tartlet_host.train.overfit import Overfit
    from tartlet_host.train.rate_finder import RateCurve


def rehearse(
    kind: str, data: Dataset, recipe: Recipe, output: Path | None, *, as_json: bool
) -> int:
    """Do one check and report; 0 where it passed, else 1.

    Args:
        kind: "find-rate", "overfit-batch" or "check-gradients".
        data: to take pictures from.
        recipe: gives the network and the settings.
        output: PNG to write, for the first two; None means one named after the check, here.
    """
    checks = {
        "find-rate": _find_rate,
        "overfit-batch": _overfit_batch,
        "check-gradients": _check_gradients,
    }
    return checks[kind](data, recipe, output, as_json)


def _find_rate(data: Dataset, recipe: Recipe, output: Path | None, as_json: bool) -> int:
    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import bar
    from tartlet_host.train import curves
    from tartlet_host.train.rate_finder import find_rate

    with bar("Trying learning rates", quiet=as_json) as report:
        found = find_rate(build_detector(recipe), data, recipe, progress=report)
    path = output if output is not None else Path("learning-rate.png")
    write_file(path, curves.rate_curve(found, recipe.train.learning_rate))
    if as_json:
        print_json(
            {
                "suggestion": found.suggestion,
                "lowest_loss_at": found.lowest_at,
                "plot": str(path),
                "rates": found.rates,
                "losses": found.losses,
            }
        )
    else:
        _print_rate(found, recipe, path)
    return 0 if found.suggestion is not None else 1


def _print_rate(found: RateCurve, recipe: Recipe, path: Path) -> None:
    if found.suggestion is None:
        click.echo(f"the loss fell at no rate; see {path}")
        say("is the data set labelled right? tartlet train DATA --overfit-batch looks closer")
        return
    click.echo(f"train.learning_rate = {found.suggestion:g}    ({path})")
    say(
        f"the loss is lowest at {found.lowest_at:.1e}; the recipe has "
        f"{recipe.train.learning_rate:g}. One test is one roll of the dice: within a factor of "
        "two, keep what you have"
    )


def _overfit_batch(data: Dataset, recipe: Recipe, output: Path | None, as_json: bool) -> int:
    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import bar
    from tartlet_host.train import curves
    from tartlet_host.train.overfit import overfit_batch

    with bar("Learning one batch by heart", quiet=as_json) as report:
        found = overfit_batch(build_detector(recipe), data, recipe, progress=report)
    path = output if output is not None else Path("overfit-batch.png")
    write_file(path, curves.overfit_curve(found))
    if as_json:
        print_json(
            {
                "passed": found.passed,
                "loss_left": found.left,
                "map50": found.map50,
                "pictures": found.pictures,
                "boxes": found.boxes,
                "smallest_box": found.smallest,
                "plot": str(path),
                "losses": found.losses,
            }
        )
    else:
        _print_overfit(found, path)
    return 0 if found.passed else 1


def _print_overfit(found: Overfit, path: Path) -> None:
    verdict = "passed" if found.passed else "not passed"
    click.echo(
        f"{verdict}: {found.left:.1%} of the loss is left, mAP50 {found.map50:.3f} on the "
        f"{found.boxes} boxes of these {found.pictures} pictures    ({path})"
    )
    if found.passed:
        say("network, labels and loss are sound; next: tartlet train DATA --find-rate")
        return
    from tartlet_host.train.overfit import advice

    say("what to look at:")
    for line in advice(found):
        say(f"  - {line}")


def _check_gradients(data: Dataset, recipe: Recipe, output: Path | None, as_json: bool) -> int:
    import dataclasses

    from tartlet_host.model.detector import build_detector
    from tartlet_host.progress import bar
    from tartlet_host.train.gradient_check import check_gradients

    with bar("Checking gradients", quiet=as_json) as report:
        found = check_gradients(build_detector(recipe), data, recipe, progress=report)
    if as_json:
        values: dict[str, Any] = dataclasses.asdict(found)
        print_json({"passed": found.passed, "error": found.error, **values})
    else:
        _print_gradients(found)
    return 0 if found.passed else 1


def _print_gradients(found: GradientCheck) -> None:
    from tartlet_host.train.gradient_check import LIMIT

    for part in found.parts:
        click.echo(f"{part.name:<22} {part.checked} weights, largest error {part.error:.1e}")
    for name in found.without:
        click.echo(f"{name}: no gradient reaches it")
    verdict = "passed" if found.passed else "not passed"
    click.echo(f"{verdict}: largest relative error {found.error:.1e}, allowed {LIMIT:.0e}")
    if not found.passed:
        say("a layer or a loss computes a wrong derivative; if you changed one, look there")
