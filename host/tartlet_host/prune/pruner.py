"""Structured pruning: whole channels go, with everything that depends on them.

The same part of every dependency group goes (`groups`), the least important first (`importance`);
how much is found before anything is cut (`plan`), then cut in rounds, each repaired by training.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from tartlet_host.dataset.sample import Dataset
from tartlet_host.evaluate.validation import map50_of_network
from tartlet_host.model.detector import Detector, channels_last
from tartlet_host.model.summary import Summary, summarise
from tartlet_host.prune import importance, plan
from tartlet_host.prune.groups import Structure, Widths, cut, read_structure
from tartlet_host.prune.report import PruneReport, Round, compare
from tartlet_host.prune.timing import Timer, Timing, timer_against
from tartlet_host.recipe import FinetuneRecipe, Recipe
from tartlet_host.train.loop import FitResult, TrainProgress, fit
from tartlet_shared.errors import UsageError

logger = logging.getLogger(__name__)

Progress = Callable[[TrainProgress], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done to a network whose levels and canvas are those of the result already.

    Attributes:
        before: the parent, on its canvas.
        structure: groups and layers, as wide as the parent's.
        ratio: part of each group's channels that goes.
        recipe: the result's, with its canvas.
        timing: of a network so wide; None where the recipe does not ask.
    """

    before: Summary
    structure: Structure
    ratio: float
    recipe: Recipe
    timing: Timing | None

    def widths(self, ratio: float) -> Widths:
        """How wide the groups are when so much of each went."""
        return plan.widths_at(self.structure, ratio, self.recipe.prune)


def prune(
    detector: Detector,
    recipe: Recipe,
    dataset: Dataset | None = None,
    *,
    timer: Timer | None = None,
) -> PruneReport:
    """Prune `detector` in place and at once, as far as the recipe says; nothing is trained.

    Args:
        detector: the network; the heads' outputs stay whole.
        recipe: with the goals under `prune`.
        dataset: labelled pictures, for prune.importance = "taylor".
        timer: for `prune.keep_latency`; by default the network is converted and timed.

    Raises:
        ModelError: even the largest ratio allowed keeps more than the recipe wants.
        UsageError: the importance needs a data set and there is none.
        ConversionFailed: a network cannot be timed.
    """
    with _timer(detector, recipe, timer) as usable:
        prepared = _prepare(detector, recipe, usable)
    _cut_to(detector, prepared, prepared.ratio, dataset)
    return compare(
        prepared.before, detector, prepared.recipe, ratio=prepared.ratio, timing=prepared.timing
    )


def prune_and_finetune(
    parent: Detector,
    dataset: Dataset,
    recipe: Recipe,
    progress: Progress | None = None,
    *,
    validation: Dataset | None = None,
    timer: Timer | None = None,
) -> tuple[Detector, PruneReport, FitResult]:
    """A pruned copy of `parent`, repaired by training with `parent` as its teacher.

    In `prune.rounds` rounds, each leaving the same part of what the one before left. A round that
    loses more than `prune.largest_loss` ends the pruning, and what was there before it is the
    result: if it is the first, a copy of the parent.

    Args:
        parent: a trained network.
        dataset: to fine-tune on; pictures nobody labelled are learned from the parent alone.
        recipe: with the goals under `prune`.
        progress: called after every step of all rounds.
        validation: labelled pictures that judge the rounds.
        timer: see `prune`.

    Raises:
        ModelError: the recipe asks for more pruning than is possible, or training failed.
        UsageError: the recipe has a `prune.largest_loss`, and there is no validation set.
        ConversionFailed: a network cannot be timed.
        DatasetError: see `tartlet_host.train.loop.fit`.
    """
    if validation is None and recipe.prune.largest_loss < 1:
        raise UsageError(
            "prune.largest_loss needs pictures that decide whether too much was lost",
            where="recipe: prune.largest_loss",
            hint="name labelled pictures that training never sees: --validation DATA",
        )
    detector = copy.deepcopy(parent)
    with _timer(parent, recipe, timer) as usable:
        prepared = _prepare(detector, recipe, usable)
    before = None if validation is None else map50_of_network(parent, recipe, validation)
    results: list[FitResult] = []
    rounds: list[Round] = []
    best, best_ratio = copy.deepcopy(parent), 0.0
    for ratio, settings in _rounds(prepared):
        _cut_to(detector, prepared, ratio, dataset)
        report = compare(prepared.before, detector, prepared.recipe, ratio=ratio)
        logger.info(
            "pruned %d of %d layers, %.1f%% of the multiplies stay",
            len(report.layers),
            len(report.step.channels),
            100 * report.multiplies_after / report.multiplies_before,
        )
        results.append(
            fit(
                detector,
                dataset,
                prepared.recipe,
                progress=_shifted(progress, results, recipe.prune.finetune.steps),
                validation=validation,
                teacher=parent,
                settings=settings,
            )
        )
        after = results[-1].map50
        kept = before is None or after is None or after >= before - recipe.prune.largest_loss
        rounds.append(Round(report.multiplies_after, settings.steps, after, kept))
        if not kept:
            logger.warning("mAP50 fell from %.3f to %.3f: this round does not count", before, after)
            break
        best, best_ratio = copy.deepcopy(detector), ratio
    pruned = any(each.kept for each in rounds)
    report = compare(
        prepared.before,
        best,
        prepared.recipe if pruned else recipe,
        ratio=best_ratio,
        timing=prepared.timing if pruned and best_ratio == prepared.ratio else None,
        map50_before=before,
        rounds=tuple(rounds),
    )
    return best, report, _joined(results)


def _prepare(detector: Detector, recipe: Recipe, timer: Timer | None) -> Plan:
    """Give the detector its levels, in place, and find how far it must be pruned."""
    pruning = recipe.prune
    before = summarise(detector, recipe.input)
    if pruning.strides:
        detector.drop_levels(len(pruning.strides))
    recipe = msgspec.structs.replace(
        recipe,
        input=pruning.input or recipe.input,
        model=msgspec.structs.replace(recipe.model, strides=detector.strides),
    )
    structure = read_structure(detector, recipe.input)
    goal = pruning.keep_multiplies * before.multiplies
    ratio = plan.ratio_for_multiplies(structure, goal, pruning)
    if timer is None:
        return Plan(before, structure, ratio, recipe, None)
    timings: dict[tuple[int, ...], Timing] = {}

    def time_share(widths: Widths) -> float:
        if structure.multiplies(widths) == before.multiplies:
            return 1.0  # the parent itself
        key = tuple(widths.values())
        if key not in timings:
            narrow = copy.deepcopy(detector)
            # Any channels will do: time does not depend on which ones stay.
            cut(narrow, widths, importance.magnitude(narrow))
            timings[key] = timer(channels_last(narrow).eval(), recipe)
        return timings[key].share

    ratio = plan.ratio_for_latency(structure, ratio, time_share, pruning)
    found = timings[tuple(plan.widths_at(structure, ratio, pruning).values())]
    return Plan(before, structure, ratio, recipe, found)


def _rounds(prepared: Plan) -> list[tuple[float, FinetuneRecipe]]:
    """Ratio and training of each round; the last one's ratio is the plan's."""
    pruning = prepared.recipe.prune
    tuning = pruning.finetune
    count = min(pruning.rounds, tuning.steps) if prepared.ratio else 1
    start = prepared.structure.multiplies(prepared.structure.widths)
    end = prepared.structure.multiplies(prepared.widths(prepared.ratio))
    rounds = []
    for done in range(1, count + 1):
        ratio = prepared.ratio
        if done < count:
            goal = start * (end / start) ** (done / count)
            ratio = plan.ratio_for_multiplies(prepared.structure, goal, pruning)
        steps = tuning.steps * done // count - tuning.steps * (done - 1) // count
        # Another seed, or every round would begin with the same pictures.
        settings = msgspec.structs.replace(tuning, steps=steps, seed=tuning.seed + done - 1)
        rounds.append((ratio, settings))
    return rounds


def _cut_to(detector: Detector, prepared: Plan, ratio: float, dataset: Dataset | None) -> None:
    if ratio > 0:
        widths = prepared.widths(ratio)
        cut(detector, widths, _scores(detector, prepared.recipe, dataset))
    channels_last(detector)


def _scores(detector: Detector, recipe: Recipe, dataset: Dataset | None) -> importance.Scores:
    if recipe.prune.importance == "magnitude":
        return importance.magnitude(detector)
    if dataset is None:
        raise UsageError(
            "Taylor importance looks at pictures, and there is no data set",
            where="recipe: prune.importance",
        )
    return importance.taylor(detector, dataset, recipe)


@contextlib.contextmanager
def _timer(parent: Detector, recipe: Recipe, given: Timer | None) -> Iterator[Timer | None]:
    """What times networks, where the recipe asks for it."""
    if recipe.prune.keep_latency >= 1:
        yield None
    elif given is not None:
        yield given
    else:
        with timer_against(parent, recipe) as timer:
            yield timer


def _shifted(progress: Progress | None, before: list[FitResult], steps: int) -> Progress | None:
    """Progress of one round as progress of all."""
    if progress is None:
        return None
    done, seconds = _steps(before), sum(each.seconds for each in before)
    return lambda now: progress(
        dataclasses.replace(now, step=done + now.step, steps=steps, seconds=seconds + now.seconds)
    )


def _steps(results: list[FitResult]) -> int:
    return sum(len(each.losses) for each in results)


def _joined(results: list[FitResult]) -> FitResult:
    """The training of all rounds as one."""
    starts = [_steps(results[:place]) for place in range(len(results))]
    return dataclasses.replace(
        results[-1],
        losses=tuple(loss for each in results for loss in each.losses),
        seconds=sum(each.seconds for each in results),
        pictures=sum(each.pictures for each in results),
        looks=tuple(
            (start + step, map50)
            for start, each in zip(starts, results, strict=True)
            for step, map50 in each.looks
        ),
        best_step=starts[-1] + results[-1].best_step,
    )
