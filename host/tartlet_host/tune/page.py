"""A study as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

import markupsafe
import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from tartlet_host import page
from tartlet_host.plotting import COLOURS, drawing, plot_svg
from tartlet_host.tune.result import Found, Trial
from tartlet_host.tune.space import LEARNING_RATE, WEIGHT_DECAY

MUTED = "#9fb8c9"
"""Of trials that were ended early."""
LOGARITHMIC = {LEARNING_RATE, WEIGHT_DECAY}


def render(title: str, found: Found, recipe_text: str) -> str:
    """The page.

    Args:
        title: at its head.
        found: the study.
        recipe_text: the best recipe as TOML.
    """
    complete = [each for each in found.trials if each.state == "complete"]
    keys = list(found.best.values)
    return page.render(
        "tune.html",
        title=title,
        found=found,
        keys=keys,
        rows=sorted(found.trials, key=lambda each: (each.state != "complete", -(each.map50 or 0))),
        counts={
            state: sum(each.state == state for each in found.trials)
            for state in ("complete", "pruned", "failed", "running")
        },
        seconds=sum(each.seconds or 0.0 for each in found.trials),
        history=_history(found.trials),
        courses=_courses(found.trials, found.best),
        front=_front(complete, found) if found.best.time_share is not None else None,
        slices=[(key, _slice(key, complete, found.best)) for key in keys],
        recipe_text=recipe_text,
    )


def _history(trials: Sequence[Trial]) -> markupsafe.Markup:
    with drawing(7.2, 2.8) as (figure, axes):
        axis = axes[0]
        for state, colour, marker in (("complete", COLOURS[0], "o"), ("pruned", MUTED, "x")):
            chosen = [each for each in trials if each.state == state and each.map50 is not None]
            if not chosen:
                continue
            axis.scatter(
                [each.number for each in chosen],
                _scores(chosen),
                color=colour,
                marker=marker,
                s=28,
                label="complete" if state == "complete" else "ended early",
                zorder=3,
            )
        done = [each for each in trials if each.state == "complete"]
        best = np.maximum.accumulate(_scores(done))
        axis.step(
            [each.number for each in done],
            best,
            where="post",
            color=COLOURS[1],
            label="best so far",
        )
        axis.set(xlabel="trial", ylabel="mAP50")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False, loc="lower right")
        return plot_svg(figure, "Points: mAP50 of each trial, with the best so far as a line")


def _courses(trials: Sequence[Trial], best: Trial) -> markupsafe.Markup | None:
    """How trials went on the way; None where nothing was reported."""
    seen = [each for each in trials if len(each.looks) > 1]
    if not seen:
        return None
    with drawing(7.2, 2.8) as (figure, axes):
        axis = axes[0]
        for trial in seen:
            chosen = trial.number == best.number
            axis.plot(
                list(trial.looks),
                list(trial.looks.values()),
                color=COLOURS[1] if chosen else MUTED if trial.state == "pruned" else COLOURS[0],
                linewidth=2.2 if chosen else 1.0,
                alpha=1.0 if chosen else 0.7,
                zorder=3 if chosen else 2,
            )
        axis.set(xlabel="step", ylabel="mAP50")
        return plot_svg(figure, "Curves: mAP50 of the trials on their way, the best one heavier")


def _front(complete: Sequence[Trial], found: Found) -> markupsafe.Markup:
    with drawing(7.2, 3.2) as (figure, axes):
        axis = axes[0]
        best = sorted(
            (each for each in complete if each.number in found.front),
            key=lambda each: each.time_share or 0.0,
        )
        axis.scatter(_shares(complete), _scores(complete), color=MUTED)
        axis.plot(
            _shares(best),
            _scores(best),
            color=COLOURS[1],
            marker="o",
        )
        for each in best:
            axis.annotate(
                str(each.number),
                (each.time_share or 0.0, each.map50 or 0.0),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
            )
        axis.set(xlabel="time of an inference, the recipe's own is 1", ylabel="mAP50")
        return plot_svg(figure, "Accuracy against time, with the trials nothing beats as a line")


def _slice(key: str, complete: Sequence[Trial], best: Trial) -> markupsafe.Markup:
    """mAP50 against one key; choices stand side by side."""
    with drawing(3.4, 2.4) as (figure, axes):
        axis = axes[0]
        values = [each.values.get(key) for each in complete]
        if key in LOGARITHMIC:
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter(NullFormatter())
            places: list[float] = [float(value or 0.0) for value in values]
        else:
            names = sorted(set(values), key=_natural)
            places = [float(names.index(value)) for value in values]
            axis.set_xticks(range(len(names)), [str(name) for name in names])
            axis.set_xlim(-0.6, len(names) - 0.4)
        colours = [COLOURS[1] if each.number == best.number else COLOURS[0] for each in complete]
        axis.scatter(places, _scores(complete), c=colours, s=26)
        axis.set_ylabel("mAP50")
        return plot_svg(figure, f"mAP50 against {key}")


def _scores(trials: Sequence[Trial]) -> list[float]:
    return [each.map50 or 0.0 for each in trials]


def _shares(trials: Sequence[Trial]) -> list[float]:
    return [each.time_share or 0.0 for each in trials]


def _natural(value: object) -> tuple[float, ...]:
    """Numbers and "256x320" by size."""
    return tuple(float(part) for part in str(value).split("x"))
