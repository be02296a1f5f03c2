"""Accuracy on test pictures, and what int8 and pruning cost, from the newest run of each recipe.

`tartlet run` with models/people/recipe.toml, or with benchmarks/cards.toml and --train and --test,
makes the runs; a recipe that was never run gives no rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.newest import newest_run
from benchmarks.row import Row
from tartlet_host.run.summary import Candidate, Summary

PARENT, INT8, PRUNED = "fp32 TFLite", "int8 TFLite", "pruned int8 TFLite"


@dataclass(frozen=True)
class Goals:
    """What a recipe should reach.

    Attributes:
        map50: of the float model, at least.
        int8_lost, pruned_lost: mAP50 points against the float model, at most; None asks nothing.
        minutes: of all trainings together, at most; None asks nothing.
    """

    map50: float
    int8_lost: float
    pruned_lost: float | None = None
    minutes: float | None = None


GOALS = {
    "people": Goals(map50=0.88, int8_lost=0.5, pruned_lost=2.0),
    "cards": Goals(map50=0.90, int8_lost=1.0, minutes=20.0),
}


def run() -> list[Row]:
    """Rows for every recipe of `GOALS` that was run."""
    rows: list[Row] = []
    for name, goals in GOALS.items():
        found = newest_run(name)
        if found is None:
            print(f"no run of the recipe {name!r} yet, so no figures of its accuracy")
            continue
        rows += _rows(found.summary, goals)
    return rows


def _rows(summary: Summary, goals: Goals) -> list[Row]:
    by_name = {each.name: each for each in summary.candidates}
    parent = by_name[PARENT]
    rows = [
        Row(
            name=f"{summary.name}: mAP50 of the float model, {summary.test_pictures} test pictures",
            ours=parent.map50,
            rival=goals.map50,
            ratio=parent.map50,
            goal=goals.map50,
            holds=parent.map50 >= goals.map50,
        ),
        _lost(summary.name, by_name[INT8], parent, goals.int8_lost),
    ]
    if goals.pruned_lost is not None and PRUNED in by_name:
        rows.append(_lost(summary.name, by_name[PRUNED], parent, goals.pruned_lost))
    if goals.minutes is not None:
        trained = sum(
            seconds
            for step, seconds in summary.steps.items()
            if step.startswith("Training") or "fine-tuning" in step
        )
        rows.append(
            Row(
                name=f"{summary.name}: all trainings",
                ours=trained / 60,
                rival=goals.minutes,
                ratio=trained / 60 / goals.minutes,
                goal=1.0,
                holds=trained / 60 <= goals.minutes,
                unit="min",
            )
        )
    return rows


def _lost(name: str, candidate: Candidate, parent: Candidate, most: float) -> Row:
    lost = 100 * (parent.map50 - candidate.map50)
    return Row(
        name=f"{name}: mAP50 points that {candidate.name} loses against float",
        ours=100 * candidate.map50,
        rival=100 * parent.map50,
        ratio=lost,
        goal=most,
        holds=lost <= most,
        unit="points",
    )
