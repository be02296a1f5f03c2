"""The search: trials one after the other, until the study has as many as the recipe wants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tartlet_host.dataset.sample import Dataset
from tartlet_host.model.detector import build_detector
from tartlet_host.prune.timing import Timer
from tartlet_host.recipe import Recipe
from tartlet_host.train.loop import TrainProgress, fit
from tartlet_host.train.training import Stop
from tartlet_host.tune import space
from tartlet_host.tune.storage import quiet
from tartlet_shared.errors import ModelError

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

REASON = "reason"
"""A failed trial's attribute with what went wrong; an interrupted one has none."""
MOST_FAILURES = 3  # in a row, after which the fault is not the values'


@dataclass(frozen=True)
class Budget:
    """How far a study is.

    Attributes:
        done: trials that are over, for better or worse, by any process.
        trials: how many there shall be.
    """

    done: int
    trials: int


def search(
    study: optuna.Study,
    recipe: Recipe,
    dataset: Dataset,
    validation: Dataset,
    *,
    timer: Timer | None = None,
    progress: Callable[[Budget, TrainProgress], None] | None = None,
    stop: Stop = lambda: False,
) -> None:
    """Run trials until the study has `recipe.tune.trials`, counting those of other processes.

    Every trial trains a network from the start and reports its mAP50 on the way. When
    somebody wishes to stop, the running one is marked as failed, and another takes its place when
    the study goes on.

    Args:
        study: see `tartlet_host.tune.storage.open_study`.
        recipe: what is searched, and everything else.
        dataset: to train on.
        validation: labelled pictures that judge.
        timer: of networks against the recipe's own, for a study with two goals.
        progress: called after every step of every trial.
        stop: asked after every step; true raises `KeyboardInterrupt`.

    Raises:
        ModelError: trials keep failing.
        DatasetError, PictureUnreadable: see `tartlet_host.train.loop.fit`.
    """
    import optuna

    short = space.shortened(recipe)

    def objective(trial: optuna.Trial) -> float | tuple[float, ...]:
        budget = Budget(_done(study), recipe.tune.trials)
        values = space.suggest(trial, recipe)
        tried = space.apply(short, values)

        def on_validation(step: int, map50: float) -> None:
            if timer is not None:
                return  # Optuna prunes for a single goal only
            trial.report(map50, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        def step(now: TrainProgress) -> None:
            if progress is not None:
                progress(budget, now)

        try:
            detector = build_detector(tried)
            share = None if timer is None else _time_share(study, recipe, values, timer)
            result = fit(
                detector,
                dataset,
                tried,
                progress=step,
                validation=validation,
                on_validation=on_validation,
                stop=stop,
            )
        except ModelError as error:
            if stop():  # Ctrl-C reaches a converter too, which dies of it
                raise KeyboardInterrupt from error
            trial.set_user_attr(REASON, str(error))
            raise
        assert result.map50 is not None  # there is a validation set
        if share is None:
            return result.map50
        trial.set_user_attr(_SHARE, share)
        return result.map50, share

    with quiet():
        optuna.storages.fail_stale_trials(study)  # of processes that were killed
        while _done(study) + _running(study) < recipe.tune.trials:
            if stop():
                raise KeyboardInterrupt
            study.optimize(objective, n_trials=1, catch=(ModelError,))
            _stop_when_hopeless(study)


_SHARE = "time_share"


def _time_share(study: optuna.Study, recipe: Recipe, values: dict[str, Any], timer: Timer) -> float:
    """Part of the time of the recipe's own network; the same network is timed once a study."""
    keys = space.architecture(recipe)
    built = {key: values[key] for key in keys}
    for trial in study.get_trials(deepcopy=False):
        if _SHARE in trial.user_attrs and {key: trial.params.get(key) for key in keys} == built:
            return float(trial.user_attrs[_SHARE])
    changed = space.apply(recipe, built)
    return timer(build_detector(changed, pretrained=False).eval(), changed).share


def _done(study: optuna.Study) -> int:
    """Trials that count: all that ended by themselves."""
    from optuna.trial import TrialState

    return sum(
        trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or REASON in trial.user_attrs
        for trial in study.get_trials(deepcopy=False)
    )


def _running(study: optuna.Study) -> int:
    """Trials of other processes at this moment."""
    from optuna.trial import TrialState

    return sum(
        trial.state == TrialState.RUNNING and REASON not in trial.user_attrs
        for trial in study.get_trials(deepcopy=False)
    )


def _stop_when_hopeless(study: optuna.Study) -> None:
    last = study.get_trials(deepcopy=False)[-MOST_FAILURES:]
    reasons = [trial.user_attrs.get(REASON) for trial in last]
    if len(reasons) == MOST_FAILURES and all(reasons):
        raise ModelError(
            f"{MOST_FAILURES} trials in a row failed, the last one: {reasons[-1]}",
            hint="narrow the ranges under [tune], above all learning_rate",
        )
