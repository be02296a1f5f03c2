"""What a study found, as data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tartlet_host.recipe import Recipe
from tartlet_host.tune import space
from tartlet_host.tune.search import REASON
from tartlet_host.tune.storage import quiet
from tartlet_shared.errors import ModelError

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        number: from 1, in the order they began.
        state: "complete", "pruned" (ended early), "failed" or "running".
        values: what was tried, by the recipe's key.
        map50: at the end; of a pruned trial its last look; None without one.
        time_share: part of the time of the recipe's own network; None for a single goal.
        looks: step -> mAP50 on the way.
        reason: why it failed.
        seconds: it took; None while it runs.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    map50: float | None
    time_share: float | None
    looks: Mapping[int, float]
    reason: str
    seconds: float | None


@dataclass(frozen=True)
class Found:
    """A study's trials and the best of them.

    Attributes:
        trials: by number.
        best: the highest mAP50; with two goals, of those that nothing beats in both.
        front: numbers of the trials that nothing beats in both goals; the best alone for one.
        importance: of each key for the score, together 1; empty while too few trials ended.
    """

    trials: tuple[Trial, ...]
    best: Trial
    front: tuple[int, ...]
    importance: Mapping[str, float]

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the best trial's values, and its own number of steps."""
        return space.apply(recipe, self.best.values)


def read(study: optuna.Study) -> Found:
    """The trials so far.

    Raises:
        ModelError: none is complete.
    """
    trials = tuple(_trial(each) for each in study.get_trials(deepcopy=False))
    # Optuna's best: of equal ones the first.
    front = tuple(sorted(each.number + 1 for each in study.best_trials))
    if not front:
        raise ModelError(
            "no trial of the study is complete",
            hint="let it run longer: tartlet tune with --resume",
        )
    best = max((trials[number - 1] for number in front), key=lambda each: each.map50 or 0.0)
    return Found(trials, best, front, _importance(study))


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    from optuna.trial import TrialState

    states = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
    }
    looks = dict(sorted(trial.intermediate_values.items()))
    map50 = next(reversed(looks.values()), None)
    share = None
    if trial.state == TrialState.COMPLETE:
        map50, *rest = trial.values
        share = rest[0] if rest else None
    duration = trial.duration
    return Trial(
        number=trial.number + 1,
        state=states.get(trial.state, "running"),
        values=trial.params,
        map50=map50,
        time_share=share,
        looks=looks,
        reason=trial.user_attrs.get(REASON, ""),
        seconds=None if duration is None else duration.total_seconds(),
    )


LEAST_FOR_IMPORTANCE = 8


def _importance(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (S. Watanabe et al., IJCAI 2023): which key tells the best tenth from the rest."""
    from optuna import importance
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < LEAST_FOR_IMPORTANCE:
        return {}
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a low target counts as good
        try:
            return dict(
                importance.get_param_importances(
                    study,
                    evaluator=importance.PedAnovaImportanceEvaluator(),
                    # It asks what makes the target low.
                    target=lambda trial: -float(trial.values[0]),
                )
            )
        except (RuntimeError, ValueError):  # all trials alike: nothing tells them apart
            return {}
